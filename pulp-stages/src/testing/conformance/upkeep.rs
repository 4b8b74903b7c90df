//! What administrators do between syncs: repair, reclaim, orphan cleanup.

use std::time::Duration;

use pulp_models::{
    Timestamp,
    orphan::{self, CleanUp},
    reclaim::{self, Reclaim},
    remote::Policy,
    repair::Scope,
    repository,
    testing::TestDatabase,
};
use tokio_util::sync::CancellationToken;

use super::{
    Blueprint,
    bench::{Bench, three},
};
use crate::{progress::Silent, repair::repair};

/// No operation of the kit waits longer for the store.
const PATIENCE: Duration = Duration::from_secs(60);

/// A file that was changed on disk and one that is gone are found and fetched again.
pub async fn repaired<B: Blueprint>(database: TestDatabase) {
    let samples = three();
    let bench = Bench::<B>::offering(&samples, database).await;
    bench.sync(Policy::Immediate, true).await;
    let installation = &bench.lab.installation;
    let [damaged, missing, _] = &samples;
    let path = installation.store.path(&damaged.sha256());
    std::fs::remove_file(&path).expect("it is there");
    std::fs::write(&path, vec![b'x'; damaged.size()]).expect("written");
    std::fs::remove_file(installation.store.path(&missing.sha256())).expect("it is there");

    let (plugins, cancel) = (bench.lab.plugins(), CancellationToken::new());
    let run = || repair(installation, &plugins, Scope::Everything, true, &Silent, &cancel);
    let found = run().await.expect("repaired");
    assert_eq!((found.missing, found.corrupted, found.repaired), (1, 1, 2));
    let again = run().await.expect("looked");
    assert_eq!((again.missing, again.corrupted), (0, 0));
    bench.publish().await;
    bench.serves(&samples).await;
}

/// Files that can be fetched again are given up; they are still served, and a sync under
/// `immediate` brings them back.
pub async fn reclaimed<B: Blueprint>(database: TestDatabase) {
    let samples = three();
    let bench = Bench::<B>::offering(&samples, database).await;
    bench.sync(Policy::Immediate, true).await;
    bench.publish().await;
    let repository = bench.lab.repository().await.id;
    let what = Reclaim {
        repositories: vec![repository],
        keep: Vec::new(),
        keep_types: Vec::new(),
        patience: PATIENCE,
    };
    let installation = &bench.lab.installation;
    let outcome = reclaim::reclaim(&installation.db, &installation.store, &what, |_| {}).await;
    assert!(outcome.expect("reclaimed").artifacts >= samples.len() as u64);
    bench.holds(&samples, &[], false).await;
    bench.serves(&samples[..2]).await;
    bench.holds(&samples[..2], &[], true).await;

    let forget = move |connection: &mut _| repository::set_last_sync(connection, repository, None);
    installation.db.write(forget).await.expect("forgotten");
    bench.sync(Policy::Immediate, true).await;
    bench.holds(&samples, &[], true).await;
}

/// Content that no version has goes, with its bytes; what a version has stays.
pub async fn cleaned_up<B: Blueprint>(database: TestDatabase) {
    let samples = three();
    let bench = Bench::<B>::offering(&samples, database).await;
    bench.sync(Policy::Immediate, true).await;
    let installation = &bench.lab.installation;
    // Whatever is there was created before the next hour is over.
    let created_before = Timestamp(Timestamp::now().0 + 3_600_000_000);
    let what = CleanUp { created_before, patience: PATIENCE };
    let clean = || orphan::clean_up(&installation.db, &installation.store, &what, |_| {});
    let cleaned = clean().await.expect("cleaned");
    assert_eq!((cleaned.content, cleaned.artifacts), (0, 0), "a version has it all");
    bench.holds(&samples, &[], true).await;

    let name = bench.lab.repository().await.name;
    let delete = move |connection: &mut _| repository::delete(connection, &name);
    installation.db.write(delete).await.expect("deleted");
    let cleaned = clean().await.expect("cleaned");
    assert!(cleaned.content >= samples.len() as u64, "{cleaned:?}");
    for sample in &samples {
        assert!(!bench.is_stored(sample).await, "`{}` is still there", sample.name);
    }
}
