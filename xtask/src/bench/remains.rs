//! What runs leave behind, kept until all is measured.
//!
//! ext4 gives nobody the inode of a file that was removed within the last minutes, and searches its
//! bitmaps for others: after a run whose 70,000 files are gone, the next one takes three times the
//! CPU to write its own. So files are only emptied, which frees their room, and go in the end. Two
//! benches within five minutes still disturb each other so.

use std::{
    fs::{self, OpenOptions},
    io,
    path::Path,
    sync::Mutex,
};

use anyhow::Result;
use tempfile::TempDir;

/// The folders of runs that are over; gone when dropped.
#[derive(Default)]
pub(super) struct Remains(Mutex<Vec<TempDir>>);

impl Remains {
    /// Takes what is in `folder` away, to a place beside it, and its room.
    pub(super) fn take(&self, folder: &Path) -> Result<()> {
        let place = tempfile::tempdir_in(folder.parent().unwrap_or(folder))?;
        let taken = place.path().join("taken");
        fs::rename(folder, &taken)?;
        empty(&taken)?;
        self.0.lock().expect("nobody panics while they hold it").push(place);
        Ok(())
    }
}

fn empty(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            empty(&entry.path())?;
        } else if kind.is_file() {
            OpenOptions::new().write(true).truncate(true).open(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_emptied_at_once_and_removed_in_the_end() -> Result<()> {
        let root = tempfile::tempdir()?;
        let (folder, other) = (root.path().join("run"), root.path().join("other"));
        fs::create_dir_all(folder.join("deep"))?;
        fs::write(folder.join("deep/file"), "bytes")?;
        fs::write(&other, "not ours")?;
        std::os::unix::fs::symlink(&other, folder.join("link"))?;
        let remains = Remains::default();
        remains.take(&folder)?;
        assert!(!folder.exists(), "it is in the next run's way");
        let taken = remains.0.lock().expect("unused")[0].path().join("taken");
        assert_eq!(fs::metadata(taken.join("deep/file"))?.len(), 0);
        drop(remains);
        assert_eq!(fs::read_dir(root.path())?.count(), 1);
        assert_eq!(fs::read_to_string(&other)?, "not ours");
        Ok(())
    }
}
