//! Where an export goes: a folder, or one tar archive with the same files in it.
//!
//! Files are added one after the other, each read as a stream, so no export takes memory. An archive
//! gets its name when it is whole; an export that fails before leaves none.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Read, Write as _},
    path::{Path, PathBuf},
};

use super::ExportError;

/// Ending of a name by which an archive is wanted.
const ARCHIVE: &str = "tar";

/// See the module.
pub(super) enum Target {
    /// Must be empty, or not there yet.
    Folder(PathBuf),
    /// Must not be there yet.
    Archive(Archive),
}

/// An archive that is being written.
pub(super) struct Archive {
    path: PathBuf,
    draft: PathBuf,
    /// `None` once it is whole.
    builder: Option<tar::Builder<BufWriter<File>>>,
}

impl Target {
    /// Makes what files are to be added to.
    pub(super) fn create(path: &Path) -> Result<Self, ExportError> {
        if path.extension().is_none_or(|extension| extension != ARCHIVE) {
            create_folder(path)?;
            let mut entries = fs::read_dir(path).map_err(failed(path))?;
            return match entries.next() {
                Some(_) => Err(ExportError::NotEmpty(path.into())),
                None => Ok(Self::Folder(path.into())),
            };
        }
        if path.exists() {
            return Err(ExportError::Exists(path.into()));
        }
        let mut draft = path.as_os_str().to_owned();
        draft.push(format!(".part-{}", std::process::id()));
        let draft = PathBuf::from(draft);
        let file = File::create_new(&draft).map_err(failed(&draft))?;
        let builder = Some(tar::Builder::new(BufWriter::new(file)));
        Ok(Self::Archive(Archive { path: path.into(), draft, builder }))
    }

    /// Adds a file of `size` bytes.
    pub(super) fn add(
        &mut self,
        name: &str,
        size: u64,
        mut from: impl Read,
    ) -> Result<(), ExportError> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(name);
                create_folder(path.parent().unwrap_or(folder))?;
                File::create_new(&path)
                    .and_then(|mut to| io::copy(&mut from, &mut to))
                    .map(drop)
                    .map_err(failed(&path))
            }
            Self::Archive(archive) => archive.add(name, size, from),
        }
    }

    /// The end: what was added is there to stay.
    pub(super) fn finish(self) -> Result<(), ExportError> {
        match self {
            Self::Folder(_) => Ok(()),
            Self::Archive(archive) => archive.finish(),
        }
    }
}

impl Archive {
    /// Nothing but the bytes decides what the archive looks like.
    fn add(&mut self, name: &str, size: u64, from: impl Read) -> Result<(), ExportError> {
        let Some(builder) = &mut self.builder else { return Ok(()) };
        let mut header = tar::Header::new_gnu();
        header.set_size(size);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, from).map_err(failed(&self.draft))
    }

    fn finish(mut self) -> Result<(), ExportError> {
        let Some(builder) = self.builder.take() else { return Ok(()) };
        let written = builder.into_inner().and_then(|mut buffer| {
            buffer.flush()?;
            buffer.get_ref().sync_all()
        });
        let placed = written.and_then(|()| fs::rename(&self.draft, &self.path));
        placed.map_err(|source| {
            // What the drop below would have done.
            let _ = fs::remove_file(&self.draft);
            ExportError::Write { path: self.path.clone(), source }
        })
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        if self.builder.is_some() {
            let _ = fs::remove_file(&self.draft);
        }
    }
}

fn create_folder(folder: &Path) -> Result<(), ExportError> {
    fs::create_dir_all(folder).map_err(failed(folder))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> ExportError + use<> {
    let path = path.to_owned();
    |source| ExportError::Write { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_holds_what_a_folder_would() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // Longer than a name in the oldest format may be.
        let name = format!("blobs/sha512/{}", "0".repeat(128));
        let path = folder.path().join("x.tar");
        let mut target = Target::create(&path).expect("made");
        target.add(&name, 3, &b"abc"[..]).expect("added");
        target.add("index.json", 2, &b"{}"[..]).expect("added");
        assert!(!path.exists());
        target.finish().expect("whole");
        let mut archive = tar::Archive::new(File::open(&path).expect("there"));
        let mut found = Vec::new();
        for entry in archive.entries().expect("an archive") {
            let mut entry = entry.expect("an entry");
            let name = entry.path().expect("a name").display().to_string();
            let mut text = String::new();
            entry.read_to_string(&mut text).expect("text");
            found.push((name, text));
        }
        assert_eq!(found, [(name, "abc".to_owned()), ("index.json".into(), "{}".into())]);
        assert!(matches!(Target::create(&path), Err(ExportError::Exists(_))));
    }

    #[test]
    fn what_is_given_up_leaves_no_archive() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut target = Target::create(&folder.path().join("x.tar")).expect("made");
        target.add("index.json", 2, &b"{}"[..]).expect("added");
        drop(target);
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 0);
    }
}
