//! An installation: the folder, the database and the artifact store that belong together.
//!
//! Every verb (sync, publish, serve, clean up) starts from an [`Installation`]; it is cheap to
//! clone and holds no settings of a single run.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use pulp_models::{
    Keyring, VersionNumber,
    backup::DATABASE,
    db::{DatabaseUrl, Db, DbError},
    repository::Repository,
    store::{ArtifactStore, StoreError, StoreGuard},
    version::{self, Version},
};

use crate::key_files::{KeyFileError, KeyFiles};

/// How long an operation waits for an orphan cleanup to let go of the store.
const STORE_PATIENCE: Duration = Duration::from_secs(600);

/// Database and artifact store of one `HOME` folder.
#[derive(Clone)]
pub struct Installation {
    home: PathBuf,
    /// Rows: content, repositories, versions, tasks.
    pub db: Db,
    /// Bytes, by digest.
    pub store: ArtifactStore,
}

/// An installation that could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallationError {
    /// The home folder cannot be made or written to.
    #[error("Failed to create `{path}`")]
    Home {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The database cannot be opened or migrated.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The artifact store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key file needs another key, or cannot be read.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
}

impl Installation {
    /// Opens (and makes, on first use) everything below `home`. Without `database`, rows are kept
    /// in `HOME/pulp.sqlite3`. Migrations run here, under a lock.
    pub async fn open(
        home: &Path,
        database: Option<&DatabaseUrl>,
    ) -> Result<Self, InstallationError> {
        Self::open_with(home, database, Keyring::default()).await
    }

    /// [`Installation::open`], with secrets encrypted by `keyring`. One that it cannot decrypt is
    /// refused here.
    pub async fn open_with(
        home: &Path,
        database: Option<&DatabaseUrl>,
        keyring: Keyring,
    ) -> Result<Self, InstallationError> {
        let home_error = |source| InstallationError::Home { path: home.to_owned(), source };
        tokio::fs::create_dir_all(home).await.map_err(home_error)?;
        let home = tokio::fs::canonicalize(home).await.map_err(home_error)?;
        let embedded;
        let url = if let Some(url) = database {
            url
        } else {
            embedded = DatabaseUrl::sqlite(&home.join(DATABASE));
            &embedded
        };
        let db = Db::open_with(url, keyring).await?;
        KeyFiles::check(&home, db.keyring())?;
        let store = ArtifactStore::open(&home).await?;
        Ok(Self { home, db, store })
    }

    /// Holds the store against an orphan cleanup: what is saved and not yet part of a version or a
    /// publication stays. Waits for a cleanup that is under way.
    pub(crate) async fn share_store(&self) -> Result<StoreGuard, StoreError> {
        self.store.shared(STORE_PATIENCE).await
    }

    /// A version of `repository`, the latest if `None`.
    pub async fn version(
        &self,
        repository: &Repository,
        number: Option<VersionNumber>,
    ) -> Result<Version, DbError> {
        let id = repository.id;
        self.db
            .read(move |connection| {
                let number = match number {
                    Some(number) => number,
                    None => version::latest(connection, id)?,
                };
                version::get(connection, id, number)
            })
            .await
    }

    /// The private keys of the plugin called `plugin`.
    pub fn keys(&self, plugin: &str) -> KeyFiles {
        KeyFiles::new(&self.home, plugin, Arc::clone(self.db.keyring()))
    }

    /// The folder that holds everything.
    pub fn home(&self) -> &Path {
        &self.home
    }
}
