//! Backups: a copy of the embedded database and of every artifact it names, while others work.
//!
//! A backup is a home of its own: it is restored by being copied, and can be checked, synchronised and
//! served where it lies. The database is copied first, as one snapshot (`VACUUM INTO`), then the
//! artifacts that the snapshot names, each verified on its way, under the shared store lock, so that
//! nobody deletes one of them; only then does the snapshot take the place of an older one. So a backup
//! that was cut off leaves the one before it whole. A further backup into the same folder copies what
//! is new and removes what is no longer named.
//!
//! Which other files belong to an installation (keys, settings) is known above this crate. How a
//! PostgreSQL database is dumped is its administrator's business: of one, only the artifacts are
//! copied that it names at the beginning, and none is removed.

use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use diesel::{Connection as _, SqliteConnection, connection::SimpleConnection as _};
use serde::Serialize;
use tokio::io::AsyncReadExt as _;

use crate::{
    ArtifactStore, Db, DbError, Expected, Sha256,
    check::artifacts,
    db::{Backend, Connection, Session},
    file_lock::{FileLock, Mode},
    store::{StoreError, Verified, VerifyError},
};

/// The embedded database's name in a home.
pub const DATABASE: &str = "pulp.sqlite3";
/// What the snapshot is called until everything that it names is there.
const SNAPSHOT: &str = "pulp.sqlite3.partial";
/// How long a backup waits for an orphan cleanup to let go of the store.
const PATIENCE: Duration = Duration::from_secs(600);
/// A batch is saved once it has so many artifacts, or so many bytes of them in memory.
const BATCH: usize = 500;
const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// What was copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct BackedUp {
    /// Whether the database is in the backup.
    pub database: bool,
    /// Artifacts that the database names.
    pub artifacts: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Artifacts that were not in the backup yet.
    pub copied: u64,
    /// Artifacts of an older backup that nothing names any more.
    pub removed: u64,
    /// Artifacts that the store does not have, or has wrong bytes for.
    pub lost: u64,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The folder holds something else.
    #[error("`{}` is neither empty nor an earlier backup", .0.display())]
    Foreign(PathBuf),
    /// Another backup into the same folder runs.
    #[error("Another backup into `{}` is running", .0.display())]
    Running(PathBuf),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The artifact store, or the backup's, failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The folder cannot be used.
    #[error("Failed to {operation} `{}`", path.display())]
    Io {
        /// A verb.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Makes `folder` a backup, or brings the one that is there up to date. `lost` hears of artifacts that
/// cannot be copied. Dropping the future leaves an older backup as it was.
pub async fn back_up(
    db: &Db,
    store: &ArtifactStore,
    folder: &Path,
    mut lost: impl FnMut(Sha256),
) -> Result<BackedUp, BackupError> {
    let _alone = prepare(folder, store)?;
    let backup = Backup { from: store, to: ArtifactStore::open(folder).await?, folder };
    let _nobody_deletes = store.shared(PATIENCE).await?;
    let database = db.url().sqlite_path().is_some();
    let mut sum = BackedUp { database, ..BackedUp::default() };
    if database {
        backup.snapshot(db).await?;
    }
    for first in 0..=u8::MAX {
        let rows = if database {
            named(folder.join(SNAPSHOT), first).await?
        } else {
            db.read(move |connection| artifacts(connection, first)).await?
        };
        sum.artifacts += rows.len() as u64;
        sum.bytes += rows.values().sum::<u64>();
        backup.copy(first, rows, &mut sum, &mut lost).await?;
    }
    if database {
        backup.complete()?;
        for first in 0..=u8::MAX {
            sum.removed += backup.sweep(first).await?;
        }
    }
    Ok(sum)
}

/// Makes the folder; held until dropped, it is nobody else's.
fn prepare(folder: &Path, store: &ArtifactStore) -> Result<FileLock, BackupError> {
    fs::create_dir_all(folder).map_err(failed("create", folder))?;
    // A home that was restored looks like the backup it was.
    let canonical = fs::canonicalize(folder).map_err(failed("inspect", folder))?;
    if store.path(&Sha256::of(b"")).starts_with(canonical) {
        return Err(BackupError::Foreign(folder.to_owned()));
    }
    let entries = fs::read_dir(folder).map_err(failed("list", folder))?;
    let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
    let names: HashSet<_> = names.collect::<Result<_, _>>().map_err(failed("list", folder))?;
    let lock = folder.join("backup.lock");
    if !names.is_empty() && !names.contains(lock.file_name().unwrap_or_default()) {
        return Err(BackupError::Foreign(folder.to_owned()));
    }
    let taken = FileLock::try_take(&lock, Mode::Exclusive).map_err(failed("lock", &lock))?;
    taken.ok_or_else(|| BackupError::Running(folder.to_owned()))
}

struct Backup<'a> {
    from: &'a ArtifactStore,
    to: ArtifactStore,
    folder: &'a Path,
}

