//! `Packages.diff/Index` and its like: which patches lead from the index files of earlier days to
//! today's.
//!
//! Only the patches that are named with the digest of what is downloaded (`SHA256-Download`) can be
//! mirrored; upstreams that list others as well give clients no more. Source: Debian's repository
//! format, "Index".

use std::str;

use pulp_models::{Algorithm, Digests, Expected, RelativePath};

use crate::{
    compression::Compression,
    selection::{Family, Index, Variant},
    stanza::Stanza,
};

/// Patches of one index file that are looked at; Debian keeps about 60.
const MAX_PATCHES: usize = 10_000;

/// The patches that the text of `listing` names, each as a file of its own.
pub fn patches(listing: &Index, text: &[u8]) -> Result<Vec<Index>, String> {
    let list = Stanza::of(text).get("SHA256-Download").unwrap_or_default();
    let directory = listing.path.parent().unwrap_or_default();
    let lines = list.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let lines = lines.filter(|line| !line.is_empty()).take(MAX_PATCHES);
    lines.map(|line| patch(listing, directory, line)).collect()
}

/// Reads one line: digest, size and name.
fn patch(listing: &Index, directory: &str, line: &[u8]) -> Result<Index, String> {
    let line = str::from_utf8(line).map_err(|_| "a line is no UTF-8".to_owned())?;
    let mut words = line.split_ascii_whitespace();
    let (Some(digest), Some(size), Some(name), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(format!("`{line}` is not digest, size and name"));
    };
    let size = size.parse().map_err(|_| format!("`{size}` is no size"))?;
    let mut digests = Digests::new();
    digests.insert_hex(Algorithm::Sha256, digest).map_err(|error| error.to_string())?;
    let below = |name: &str| {
        RelativePath::new(&format!("{directory}/{name}")).map_err(|error| error.to_string())
    };
    let (compression, plain) = Compression::of(name);
    Ok(Index {
        family: Family::Diffs,
        component: listing.component.clone(),
        architecture: listing.architecture.clone(),
        path: below(plain)?,
        uncompressed: None,
        variants: vec![Variant {
            compression,
            path: below(name)?,
            expected: Expected { size: Some(size), digests },
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing() -> Index {
        Index {
            family: Family::Diffs,
            component: Some("main".to_owned()),
            architecture: Some("amd64".to_owned()),
            path: RelativePath::new("main/binary-amd64/Packages.diff/Index").expect("a path"),
            uncompressed: None,
            variants: Vec::new(),
        }
    }

    #[test]
    fn patches_lie_beside_their_list() {
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let text = format!(
            "SHA256-Current: {digest} 9\nSHA256-Patches:\n {digest} 9 T-1-F-0\n\
             SHA256-Download:\n {digest} 3 T-1-F-0.gz\n {digest} 4 T-1-F-1.gz\n"
        );
        let found = patches(&listing(), text.as_bytes()).expect("patches");
        let paths: Vec<_> = found.iter().map(|patch| patch.variants[0].path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "main/binary-amd64/Packages.diff/T-1-F-0.gz",
                "main/binary-amd64/Packages.diff/T-1-F-1.gz"
            ]
        );
        assert_eq!(found[1].variants[0].expected.size, Some(4));
        assert_eq!(found[0].component.as_deref(), Some("main"));
        let evil = text.replace("T-1-F-0.gz", "../../x.gz");
        let error = patches(&listing(), evil.as_bytes()).expect_err("unsafe");
        assert!(error.contains("`..`"), "{error}");
        assert!(patches(&listing(), b"SHA256-Download:\n x 3 y.gz\n").is_err());
        assert!(patches(&listing(), b"SHA1-Current: x\n").expect("none").is_empty());
    }
}
