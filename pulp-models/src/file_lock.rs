//! File locks of the operating system (`flock`): they die with the process that holds them.
//!
//! Below the store's lock and the repository locks, above nothing. The locked files hold no data that
//! matters and are never deleted: two processes that locked two files of one name would both win.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::Path,
};

/// A held lock; dropping it lets go.
#[derive(Debug)]
pub(crate) struct FileLock {
    _file: File,
}

/// Who else may hold the same lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Everybody else who asks for a shared lock.
    Shared,
    /// Nobody.
    Exclusive,
}

impl FileLock {
    /// Takes the lock on the file at `path`, made if it does not exist, or returns `None` at once.
    /// Two opens within one process exclude each other like two processes.
    pub(crate) fn try_take(path: &Path, mode: Mode) -> io::Result<Option<Self>> {
        let file = Self::open(path)?;
        let taken = match mode {
            Mode::Shared => file.try_lock_shared(),
            Mode::Exclusive => file.try_lock(),
        };
        match taken {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Waits for the exclusive lock. For locks that are only ever held for a moment: the wait blocks
    /// the thread and cannot be cancelled.
    pub(crate) fn take(path: &Path) -> io::Result<Self> {
        let file = Self::open(path)?;
        file.lock()?;
        Ok(Self { _file: file })
    }

    fn open(path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
    }
}
