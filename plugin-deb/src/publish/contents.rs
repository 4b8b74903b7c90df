//! Lists of files (`Contents-ARCH`) of a publication from which packages were left out: upstream's
//! list, without what belongs to packages that are not there.
//!
//! A line is a path, blanks, and the packages that bring it, as `section/name` with commas between.
//! Packages are told by their names alone: the list knows no versions. Nothing but a line is held at
//! a time; a header, as old lists have, names no package and goes.

use std::{
    collections::HashSet,
    io::{self, BufRead as _, BufReader, Read, Write},
    sync::Arc,
};

use pulp_models::store::Verified;
use pulp_stages::publish::{PublishContext, PublishError, PublishedUnit};

use super::{companions::name_of, failed};
use crate::{
    Deb,
    compression::{Bound, Compression},
    content::{DebContent, IndexFile},
    index_writer::written,
    release::Release,
};

/// Names of packages.
pub(super) type Names = HashSet<Box<str>>;

/// The longest line in bytes; in Debian's, `usr/bin/…` files of some hundred packages have 10 KB.
const MAX_LINE: u64 = 1 << 20;

/// The plain list without what belongs to packages that are not in `names`; `None` if upstream's is
/// not stored.
pub(super) async fn filtered(
    context: &PublishContext<Deb>,
    unit: &PublishedUnit<DebContent>,
    index: &IndexFile,
    upstream: &Release,
    names: &Arc<Names>,
) -> Result<Option<Verified>, PublishError> {
    let stored = unit.artifacts.iter().filter_map(|artifact| {
        let (compression, plain) = Compression::of(artifact.relative_path.as_str());
        (plain == index.path.as_str()).then_some((compression, artifact.artifact?))
    });
    let Some((compression, sha256)) = stored.min_by_key(|(compression, _)| *compression) else {
        return Ok(None);
    };
    let store = context.installation.store.clone();
    let listed = name_of(index).and_then(|plain| upstream.file(plain)?.size);
    let names = Arc::clone(names);
    let reading = store.clone();
    let work = move |sink: &mut dyn Write| {
        let (file, size) = reading.open_artifact_blocking(&sha256).map_err(io::Error::other)?;
        let decoder = compression.decoder(BufReader::new(file), Bound::new(listed, size))?;
        filter(decoder, &names, sink)
    };
    let filtered = written(&store, work).await;
    filtered.map(Some).map_err(|error| failed("filter a list of files", error))
}

fn filter(list: impl Read, names: &Names, sink: &mut dyn Write) -> io::Result<()> {
    let mut list = BufReader::with_capacity(256 << 10, list);
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut list).take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.len() as u64 == MAX_LINE {
            let message = format!("A line is longer than {MAX_LINE} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let line = line.trim_ascii_end();
        let Some(blank) = line.iter().rposition(u8::is_ascii_whitespace) else { continue };
        let (path, packages) = line.split_at(blank + 1);
        let mut kept = packages.split(|byte| *byte == b',').filter(|package| {
            let name = package.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            std::str::from_utf8(name).is_ok_and(|name| names.contains(name))
        });
        let Some(first) = kept.next() else { continue };
        sink.write_all(path)?;
        sink.write_all(first)?;
        for package in kept {
            sink.write_all(b",")?;
            sink.write_all(package)?;
        }
        sink.write_all(b"\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(list: &[u8], names: &[&str]) -> String {
        let names = names.iter().map(|name| Box::from(*name)).collect();
        let mut sink = Vec::new();
        filter(list, &names, &mut sink).expect("filtered");
        String::from_utf8(sink).expect("text")
    }

    #[test]
    fn lines_keep_the_packages_that_are_there() {
        let list = b"This file maps each file to its packages.\n\nFILE      LOCATION\n\
            bin/a                      utils/a\n\
            usr/a file with blanks\t   admin/b,non-free/utils/a,x11/c\n\
            usr/lib/c  x11/c\nusr/b b\n\xff utils/\xff\nusr/end utils/a";
        assert_eq!(
            filtered(list, &["a", "b"]),
            "bin/a                      utils/a\n\
             usr/a file with blanks\t   admin/b,non-free/utils/a\nusr/b b\nusr/end utils/a\n"
        );
        assert_eq!(filtered(list, &[]), "");
        assert_eq!(filtered(b"", &["a"]), "");
    }

    #[test]
    fn a_line_without_end_is_an_error() {
        let endless = io::repeat(b'a').take(1 << 24);
        assert!(filter(endless, &Names::new(), &mut Vec::new()).is_err());
    }
}
