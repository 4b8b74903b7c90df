//! Publications as clients see them.

use pulp_models::{remote::Policy, testing::TestDatabase};

use super::{
    Blueprint,
    bench::{Bench, three},
};
use crate::testing::Fault;

/// A published version is served byte for byte, in ranges too, and not to those who have it; what
/// a later sync takes away is served until the next publication.
pub async fn served_publication<B: Blueprint>(database: TestDatabase) {
    let samples = three();
    let bench = Bench::<B>::offering(&samples, database).await;
    bench.sync(Policy::Immediate, true).await;
    bench.publish().await;
    bench.serves(&samples).await;

    let served = bench.lab.serve().await;
    let (path, bytes) = (B::served(&samples[0]), &samples[0].bytes);
    let last = bytes.len() - 1;
    for (first, end) in [(0, 0), (1, 99), (last, last), (0, last)] {
        let part = served.range(&path, first, end).await.expect(206);
        assert!(part == bytes.slice(first..=end), "{first} to {end}");
    }
    served.range(&path, bytes.len(), bytes.len()).await.expect(416);
    let whole = served.get(&path).await;
    let etag = whole.headers["etag"].to_str().expect("text").to_owned();
    served.ask(&path, &[("if-none-match", &etag)]).await.expect(304);
    served.close().await;
}

/// Files that were left upstream are fetched when somebody asks for them: under `on_demand` once,
/// and then kept; under `streamed` every time. Wrong bytes never arrive as a whole answer.
pub async fn deferred_files<B: Blueprint>(database: TestDatabase) {
    let samples = three();
    let bench = Bench::<B>::offering(&samples, database).await;
    bench.sync(Policy::Streamed, true).await;
    bench.publish().await;
    bench.serves(&samples).await;
    for sample in &samples {
        assert!(!bench.is_stored(sample).await, "`{}` was kept", sample.name);
    }

    bench.sync(Policy::OnDemand, true).await;
    bench.lab.upstream.script(&B::source(&samples[1]), [Fault::FlipLastByte]);
    let served = bench.lab.serve().await;
    let spoilt = served.get(&B::served(&samples[1])).await;
    assert!(!spoilt.whole || !spoilt.status.is_success(), "{}", spoilt.status);
    served.close().await;
    assert!(!bench.is_stored(&samples[1]).await);

    bench.serves(&samples).await;
    bench.lab.upstream.clear_log();
    bench.serves(&samples).await;
    for sample in &samples {
        assert!(bench.is_stored(sample).await, "`{}` was not kept", sample.name);
        assert_eq!(bench.requests(sample), 0, "`{}` was asked for again", sample.name);
    }
}
