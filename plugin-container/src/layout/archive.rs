//! A layout in one tar archive: where in it each file lies, so that files can be read where they are.
//!
//! The archive is walked once, from header to header; nothing is unpacked and no content is read.
//! Compressed archives have no such places and are refused.

use std::{collections::HashMap, fs::File, io};

/// Longest name that is kept, and most files; a layout's names are short.
const MAX_NAME: usize = 300;
const MOST_FILES: usize = 10_000_000;

/// Where files lie: first byte and length, by name.
pub(super) type Places = HashMap<Box<str>, (u64, u64)>;

/// Walks the archive.
pub(super) fn places(file: File) -> io::Result<Places> {
    let mut places = Places::new();
    let mut archive = tar::Archive::new(file);
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path()?;
        let Some(name) = path.to_str() else { continue };
        let name = name.strip_prefix("./").unwrap_or(name);
        if name.len() <= MAX_NAME && places.len() < MOST_FILES {
            places.insert(name.into(), (entry.raw_file_position(), entry.size()));
        }
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};

    use super::*;

    #[test]
    fn places_are_where_the_bytes_are() {
        let mut file = tempfile::tempfile().expect("a temporary file");
        let mut builder = tar::Builder::new(Vec::new());
        for (name, text) in [("./index.json", "{}"), ("blobs/sha256/00", "content")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            builder.append_data(&mut header, name, text.as_bytes()).expect("added");
        }
        let bytes = builder.into_inner().expect("whole");
        file.write_all(&bytes).expect("written");
        file.rewind().expect("rewound");
        let places = places(file).expect("an archive");
        let at = |name: &str| {
            let (first, length) = places[name];
            let range = usize::try_from(first).expect("small")..;
            std::str::from_utf8(&bytes[range][..usize::try_from(length).expect("small")])
        };
        assert_eq!(at("index.json"), Ok("{}"));
        assert_eq!(at("blobs/sha256/00"), Ok("content"));
    }

    #[test]
    fn what_is_no_archive_is_an_error() {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(&[0x1f, 0x8b].repeat(600)).expect("written");
        file.rewind().expect("rewound");
        assert!(places(file).is_err());
    }
}