impl Backup<'_> {
    /// Copies the database as it is now.
    async fn snapshot(&self, db: &Db) -> Result<(), BackupError> {
        let path = self.folder.join(SNAPSHOT);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove", &path)(error));
            }
            _ => {}
        }
        let quoted = path.to_string_lossy().replace('\'', "''");
        // Not possible in a transaction, hence not on a connection of the pool.
        let session = Session::open(db).await?;
        let statement = format!("VACUUM INTO '{quoted}'");
        session.run(move |connection| Ok(connection.batch_execute(&statement)?)).await?;
        Ok(())
    }

    /// Copies those artifacts of `rows` that are not there yet.
    async fn copy(
        &self,
        first: u8,
        mut rows: BTreeMap<Sha256, u64>,
        sum: &mut BackedUp,
        lost: &mut impl FnMut(Sha256),
    ) -> Result<(), BackupError> {
        for (sha256, size) in self.to.list(first).await?.artifacts {
            if rows.get(&sha256) == Some(&size) {
                rows.remove(&sha256);
            }
        }
        let mut batch = Vec::new();
        for (sha256, size) in rows {
            if let Some(verified) = self.read(sha256, size).await? {
                batch.push(verified);
            } else {
                sum.lost += 1;
                lost(sha256);
            }
            if batch.len() >= BATCH
                || batch.iter().map(Verified::in_memory).sum::<usize>() >= BATCH_BYTES
            {
                sum.copied += self.to.save(std::mem::take(&mut batch)).await?.len() as u64;
            }
        }
        sum.copied += self.to.save(batch).await?.len() as u64;
        Ok(())
    }

    /// Reads an artifact; `None` if it is not what its row says.
    async fn read(&self, sha256: Sha256, size: u64) -> Result<Option<Verified>, BackupError> {
        let mut file = match self.from.open_artifact(&sha256).await {
            Ok((file, _)) => file,
            Err(StoreError::Missing(_) | StoreError::NotAFile(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let expected = Expected { size: Some(size), digests: sha256.into() };
        let mut verifier = self.to.verifier(&expected, &[]);
        loop {
            let mut buffer = bytes::BytesMut::with_capacity(256 * 1024);
            let read = file.read_buf(&mut buffer).await;
            if read.map_err(failed("read", &self.from.path(&sha256)))? == 0 {
                break;
            }
            match verifier.push(buffer.freeze()).await {
                Err(VerifyError::Store(error)) => return Err(error.into()),
                Err(_) => return Ok(None),
                Ok(()) => {}
            }
        }
        match verifier.finish().await {
            Ok(verified) => Ok(Some(verified)),
            Err(VerifyError::Store(error)) => Err(error.into()),
            Err(_) => Ok(None),
        }
    }

    /// Puts the snapshot in its place, durably.
    fn complete(&self) -> Result<(), BackupError> {
        let (from, to) = (self.folder.join(SNAPSHOT), self.folder.join(DATABASE));
        // What was served from the backup meanwhile is of the database that goes.
        for end in ["-wal", "-shm"] {
            let _ = fs::remove_file(self.folder.join(format!("{DATABASE}{end}")));
        }
        File::open(&from).and_then(|file| file.sync_all()).map_err(failed("sync", &from))?;
        fs::rename(&from, &to).map_err(failed("rename", &from))?;
        let folder = File::open(self.folder).and_then(|folder| folder.sync_all());
        folder.map_err(failed("sync", self.folder))
    }

    /// Removes what the database of the backup does not name.
    async fn sweep(&self, first: u8) -> Result<u64, BackupError> {
        let rows = named(self.folder.join(DATABASE), first).await?;
        let held = self.to.list(first).await?.artifacts.into_iter().map(|(sha256, _)| sha256);
        let unnamed: Vec<_> = held.filter(|sha256| !rows.contains_key(sha256)).collect();
        Ok(self.to.remove(&unnamed).await? as u64)
    }
}

/// The artifacts that a copied database names, whose digest begins with `first`.
async fn named(path: PathBuf, first: u8) -> Result<BTreeMap<Sha256, u64>, DbError> {
    let read = move || {
        let error = |source| DbError::Open { database: path.display().to_string(), source };
        let name = path.to_str().ok_or_else(|| error("its path is no UTF-8".into()))?;
        let mut connection =
            SqliteConnection::establish(name).map_err(|source| error(source.into()))?;
        connection.batch_execute("PRAGMA query_only = ON")?;
        let mut connection = Connection::new(Backend::Sqlite(connection), Arc::default());
        artifacts(&mut connection, first)
    };
    tokio::task::spawn_blocking(read).await.map_err(|_| DbError::Stopping)?
}

/// For `map_err`: names the operation and the path.
fn failed<'a>(
    operation: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> BackupError + use<'a> {
    move |source| BackupError::Io { operation, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixture::Fixture, testing::TestDatabase};

    async fn back_up_to(fixture: &Fixture<'_>, folder: &Path) -> BackedUp {
        let told = &mut 0;
        let sum = back_up(fixture.db, &fixture.store, folder, |_| *told += 1).await.expect("made");
        assert_eq!(*told, sum.lost);
        sum
    }

    #[tokio::test]
    async fn a_backup_is_a_home_and_a_second_one_copies_what_is_new() {
        let db = TestDatabase::sqlite().await;
        let fixture = Fixture::new(&db).await;
        for body in ["a", "b", &"c".repeat(200_000)] {
            fixture.artifact(body).await;
        }
        let folder = fixture.home.path().join("it's a backup");
        let sum = back_up_to(&fixture, &folder).await;
        let expected = BackedUp {
            database: true,
            artifacts: 3,
            bytes: 200_002,
            copied: 3,
            removed: 0,
            lost: 0,
        };
        assert_eq!(sum, expected);

        let orphan = Sha256::of(b"b");
        db.write(move |conn| {
            use crate::{db::on, schema::artifact};
            use diesel::prelude::*;
            Ok(on!(conn, c => diesel::delete(artifact::table.find(orphan)).execute(c))?)
        })
        .await
        .expect("deleted");
        fixture.artifact("d").await;
        let sum = back_up_to(&fixture, &folder).await;
        assert_eq!((sum.artifacts, sum.copied, sum.removed, sum.lost), (3, 1, 1, 0));

        let url = crate::DatabaseUrl::sqlite(&folder.join(DATABASE));
        let (db, store) = (Db::open(&url).await, ArtifactStore::open(&folder).await);
        let (db, store) = (db.expect("opens"), store.expect("opens"));
        let depth = crate::check::Depth::Digests;
        let checked = crate::check::check(&db, &store, depth, 10, |finding| panic!("{finding}"));
        assert_eq!(checked.await.expect("checked").artifacts, 3);
    }

    #[tokio::test]
    async fn what_is_lost_is_told_and_the_rest_is_there() {
        let db = TestDatabase::sqlite().await;
        let fixture = Fixture::new(&db).await;
        let (missing, corrupt) = (fixture.artifact("a").await, fixture.artifact("bb").await);
        fixture.artifact("c").await;
        fixture.store.remove(&[missing, corrupt]).await.expect("removed");
        fs::write(fixture.store.path(&corrupt), "xx").expect("written");
        let sum = back_up_to(&fixture, &fixture.home.path().join("backup")).await;
        assert_eq!((sum.artifacts, sum.copied, sum.lost), (3, 1, 2));
    }

    #[tokio::test]
    async fn a_folder_of_somebody_else_is_refused() {
        let db = TestDatabase::sqlite().await;
        let fixture = Fixture::new(&db).await;
        let home = fixture.home.path();
        for name in ["something", "backup.lock"] {
            fs::write(home.join(name), "").expect("written");
            let refused = back_up(&db, &fixture.store, home, |_| {}).await;
            assert!(matches!(refused, Err(BackupError::Foreign(_))), "the home itself");
        }
        let folder = home.join("backup");
        let _other = prepare(&folder, &fixture.store).expect("free");
        let refused = back_up(&db, &fixture.store, &folder, |_| {}).await;
        assert!(matches!(refused, Err(BackupError::Running(_))));
    }
}
