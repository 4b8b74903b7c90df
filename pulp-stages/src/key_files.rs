//! The private keys of plugins: files in `HOME/keys/PLUGIN/` that only their owner can read.
//!
//! What is in them is for their plugin to know. Where the installation has a
//! [`Keyring`], files are encrypted, each for its own place; those from before
//! stay as they are until [`KeyFiles::reseal`]. A file is made once and never replaced by another
//! key, whoever makes it first: clients trust it. Everything here blocks, and takes a file's time.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use pulp_models::{Keyring, keyring::SealError};

/// The folder below the home folder.
const FOLDER: &str = "keys";
/// Names of files that are being written begin so.
const DRAFT: &str = ".";

/// The key files of one plugin.
#[derive(Debug, Clone)]
pub struct KeyFiles {
    home: PathBuf,
    plugin: String,
    keyring: Arc<Keyring>,
}

/// A key file that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// What the system refused.
    #[error("Failed to {operation} key file `{}`", path.display())]
    Io {
        /// A verb.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is encrypted, and cannot be decrypted.
    #[error("Failed to decrypt key file `{}`", path.display())]
    Sealed {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SealError,
    },
}

impl KeyFileError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Io { .. } => None,
            Self::Sealed { source: SealError::Damaged, .. } => {
                Some("restore the file from a backup; it belongs to its own name and folder")
            }
            Self::Sealed { .. } => Some(
                "name the file with the key: `--secret-key-file FILE`, `PULP_SECRET_KEY_FILE` or \
                 `secret_key_file` in the settings file",
            ),
        }
    }
}

impl KeyFiles {
    /// Those of the plugin called `plugin` in the home folder `home`.
    pub fn new(home: &Path, plugin: &str, keyring: Arc<Keyring>) -> Self {
        Self { home: home.to_owned(), plugin: plugin.to_owned(), keyring }
    }

    /// What is in the file `name`; `None` if there is none.
    pub fn load(&self, name: &str) -> Result<Option<Vec<u8>>, KeyFileError> {
        let path = self.path(name);
        let Some(bytes) = read(&path)? else { return Ok(None) };
        match self.keyring.open_bytes(&self.place(name), bytes) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(source) => Err(KeyFileError::Sealed { path, source }),
        }
    }

    /// Makes the file `name`; false if there is one already, which stays.
    pub fn create(&self, name: &str, bytes: &[u8]) -> Result<bool, KeyFileError> {
        let draft = self.draft(name, bytes)?;
        let linked = fs::hard_link(&draft, self.path(name));
        let _ = fs::remove_file(&draft);
        match linked {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(source) => Err(failed("write", &self.path(name))(source)),
        }
    }

    /// The names of all files, sorted.
    pub fn names(&self) -> Result<Vec<String>, KeyFileError> {
        list(&self.home.join(FOLDER).join(&self.plugin))
    }

    /// Encrypts the files of all plugins in `home` again, with the keyring's first key; says how
    /// many there are. One that cannot be decrypted ends it.
    pub fn reseal(home: &Path, keyring: &Arc<Keyring>) -> Result<usize, KeyFileError> {
        let mut count = 0;
        for plugin in list(&home.join(FOLDER))? {
            let files = Self::new(home, &plugin, Arc::clone(keyring));
            for name in files.names()? {
                let Some(bytes) = files.load(&name)? else { continue };
                let draft = files.draft(&name, &bytes)?;
                let path = files.path(&name);
                fs::rename(&draft, &path).map_err(failed("write", &path))?;
                sync_folder(&path)?;
                count += 1;
            }
        }
        Ok(count)
    }

    /// Fails if a file in `home` is encrypted with a key that is not at hand.
    pub(crate) fn check(home: &Path, keyring: &Arc<Keyring>) -> Result<(), KeyFileError> {
        for plugin in list(&home.join(FOLDER))? {
            let files = Self::new(home, &plugin, Arc::clone(keyring));
            for path in files.names()?.iter().map(|name| files.path(name)) {
                let bytes = read(&path)?.unwrap_or_default();
                let checked =
                    std::str::from_utf8(&bytes).map_or(Ok(()), |text| keyring.check(text));
                checked.map_err(|source| KeyFileError::Sealed { path, source })?;
            }
        }
        Ok(())
    }

    /// Writes a file beside its place, so that nobody ever reads half of one.
    fn draft(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, KeyFileError> {
        let path = self.path(name);
        let folder = self.home.join(FOLDER).join(&self.plugin);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(failed("make the folder of", &path))?;
        let draft = folder.join(format!("{DRAFT}{name}.{}", uuid::Uuid::now_v7()));
        let sealed = self.keyring.seal_bytes(&self.place(name), bytes);
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft);
        let written = file.and_then(|mut file| {
            file.write_all(&sealed)?;
            file.sync_all()
        });
        written.map_err(failed("write", &path))?;
        Ok(draft)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.join(FOLDER).join(&self.plugin).join(name)
    }

    /// What an encrypted file is bound to.
    fn place(&self, name: &str) -> String {
        format!("{FOLDER}/{}/{name}", self.plugin)
    }
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeyFileError {
    let path = path.to_owned();
    move |source| KeyFileError::Io { operation, path, source }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, KeyFileError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed("read", path)(source)),
    }
}

