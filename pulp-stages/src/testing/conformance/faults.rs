//! What goes wrong upstream: told by name, and never half visible.

use pulp_models::{remote::Policy, testing::TestDatabase};

use super::{
    Blueprint,
    bench::{Bench, three},
};
use crate::testing::{Fault, report};

/// A file whose bytes are not those that the metadata promises fails the sync, is named, and is
/// not stored. The next sync takes the right ones.
pub async fn corrupt_bytes<B: Blueprint>(database: TestDatabase) {
    let samples = three();
    let bench = Bench::<B>::offering(&samples, database).await;
    let source = B::source(&samples[1]);
    bench.lab.upstream.script(&source, [Fault::FlipLastByte]);
    let error = bench.failing(bench.remote(Policy::Immediate).await).await;
    let text = report(&error);
    assert!(text.contains(&source), "`{source}` is not named: {text}");
    assert!(error.is_upstream(), "{text}");
    assert!(!bench.is_stored(&samples[1]).await);
    bench.sync(Policy::Immediate, true).await;
    bench.holds(&samples, &[], true).await;
}

/// A transfer that breaks off fails the sync if it may not be repeated; if it may, it goes on where
/// it broke.
pub async fn truncated_transfers<B: Blueprint>(database: TestDatabase) {
    let samples = three();
    let bench = Bench::<B>::offering(&samples, database).await;
    let source = B::source(&samples[0]);
    bench.lab.upstream.script(&source, [Fault::HalfBody]);
    let text = report(&bench.failing(bench.remote(Policy::Immediate).await).await);
    assert!(text.contains(&source), "`{source}` is not named: {text}");

    bench.lab.upstream.script(&source, [Fault::HalfBody]);
    bench.lab.upstream.clear_log();
    let remote = bench.retrying(Policy::Immediate, 1).await;
    bench.lab.sync(remote, true).await.expect("the transfer is resumed");
    bench.holds(&samples, &[], true).await;
    let requests = bench.lab.upstream.requests_for(&source);
    assert!(requests.iter().any(|request| request.header("range").is_some()), "{requests:?}");
}

/// A server that cuts every connection fails the sync, in whatever request; once it is back, so is
/// everything. One that dies for a moment is asked again.
pub async fn dying_server<B: Blueprint>(database: TestDatabase) {
    let samples = three();
    let bench = Bench::<B>::offering(&samples, database).await;
    bench.lab.upstream.set_down(true);
    let error = bench.failing(bench.remote(Policy::Immediate).await).await;
    assert!(error.is_upstream(), "{}", report(&error));
    bench.lab.upstream.set_down(false);

    let source = B::source(&samples[2]);
    bench.lab.upstream.script(&source, [Fault::Disconnect]);
    let error = bench.failing(bench.remote(Policy::Immediate).await).await;
    assert!(error.is_upstream(), "{}", report(&error));

    bench.lab.upstream.script(&source, [Fault::Disconnect, Fault::Status(503)]);
    let remote = bench.retrying(Policy::Immediate, 2).await;
    bench.lab.sync(remote, true).await.expect("it is back");
    bench.holds(&samples, &[], true).await;
}
