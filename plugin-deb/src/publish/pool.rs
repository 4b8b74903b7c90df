//! Where a structured publication has the packages' files: at upstream's paths, unless two units
//! have different files at one path. Then the later one gets a folder of its own, named by what
//! tells it apart, and its stanza says so.

use std::{
    borrow::Cow,
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
};

use bytes::Bytes;
use pulp_models::{RelativePath, Sha256, content_artifact::ContentArtifact};
use pulp_stages::publish::PublishError;

use super::path;
use crate::{content::DebContent, stanza::without_fields};

/// The paths that are taken: by which bytes, both as hashes.
#[derive(Default)]
pub(super) struct Pool {
    taken: HashMap<u64, u64>,
    hasher: RandomState,
}

/// Where the files of a unit go.
pub(super) struct Place<'a> {
    /// The stanza that says so.
    pub(super) stanza: Cow<'a, [u8]>,
    /// Each file's own path and the one at which it is published.
    pub(super) files: Vec<(RelativePath, RelativePath)>,
}

impl Pool {
    /// Finds a place for a unit of `stanza` with these files.
    pub(super) fn place<'a>(
        &mut self,
        content: &'a DebContent,
        artifacts: &[ContentArtifact],
    ) -> Result<Place<'a>, PublishError> {
        let stanza: &'a Bytes = match content {
            DebContent::Package(package) => &package.stanza,
            DebContent::SourcePackage(package) => &package.stanza,
            _ => return Ok(Place { stanza: Cow::Borrowed(&[]), files: Vec::new() }),
        };
        let files = artifacts.iter().map(|artifact| artifact.relative_path.clone());
        if self.take(stanza, artifacts.iter().map(|artifact| &artifact.relative_path)) {
            let files = files.map(|path| (path.clone(), path)).collect();
            return Ok(Place { stanza: Cow::Borrowed(stanza), files });
        }
        let folder = format!("pool/{}", &Sha256::of(stanza).to_string()[..16]);
        let moved =
            |file: RelativePath| Ok((path(&format!("{folder}/{}", file.file_name()))?, file));
        let files = files
            .map(|file| moved(file).map(|(new, old)| (old, new)))
            .collect::<Result<Vec<_>, PublishError>>()?;
        let stanza = match (content, files.first()) {
            (DebContent::Package(_), Some((_, new))) => {
                with_field(stanza, "Filename", new.as_str())
            }
            _ => with_field(stanza, "Directory", &folder),
        };
        Ok(Place { stanza: Cow::Owned(stanza), files })
    }

    /// Takes the paths for this stanza's files; false if other files have one of them.
    fn take<'a>(
        &mut self,
        stanza: &[u8],
        paths: impl Iterator<Item = &'a RelativePath> + Clone,
    ) -> bool {
        let claims = paths.map(|path| {
            let bytes = digest_of(stanza, path.file_name());
            (self.hasher.hash_one(path.as_str()), self.hasher.hash_one(bytes))
        });
        let claims: Vec<_> = claims.collect();
        let is_free = claims
            .iter()
            .all(|(path, bytes)| self.taken.get(path).is_none_or(|other| other == bytes));
        if is_free {
            self.taken.extend(claims);
        }
        is_free
    }
}

/// The SHA-256 that the stanza gives for its file `name`, as it is written there; all of the stanza
/// if it gives none.
fn digest_of<'a>(stanza: &'a [u8], name: &str) -> &'a [u8] {
    if let Some(value) = line_after(stanza, b"\nSHA256:") {
        return value.trim_ascii();
    }
    // A source package: lines of digest, size and name.
    let list = memchr::memmem::find(stanza, b"\nChecksums-Sha256:").map(|at| &stanza[at + 1..]);
    let lines = list.unwrap_or_default().split(|byte| *byte == b'\n').skip(1);
    lines
        .take_while(|line| line.starts_with(b" "))
        .map(<[u8]>::trim_ascii)
        .find(|line| line.ends_with(name.as_bytes()))
        .unwrap_or(stanza)
}

fn line_after<'a>(stanza: &'a [u8], label: &[u8]) -> Option<&'a [u8]> {
    let at = memchr::memmem::find(stanza, label)? + label.len();
    stanza[at..].split(|byte| *byte == b'\n').next()
}

/// The stanza with another value for the field `name`, which comes last then.
fn with_field(stanza: &[u8], name: &str, value: &str) -> Vec<u8> {
    let mut text = without_fields(stanza, &[name]);
    text.extend_from_slice(format!("{name}: {value}\n").as_bytes());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{package::PackageFields, stanza::Stanza};

    const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

    fn package(digit: char, distribution: &str) -> (DebContent, Vec<ContentArtifact>) {
        let digest = ZEROS.replace('0', &digit.to_string());
        let text = format!(
            "Package: a\nVersion: 1\nArchitecture: amd64\nFilename: pool/a.deb\nSize: 1\n\
             SHA256: {digest}\nDescription: x\n"
        );
        let fields = PackageFields::read(&Stanza::of(text.as_bytes())).expect("valid");
        let path = fields.filename.clone();
        let stanza = Bytes::from(text.clone());
        let package = crate::content::Package::new(&fields, stanza, distribution, "main", false);
        let artifact = ContentArtifact { relative_path: path, artifact: None, size: None };
        (DebContent::Package(package), vec![artifact])
    }

    #[test]
    fn files_stay_at_upstreams_paths_unless_others_are_there() {
        let mut pool = Pool::default();
        let ours = |place: &Place<'_>| place.files[0].1.to_string();
        let (first, files) = package('1', "stable");
        let place = pool.place(&first, &files).expect("a place");
        assert_eq!(ours(&place), "pool/a.deb");
        let (same, files) = package('1', "stable-updates");
        assert_eq!(ours(&pool.place(&same, &files).expect("a place")), "pool/a.deb");
        let (other, files) = package('2', "stable");
        let place = pool.place(&other, &files).expect("a place");
        assert!(ours(&place).ends_with("/a.deb") && ours(&place) != "pool/a.deb");
        let fields = PackageFields::read(&Stanza::of(&place.stanza)).expect("still a stanza");
        assert_eq!(fields.filename, place.files[0].1);
        assert_eq!(place.files[0].0.as_str(), "pool/a.deb");
        assert!(place.stanza.ends_with(b"\n"));
    }
}
