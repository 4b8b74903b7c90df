//! Locks on both databases, between two connections and between two processes.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::{Child, Command, Stdio},
};

use super::*;
use crate::{
    DatabaseUrl, both_databases,
    task::{NewTask, Owner, TaskState},
    testing::TestDatabase,
};

const LONG: Duration = Duration::from_secs(30);

fn sync_of(repository: RepositoryId) -> NewTask {
    NewTask {
        name: "sync".to_owned(),
        plugin: None,
        repository: Some(repository),
        arguments: None,
        owner: None,
    }
}

async fn start_task(db: &Db, repository: RepositoryId) -> TaskId {
    db.write(move |conn| {
        let id = task::create(conn, &sync_of(repository))?;
        task::start(conn, id, &Owner::this_process())?;
        Ok(id)
    })
    .await
    .expect("written")
}

async fn state(db: &Db, id: TaskId) -> TaskState {
    db.read(move |conn| task::get(conn, id)).await.expect("read").state
}

both_databases! {
    async fn a_repository_is_locked_once_and_the_next_is_told_by_whom(db: TestDatabase) {
        let home = tempfile::tempdir().expect("temporary folder");
        let (one, other) = (RepositoryId::new(), RepositoryId::new());
        let held = RepositoryLock::try_lock(&db, home.path(), one).await.expect("free");
        let unrelated = RepositoryLock::try_lock(&db, home.path(), other).await.expect("free");
        let id = start_task(&db, one).await;
        let refused = RepositoryLock::try_lock(&db, home.path(), one).await;
        let message = refused.expect_err("held").to_string();
        assert!(message.contains(&id.to_string()), "{message}");
        assert!(message.contains(&std::process::id().to_string()), "{message}");
        held.unlock().await.expect("unlocked");
        drop(RepositoryLock::try_lock(&db, home.path(), one).await.expect("free again"));
        drop(unrelated);
    }

    async fn a_waiter_gets_the_lock_when_it_is_dropped(db: TestDatabase) {
        let home = tempfile::tempdir().expect("temporary folder");
        let repository = RepositoryId::new();
        let held = RepositoryLock::try_lock(&db, home.path(), repository).await.expect("free");
        let waiter = RepositoryLock::lock(&db, home.path(), repository, LONG);
        let (next, ()) = tokio::join!(waiter, async { drop(held) });
        assert_eq!(next.expect("free").repository(), repository);
    }

    async fn the_holder_writes_and_finds_the_tasks_of_dead_holders(db: TestDatabase) {
        let home = tempfile::tempdir().expect("temporary folder");
        let repository = RepositoryId::new();
        let abandoned = start_task(&db, repository).await;
        let elsewhere = start_task(&db, RepositoryId::new()).await;
        let own = start_task(&db, repository).await;
        let held = RepositoryLock::try_lock(&db, home.path(), repository).await.expect("free");
        let failed = held.fail_abandoned_tasks(Some(own)).await.expect("written");
        assert_eq!(failed, [abandoned]);
        assert_eq!(state(&db, abandoned).await, TaskState::Failed);
        assert_eq!(state(&db, own).await, TaskState::Running);
        assert_eq!(state(&db, elsewhere).await, TaskState::Running);
        let refused = held.write(move |conn| task::get(conn, TaskId::new())).await;
        assert!(matches!(refused, Err(DbError::NotFound { .. })));
        let ended = held.write(move |conn| task::finish(conn, own, None)).await;
        assert!(ended.expect("an error before it does not matter"));
    }

    async fn a_lock_dies_with_its_process(db: TestDatabase) {
        let home = tempfile::tempdir().expect("temporary folder");
        let repository = RepositoryId::new();
        let mut child = child(db.url(), home.path(), repository);
        let refused = RepositoryLock::try_lock(&db, home.path(), repository).await;
        assert!(matches!(refused, Err(LockError::Held { .. })));
        child.kill().expect("killed");
        child.wait().expect("joined");
        let taken = RepositoryLock::lock(&db, home.path(), repository, LONG).await;
        drop(taken.expect("the holder is dead"));
    }
}

mod of_postgres {
    mod postgres {
        use crate::lock::{ask, key, tests::*};

        #[tokio::test]
        async fn a_holder_whose_connection_was_cut_changes_nothing() {
            let db = TestDatabase::postgres().await;
            let home = tempfile::tempdir().expect("temporary folder");
            let repository = RepositoryId::new();
            let held = RepositoryLock::try_lock(&db, home.path(), repository).await.expect("free");
            let id = start_task(&db, repository).await;
            let key = key(repository).cast_unsigned();
            let (high, low) = (key >> 32, key & 0xffff_ffff);
            let cut = format!(
                "(SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' \
                 AND classid::bigint = {high} AND objid::bigint = {low})"
            );
            assert!(db.read(move |conn| ask(conn, &cut)).await.expect("asked"), "it was cut");
            let next = RepositoryLock::lock(&db, home.path(), repository, LONG).await;
            let lost = held.write(move |conn| task::finish(conn, id, None)).await;
            assert!(lost.is_err());
            let lost = held.write(move |conn| task::finish(conn, id, None)).await;
            assert!(matches!(lost, Err(DbError::LockLost)), "{lost:?}");
            assert_eq!(state(&db, id).await, TaskState::Running);
            drop(next.expect("free"));
        }
    }
}

const CHILD: &str = "PULP_TEST_LOCK_CHILD";

/// Not a test of its own: what the child process of the test above does. It holds a lock until its
/// standard input ends.
#[tokio::test]
async fn a_child_process_holds_a_lock() {
    let Ok(order) = std::env::var(CHILD) else { return };
    let (url, home, repository): (String, PathBuf, RepositoryId) =
        serde_json::from_str(&order).expect("an order");
    let db = Db::open(&url.parse().expect("a URL")).await.expect("opens");
    let _held = RepositoryLock::try_lock(&db, &home, repository).await.expect("free");
    io::stdout().write_all(b"\nready\n").expect("the parent reads");
    let _ = io::stdin().read_to_end(&mut Vec::new());
}

/// Starts the child; returns once it holds the lock.
fn child(url: &DatabaseUrl, home: &Path, repository: RepositoryId) -> Child {
    let url = url.expose_postgres().map_or_else(|| url.to_string(), ToString::to_string);
    let order = serde_json::to_string(&(url, home, repository)).expect("serialises");
    let mut child = Command::new(std::env::current_exe().expect("known"))
        .args(["--exact", "lock::tests::a_child_process_holds_a_lock"])
        .env(CHILD, order)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let output = BufReader::new(child.stdout.take().expect("piped"));
    let ready = output.lines().any(|line| line.expect("UTF-8") == "ready");
    assert!(ready, "the child died early");
    child
}
