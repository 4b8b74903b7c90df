//! Syncs that do not come to their end: cancelled while each stage works, and killed.

use pulp_models::{remote::Policy, testing::TestDatabase};
use tokio_util::sync::CancellationToken;

use super::{
    Blueprint,
    bench::{Bench, three},
    edited::{Edited, Names, Tripwire},
};
use crate::{
    plugin::AnyPlugin,
    sync::{SyncError, SyncRequest},
    testing::report,
};

/// A sync that is cancelled while a unit is in some stage ends as cancelled, whichever stage that is,
/// and nothing of it is visible. The sync after all of them is like a first one.
pub async fn cancelled_everywhere<B: Blueprint>(database: TestDatabase) {
    let samples = three();
    let bench = Bench::<B>::offering(&samples, database).await;
    for stage in names(&bench).await {
        let cancel = CancellationToken::new();
        let tripwire = Tripwire { reached: cancel.clone(), blocks: false };
        let plugin =
            Edited::new(B::PLUGIN, move |line| line.before(stage, Box::new(tripwire.clone())));
        let remote = bench.remote(Policy::Immediate).await;
        let request = SyncRequest { mirror: true, cancel, ..bench.lab.request(remote).await };
        match AnyPlugin::sync(&plugin, &bench.lab.installation, request).await {
            Err(SyncError::Cancelled) => {}
            Err(error) => panic!("in `{stage}`: {}", report(&error)),
            Ok(summary) => panic!("in `{stage}` nobody noticed: {summary:?}"),
        }
        assert_eq!(bench.lab.version().await.number.0, 0, "in `{stage}`");
    }
    let summary = bench.sync(Policy::Immediate, true).await;
    assert_eq!(summary.version, Some(1));
    bench.holds(&samples, &[], true).await;
}

/// The names of the stages that follow the first one, from a dry run.
async fn names<B: Blueprint>(bench: &Bench<B>) -> Vec<&'static str> {
    let names = Names::default();
    let noting = names.clone();
    let plugin = Edited::new(B::PLUGIN, move |line| {
        noting.note(&line);
        line
    });
    let remote = bench.remote(Policy::Immediate).await;
    let request = bench.lab.request(remote).await;
    let request = SyncRequest { mirror: true, dry_run: true, ..request };
    AnyPlugin::sync(&plugin, &bench.lab.installation, request).await.expect("a dry run");
    names.get()
}

/// A sync that is dropped when its files are saved and no version is complete: the next one finds
/// the files, asks for none of them again, and makes the version.
pub async fn killed_and_resumed<B: Blueprint>(database: TestDatabase) {
    let samples = three();
    let bench = Bench::<B>::offering(&samples, database).await;
    let reached = CancellationToken::new();
    let tripwire = Tripwire { reached: reached.clone(), blocks: true };
    let plugin = Edited::new(B::PLUGIN, move |line| {
        line.before("ContentAssociation", Box::new(tripwire.clone()))
    });
    let remote = bench.remote(Policy::Immediate).await;
    let request = bench.lab.request(remote).await;
    tokio::select! {
        outcome = AnyPlugin::sync(&plugin, &bench.lab.installation, request) => {
            panic!("the line was to be blocked: {outcome:?}")
        }
        () = reached.cancelled() => {}
    }
    let mut stored = Vec::new();
    for sample in &samples {
        if bench.is_stored(sample).await {
            stored.push(sample);
        }
    }
    bench.lab.upstream.clear_log();
    let summary = bench.sync(Policy::Immediate, true).await;
    assert_eq!(summary.version, Some(1));
    bench.holds(&samples, &[], true).await;
    for sample in stored {
        assert_eq!(bench.requests(sample), 0, "`{}` was stored already", sample.name);
    }
}
