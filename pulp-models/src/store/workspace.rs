//! Temporary files, and how those of dead processes are told from those of living ones.
//!
//! Each open store owns one folder `HOME/tmp/<process>/` with a locked file `alive` in it. The lock
//! dies with the process, however it dies; whoever can take it may sweep the folder. Nothing else in
//! HOME is ever temporary.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use uuid::Uuid;

use super::StoreError;
use crate::file_lock::{FileLock, Mode};

/// The proof of life within a process folder.
const ALIVE: &str = "alive";

/// This process's folder of temporary files. Dropped with the last file in it.
#[derive(Debug)]
pub(super) struct Workspace {
    path: PathBuf,
    next: AtomicU64,
    _alive: FileLock,
}

impl Workspace {
    /// Removes the folders of dead processes in `tmp`, then makes an own one.
    ///
    /// `gate` is locked while a folder is made and while the dead are told from the living: without
    /// it, a folder made but not yet locked would look dead.
    pub(super) fn open(tmp: &Path, gate: &Path) -> Result<Self, StoreError> {
        let closed = FileLock::take(gate).map_err(StoreError::io("lock", gate))?;
        let dead = dead_folders(tmp)?;
        let workspace = Self::create(tmp)?;
        drop(closed);
        for (folder, lock) in dead {
            tracing::info!(folder = %folder.display(), "Removing temporary files of a dead process");
            remove_folder(&folder)?;
            drop(lock);
        }
        Ok(workspace)
    }

    fn create(tmp: &Path) -> Result<Self, StoreError> {
        let name = format!("{}-{}", std::process::id(), Uuid::now_v7().simple());
        let path = tmp.join(name);
        fs::create_dir(&path).map_err(StoreError::io("create", &path))?;
        let alive = path.join(ALIVE);
        let lock = FileLock::take(&alive).map_err(StoreError::io("lock", &alive))?;
        Ok(Self { path, next: AtomicU64::new(0), _alive: lock })
    }

    /// A new, empty temporary file.
    pub(super) fn temp_file(self: &Arc<Self>) -> Result<TempFile, StoreError> {
        let path = self.path.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(StoreError::io("create", &path))?;
        Ok(TempFile { path, file: Arc::new(file), moved: false, _workspace: self.clone() })
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if let Err(error) = remove_folder(&self.path) {
            tracing::warn!(%error, "Temporary files stay until the next start");
        }
    }
}

/// A file in the workspace; dropping it removes it.
#[derive(Debug)]
pub(super) struct TempFile {
    path: PathBuf,
    file: Arc<File>,
    moved: bool,
    _workspace: Arc<Workspace>,
}

impl TempFile {
    /// The open file. Handles stay readable after [`TempFile::move_to`] and after the drop.
    pub(super) fn file(&self) -> &Arc<File> {
        &self.file
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file its final name, replacing what is there. After an error it is where it was.
    pub(super) fn move_to(&mut self, target: &Path) -> io::Result<()> {
        fs::rename(&self.path, target)?;
        self.moved = true;
        Ok(())
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !self.moved
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "A temporary file stays until the next start");
        }
    }
}

/// The folders in `tmp` whose owner is dead, each with its lock, now ours. A folder without a
/// locked file was left half made or half removed.
fn dead_folders(tmp: &Path) -> Result<Vec<(PathBuf, Option<FileLock>)>, StoreError> {
    let mut dead = Vec::new();
    for entry in fs::read_dir(tmp).map_err(StoreError::io("list", tmp))? {
        let entry = entry.map_err(StoreError::io("list", tmp))?;
        let path = entry.path();
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let alive = path.join(ALIVE);
        if !alive.exists() {
            dead.push((path, None));
        } else if let Some(lock) =
            FileLock::try_take(&alive, Mode::Exclusive).map_err(StoreError::io("lock", &alive))?
        {
            dead.push((path, Some(lock)));
        }
    }
    Ok(dead)
}

/// Removes a folder, which somebody else may be removing too.
fn remove_folder(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let home = tempfile::tempdir().expect("temporary folder");
        let (tmp, gate) = (home.path().join("tmp"), home.path().join("gate"));
        fs::create_dir(&tmp).expect("created");
        (home, tmp, gate)
    }

    #[test]
    fn folders_of_dead_owners_are_swept_and_those_of_living_ones_stay() {
        let (_home, tmp, gate) = home();
        for (name, file) in [("1-dead", ALIVE), ("2-half-made", "0")] {
            fs::create_dir(tmp.join(name)).expect("created");
            fs::write(tmp.join(name).join(file), "x").expect("written");
        }
        let living = Arc::new(Workspace::open(&tmp, &gate).expect("opens"));
        let file = living.temp_file().expect("created");
        let second = Workspace::open(&tmp, &gate).expect("opens");
        assert!(!tmp.join("1-dead").exists() && !tmp.join("2-half-made").exists());
        assert!(file.path().exists() && second.path.exists());
        drop((living, second));
        assert!(file.path().exists(), "a file keeps its folder alive");
        drop(file);
        assert_eq!(fs::read_dir(&tmp).expect("listed").count(), 0);
    }
}
