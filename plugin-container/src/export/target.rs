//! Where an export goes: a folder, or one tar archive with the same files in it.
//!
//! Files are added one after the other, each read as a stream, so no export takes memory. An archive
//! gets its name when it is whole; an export that fails or is interrupted before leaves none, and a
//! folder as it was.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::{self, File},
    io::{self, BufWriter, Read, Write as _},
    path::{Path, PathBuf},
};

use tokio_util::sync::CancellationToken;

use super::ExportError;

/// Ending of a name by which an archive is wanted.
const ARCHIVE: &str = "tar";

/// See the module.
pub(super) struct Target {
    to: To,
    cancel: CancellationToken,
}

enum To {
    Folder(Folder),
    Archive(Archive),
}

/// A folder that is being filled.
struct Folder {
    path: PathBuf,
    /// Whether it was made for this.
    made: bool,
    /// The folders and files in it by now; none once it is whole.
    entries: BTreeSet<OsString>,
    whole: bool,
}

/// An archive that is being written.
struct Archive {
    path: PathBuf,
    draft: PathBuf,
    /// `None` once it is whole.
    builder: Option<tar::Builder<BufWriter<File>>>,
}

impl Target {
    /// Makes what files are to be added to, until `cancel` fires. A folder must be empty, or not there
    /// yet; an archive must not be there.
    pub(super) fn create(path: &Path, cancel: CancellationToken) -> Result<Self, ExportError> {
        let is_archive = path.extension().is_some_and(|extension| extension == ARCHIVE);
        let to = if is_archive {
            To::Archive(Archive::create(path)?)
        } else {
            To::Folder(Folder::create(path)?)
        };
        Ok(Self { to, cancel })
    }

    /// Adds a file of `size` bytes.
    pub(super) fn add(
        &mut self,
        name: &str,
        size: u64,
        from: impl Read,
    ) -> Result<(), ExportError> {
        let from = Stoppable { from, cancel: &self.cancel };
        let added = match &mut self.to {
            To::Folder(folder) => folder.add(name, from),
            To::Archive(archive) => archive.add(name, size, from),
        };
        // What failed then failed for that.
        if self.cancel.is_cancelled() { Err(ExportError::Cancelled) } else { added }
    }

    /// The end: what was added is there to stay.
    pub(super) fn finish(self) -> Result<(), ExportError> {
        match self.to {
            To::Folder(folder) => {
                folder.finish();
                Ok(())
            }
            To::Archive(archive) => archive.finish(),
        }
    }
}

/// Bytes that come no more once the user has asked for an early end.
struct Stoppable<'a, R> {
    from: R,
    cancel: &'a CancellationToken,
}

impl<R: Read> Read for Stoppable<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::other("Interrupted"));
        }
        self.from.read(into)
    }
}

impl Folder {
    fn create(path: &Path) -> Result<Self, ExportError> {
        let made = !path.exists();
        create_folder(path)?;
        let mut entries = fs::read_dir(path).map_err(failed(path))?;
        if entries.next().is_some() {
            return Err(ExportError::NotEmpty(path.into()));
        }
        Ok(Self { path: path.into(), made, entries: BTreeSet::new(), whole: false })
    }

    fn add(&mut self, name: &str, mut from: impl Read) -> Result<(), ExportError> {
        let path = self.path.join(name);
        self.entries.extend(Path::new(name).iter().next().map(ToOwned::to_owned));
        create_folder(path.parent().unwrap_or(&self.path))?;
        File::create_new(&path)
            .and_then(|mut to| io::copy(&mut from, &mut to))
            .map(drop)
            .map_err(failed(&path))
    }

    fn finish(mut self) {
        self.whole = true;
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.whole {
            return;
        }
        // What cannot be removed is in the way of the next export, which will say so.
        for entry in &self.entries {
            let path = self.path.join(entry);
            let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        }
        if self.made {
            let _ = fs::remove_dir(&self.path);
        }
    }
}

impl Archive {
    fn create(path: &Path) -> Result<Self, ExportError> {
        if path.exists() {
            return Err(ExportError::Exists(path.into()));
        }
        let mut draft = path.as_os_str().to_owned();
        draft.push(format!(".part-{}", std::process::id()));
        let draft = PathBuf::from(draft);
        let file = File::create_new(&draft).map_err(failed(&draft))?;
        let builder = Some(tar::Builder::new(BufWriter::new(file)));
        Ok(Self { path: path.into(), draft, builder })
    }

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
        let mut target = Target::create(&path, CancellationToken::new()).expect("made");
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
        assert!(matches!(
            Target::create(&path, CancellationToken::new()),
            Err(ExportError::Exists(_))
        ));
    }

    #[test]
    fn what_is_given_up_leaves_no_archive() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let count = |path: &Path| fs::read_dir(path).expect("there").count();
        let given = folder.path().join("given");
        fs::create_dir(&given).expect("made");
        for path in [folder.path().join("x.tar"), folder.path().join("made"), given.clone()] {
            let cancel = CancellationToken::new();
            let mut target = Target::create(&path, cancel.clone()).expect("made");
            target.add("blobs/sha256/00", 2, &b"{}"[..]).expect("added");
            target.add("index.json", 2, &b"{}"[..]).expect("added");
            assert!(count(folder.path()) > 1 || count(&given) > 1);
            cancel.cancel();
            let refused = target.add("oci-layout", 2, &b"{}"[..]).expect_err("too late");
            assert!(matches!(refused, ExportError::Cancelled));
            drop(target);
            assert_eq!((count(folder.path()), count(&given)), (1, 0), "{}", path.display());
        }
    }
}
