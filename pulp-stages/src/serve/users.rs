//! Users and their passwords: a file as `htpasswd -B` writes it.
//!
//! Passwords are compared on the blocking pool, a few at a time, since bcrypt is slow on purpose; what
//! was compared is remembered for a while, under a keyed digest, so that a client that sends its
//! password with every request costs one comparison. Unknown names take as long as wrong passwords.
//! The file is read again when it changes. What users may do is their plugin's business.

use std::{
    collections::HashMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use ring::{hmac, rand::SystemRandom};
use tokio::sync::Semaphore;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a comparison is remembered.
const REMEMBERED: Duration = Duration::from_secs(600);
/// Comparisons that are remembered, of right and of wrong passwords each.
const MOST_REMEMBERED: usize = 4096;
/// Comparisons at once.
const AT_ONCE: usize = 2;
/// Comparisons that may wait for their turn; further ones are refused.
const MOST_WAITING: usize = 64;
/// Largest cost of a hash; each step doubles the time, which is some 4 s for this one.
const MAX_COST: u32 = 16;

/// Who may log in. Cheap to clone; clones share what they remember.
#[derive(Clone)]
pub struct Users {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    file: Mutex<Seen>,
    /// Keys what is remembered, so that memory holds no digest that could be tried elsewhere.
    key: hmac::Key,
    right: Memory,
    wrong: Memory,
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// The file as it was last read.
struct Seen {
    hashes: Arc<Hashes>,
    stamp: Stamp,
    looked: Instant,
}

/// bcrypt hashes by name.
type Hashes = HashMap<String, String>;

/// What changes when the file does.
type Stamp = (u64, Option<SystemTime>);

/// A users file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UsersError {
    /// The file cannot be read.
    #[error("Failed to read users file `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line is not what `htpasswd -B` writes.
    #[error("Line {line} of users file `{path}` {problem}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The system has no randomness to give.
    #[error("Failed to make a random key")]
    Random,
}

/// Too many passwords wait to be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Too many log-ins at once")]
pub struct Busy;

impl Users {
    /// Reads the file. Lines are `NAME:HASH` with a bcrypt hash; empty lines and lines that begin with
    /// `#` don't count.
    pub fn open(path: &Path) -> Result<Self, UsersError> {
        let (hashes, stamp) = read(path)?;
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| UsersError::Random)?;
        let seen = Seen { hashes: Arc::new(hashes), stamp, looked: Instant::now() };
        let inner = Inner {
            path: path.to_owned(),
            file: Mutex::new(seen),
            key,
            right: Memory::default(),
            wrong: Memory::default(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: AtomicUsize::new(0),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Whether there is a user called `name`.
    pub async fn contains(&self, name: &str) -> bool {
        self.hashes().await.contains_key(name)
    }

    /// Whether `name` is a user and `password` is right.
    pub async fn check(&self, name: &str, password: &str) -> Result<bool, Busy> {
        let hashes = self.hashes().await;
        // Somebody else's hash, so that an unknown name takes its time, too.
        let Some(hash) = hashes.get(name).or_else(|| hashes.values().next()) else {
            return Ok(false);
        };
        let is_known = hashes.contains_key(name);
        let digest = self.digest(name, password, hash);
        if let Some(is_right) = self.remembered(&digest) {
            return Ok(is_right);
        }
        let _place = Place::take(&self.inner)?;
        let turn = Arc::clone(&self.inner.turns).acquire_owned().await.map_err(|_| Busy)?;
        // Those who waited with the same password need no comparison of their own.
        if let Some(is_right) = self.remembered(&digest) {
            return Ok(is_right);
        }
        let (password, hash) = (password.to_owned(), hash.clone());
        let compare = tokio::task::spawn_blocking(move || {
            let is_equal = bcrypt::verify(password, &hash).unwrap_or(false);
            drop(turn);
            is_equal
        });
        let is_right = compare.await.unwrap_or(false) && is_known;
        if is_right { &self.inner.right } else { &self.inner.wrong }.keep(digest);
        Ok(is_right)
    }

    fn remembered(&self, digest: &Digest) -> Option<bool> {
        if self.inner.right.has(digest) {
            Some(true)
        } else {
            self.inner.wrong.has(digest).then_some(false)
        }
    }

    /// Names a comparison; the hash is part of it, so that a changed password is compared anew.
    fn digest(&self, name: &str, password: &str, hash: &str) -> Digest {
        let mut context = hmac::Context::with_key(&self.inner.key);
        for field in [name, password, hash] {
            context.update(&(field.len() as u64).to_le_bytes());
            context.update(field.as_bytes());
        }
        context.sign().as_ref().to_vec()
    }

    /// The users as the file has them now. A file that cannot be used any more changes nothing.
    async fn hashes(&self) -> Arc<Hashes> {
        {
            let mut seen = lock(&self.inner.file);
            if seen.looked.elapsed() < LOOK_EVERY {
                return Arc::clone(&seen.hashes);
            }
            // Others go on with what is there meanwhile.
            seen.looked = Instant::now();
        }
        let users = self.clone();
        let look = tokio::task::spawn_blocking(move || users.look());
        if let Ok(Err(error)) = look.await {
            tracing::error!(%error, "The users file cannot be used; the last good one counts");
        }
        Arc::clone(&lock(&self.inner.file).hashes)
    }

    fn look(&self) -> Result<(), UsersError> {
        let path = &self.inner.path;
        if stamp(path)? == lock(&self.inner.file).stamp {
            return Ok(());
        }
        let (hashes, stamp) = read(path)?;
        let mut seen = lock(&self.inner.file);
        (seen.hashes, seen.stamp) = (Arc::new(hashes), stamp);
        Ok(())
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").field("path", &self.inner.path).finish_non_exhaustive()
    }
}

/// A place in the queue of comparisons.
struct Place<'a>(&'a Inner);

impl<'a> Place<'a> {
    fn take(inner: &'a Inner) -> Result<Self, Busy> {
        let place = Self(inner);
        let before = inner.waiting.fetch_add(1, Ordering::Relaxed);
        if before < MOST_WAITING + AT_ONCE { Ok(place) } else { Err(Busy) }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

type Digest = Vec<u8>;

/// Digests of comparisons of one outcome, and when they were made.
#[derive(Default)]
struct Memory(Mutex<HashMap<Digest, Instant>>);

impl Memory {
    fn has(&self, digest: &Digest) -> bool {
        lock(&self.0).get(digest).is_some_and(|made| made.elapsed() < REMEMBERED)
    }

    fn keep(&self, digest: Digest) {
        let mut memory = lock(&self.0);
        if memory.len() >= MOST_REMEMBERED {
            memory.retain(|_, made| made.elapsed() < REMEMBERED);
        }
        if memory.len() >= MOST_REMEMBERED {
            memory.clear();
        }
        memory.insert(digest, Instant::now());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stamp(path: &Path) -> Result<Stamp, UsersError> {
    let metadata = std::fs::metadata(path).map_err(unreadable(path))?;
    Ok((metadata.len(), metadata.modified().ok()))
}

fn read(path: &Path) -> Result<(Hashes, Stamp), UsersError> {
    // Before the bytes: a change in between is seen at the next look.
    let stamp = stamp(path)?;
    let text = std::fs::read_to_string(path).map_err(unreadable(path))?;
    let mut hashes = Hashes::new();
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let wrong = |problem| UsersError::Line { path: path.to_owned(), line, problem };
        let (name, hash) = text.split_once(':').ok_or_else(|| wrong("is not `NAME:HASH`"))?;
        if name.is_empty() {
            return Err(wrong("names no user"));
        }
        let parts: bcrypt::HashParts =
            hash.parse().map_err(|_| wrong("has no bcrypt hash, as `htpasswd -B` makes it"))?;
        if parts.get_cost() > MAX_COST {
            return Err(wrong("has a hash of a cost above 16, which takes too long to compare"));
        }
        if hashes.insert(name.to_owned(), hash.to_owned()).is_some() {
            return Err(wrong("names a user a second time"));
        }
    }
    Ok((hashes, stamp))
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> UsersError + use<> {
    let path = path.to_owned();
    |source| UsersError::Read { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `htpasswd -nbB alice secret` and `htpasswd -nbB bob other`.
    const FILE: &str = "\
        # people\n\
        alice:$2y$05$d2NtQPL.7uBoySvjGYE24eqGQF1pTz5hjn54X2nZqnAGkEsuOhA1e\n\
        \n\
        bob:$2y$05$wUluQYm1i5kVSgQKArguW.dguTCyNkwtBz.wwqMAp0HZKG/1ngwtG\n";

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), text).expect("written");
        file
    }

    #[tokio::test]
    async fn only_the_right_password_of_a_known_user_is_right() {
        let file = file(FILE);
        let users = Users::open(file.path()).expect("opens");
        for _ in 0..2 {
            assert_eq!(users.check("alice", "secret").await, Ok(true));
            assert_eq!(users.check("alice", "other").await, Ok(false));
            assert_eq!(users.check("bob", "other").await, Ok(true));
            assert_eq!(users.check("bob", "secret").await, Ok(false));
            assert_eq!(users.check("", "").await, Ok(false));
            // The first hash of the file is compared for names that are not in it.
            assert_eq!(users.check("carol", "secret").await, Ok(false));
            assert_eq!(users.check("carol", "other").await, Ok(false));
        }
        assert!(users.contains("alice").await && !users.contains("carol").await);
    }

    #[tokio::test]
    async fn a_password_is_compared_once_and_again_when_its_hash_changes() {
        let file = file(FILE);
        let users = Users::open(file.path()).expect("opens");
        assert_eq!(users.check("alice", "secret").await, Ok(true));
        // Nobody gets a turn any more: what is answered now is remembered.
        users.inner.turns.close();
        assert_eq!(users.check("alice", "secret").await, Ok(true));
        assert_eq!(users.check("alice", "else").await, Err(Busy));
        std::fs::write(file.path(), FILE.lines().last().expect("bob")).expect("written");
        users.look().expect("reads");
        assert!(!users.contains("alice").await);
    }

    #[test]
    fn a_file_that_is_wrong_is_refused_by_its_line() {
        for (text, problem) in [
            ("alice", "Line 1 of users file `F` is not `NAME:HASH`"),
            ("\n:x", "Line 2 of users file `F` names no user"),
            ("a:{SHA}x", "Line 1 of users file `F` has no bcrypt hash, as `htpasswd -B` makes it"),
            (
                "a:$2y$20$d2NtQPL.7uBoySvjGYE24eqGQF1pTz5hjn54X2nZqnAGkEsuOhA1e",
                "Line 1 of users file `F` has a hash of a cost above 16, which takes too long to compare",
            ),
            (&format!("{FILE}{FILE}"), "Line 6 of users file `F` names a user a second time"),
        ] {
            let file = file(text);
            let error = Users::open(file.path()).expect_err(text).to_string();
            assert_eq!(error.replace(&file.path().display().to_string(), "F"), problem);
        }
    }

    #[test]
    fn too_many_who_wait_are_refused() {
        let file = file(FILE);
        let users = Users::open(file.path()).expect("opens");
        let places: Vec<_> = (0..MOST_WAITING + AT_ONCE)
            .map(|_| Place::take(&users.inner).expect("a place"))
            .collect();
        assert!(Place::take(&users.inner).is_err());
        drop(places);
        assert!(Place::take(&users.inner).is_ok());
    }
}