/// The names in a folder but for drafts, sorted; none if there is no folder.
fn list(folder: &Path) -> Result<Vec<String>, KeyFileError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed("list", folder)(source)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed("list", folder))?.file_name();
        names.extend(name.into_string().ok().filter(|name| !name.starts_with(DRAFT)));
    }
    names.sort_unstable();
    Ok(names)
}

/// Makes a rename durable.
fn sync_folder(path: &Path) -> Result<(), KeyFileError> {
    let folder = path.parent().unwrap_or(path);
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("write", path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// Bytes that are no text.
    const KEY: &[u8] = b"\xffprivate";

    fn keyring(lines: &[&str]) -> Arc<Keyring> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        fs::write(&path, lines.join("\n")).expect("written");
        Arc::new(Keyring::load(&path).expect("keys"))
    }

    /// What is on disk of all files in the home folder's `keys`.
    fn on_disk(home: &Path) -> Vec<u8> {
        let folder = home.join("keys/deb");
        let files = fs::read_dir(folder).expect("listed").flatten();
        files.flat_map(|file| fs::read(file.path()).expect("read")).collect()
    }

    #[test]
    fn a_file_is_made_once_for_its_owners_eyes() {
        let home = tempfile::tempdir().expect("a folder");
        let files = KeyFiles::new(home.path(), "deb", Arc::default());
        assert_eq!(files.load("a").expect("read"), None);
        assert!(files.create("a", KEY).expect("made"));
        assert!(!files.create("a", b"another").expect("left alone"));
        assert_eq!(files.load("a").expect("read").as_deref(), Some(KEY));
        assert_eq!(files.names().expect("listed"), ["a"]);
        let mode = |path: &str| fs::metadata(home.path().join(path)).expect("there").permissions();
        assert_eq!(mode("keys/deb/a").mode() & 0o777, 0o600);
        assert_eq!(mode("keys/deb").mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(home.path().join("keys/deb")).expect("listed").count(), 1);
    }

    #[test]
    fn with_a_keyring_nothing_readable_is_on_disk() {
        let home = tempfile::tempdir().expect("a folder");
        let (old, new) = (Keyring::new_key(), Keyring::new_key());
        let plain = KeyFiles::new(home.path(), "deb", Arc::default());
        plain.create("before", KEY).expect("made");
        let with_old = keyring(&[&old]);
        let files = KeyFiles::new(home.path(), "deb", Arc::clone(&with_old));
        files.create("after", KEY).expect("made");
        assert_eq!(files.load("before").expect("read").as_deref(), Some(KEY), "not encrypted yet");
        assert_eq!(KeyFiles::reseal(home.path(), &with_old).expect("encrypted"), 2);
        let holds = |bytes: &[u8]| bytes.windows(KEY.len()).any(|window| window == KEY);
        assert!(!holds(&on_disk(home.path())));

        let both = keyring(&[&new, &old]);
        assert_eq!(KeyFiles::reseal(home.path(), &both).expect("encrypted again"), 2);
        let with_new = keyring(&[&new]);
        KeyFiles::check(home.path(), &with_new).expect("the old key is not needed any more");
        let files = KeyFiles::new(home.path(), "deb", with_new);
        for name in ["before", "after"] {
            assert_eq!(files.load(name).expect("read").as_deref(), Some(KEY));
        }
        assert_eq!(files.names().expect("listed"), ["after", "before"]);
        for wrong in [with_old, Arc::default()] {
            let error = KeyFiles::check(home.path(), &wrong).expect_err("it needs the new key");
            assert!(error.to_string().contains("keys/deb/after"), "{error}");
            assert!(error.hint().is_some_and(|hint| hint.contains("--secret-key-file")));
            let files = KeyFiles::new(home.path(), "deb", wrong);
            files.load("after").expect_err("it needs the new key");
            assert!(!files.create("after", b"another").expect("left alone"), "it is not replaced");
        }
    }

    #[test]
    fn an_encrypted_file_is_of_no_use_under_another_name() {
        let home = tempfile::tempdir().expect("a folder");
        let files = KeyFiles::new(home.path(), "deb", keyring(&[&Keyring::new_key()]));
        files.create("a", KEY).expect("made");
        fs::rename(home.path().join("keys/deb/a"), home.path().join("keys/deb/b")).expect("moved");
        let error = files.load("b").expect_err("not its own");
        assert!(matches!(error, KeyFileError::Sealed { source: SealError::Damaged, .. }));
    }
}
