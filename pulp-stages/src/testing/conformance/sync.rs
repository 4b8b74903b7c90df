//! Syncs of an upstream in order: first, unchanged, additive, as a mirror, under every policy.

use pulp_models::{remote::Policy, testing::TestDatabase};

use super::{
    Blueprint, Sample,
    bench::{Bench, three},
};

/// A first sync stores every file; a second one asks for none of them and makes no version.
pub async fn first_and_second<B: Blueprint>(database: TestDatabase) {
    let samples = three();
    let bench = Bench::<B>::offering(&samples, database).await;
    let first = bench.sync(Policy::Immediate, false).await;
    assert_eq!(first.version, Some(1));
    bench.holds(&samples, &[], true).await;

    bench.lab.upstream.clear_log();
    let second = bench.sync(Policy::Immediate, false).await;
    assert_eq!((second.version, second.latest_version), (None, 1));
    assert_eq!(second.present, first.present);
    for sample in &samples {
        assert_eq!(bench.requests(sample), 0, "`{}` was asked for again", sample.name);
    }
}

/// Without `mirror`, what upstream removed stays, and what is new comes.
pub async fn additive<B: Blueprint>(database: TestDatabase) {
    let [one, two, three] = three();
    let bench = Bench::<B>::offering(&[one.clone(), two.clone()], database).await;
    bench.sync(Policy::Immediate, false).await;
    bench.offer(&[one.clone(), three.clone()]);
    let second = bench.sync(Policy::Immediate, false).await;
    assert_eq!(second.version, Some(2));
    bench.holds(&[one, two, three], &[], true).await;
}

/// With `mirror`, what upstream deleted leaves, what it moved is found without a download, and what
/// another sync finds again is there again.
pub async fn mirror<B: Blueprint>(database: TestDatabase) {
    let [one, two, three] = three();
    let bench = Bench::<B>::offering(&[one.clone(), two.clone()], database).await;
    bench.sync(Policy::Immediate, true).await;

    let moved = Sample { name: "moved".to_owned(), bytes: one.bytes.clone() };
    bench.offer(&[moved.clone(), three.clone()]);
    bench.lab.upstream.clear_log();
    let second = bench.sync(Policy::Immediate, true).await;
    assert_eq!(second.version, Some(2));
    assert_eq!(bench.requests(&moved), 0, "its bytes are here");
    // A type may name files by their bytes: then nothing moves.
    let left = if B::path(&one) == B::path(&moved) { None } else { Some(one.clone()) };
    let absent: Vec<Sample> = left.into_iter().chain([two.clone()]).collect();
    bench.holds(&[moved, three], &absent, true).await;

    bench.offer(&[one.clone(), two.clone()]);
    let third = bench.sync(Policy::Immediate, true).await;
    assert_eq!(third.version, Some(3));
    bench.holds(&[one, two], &[], true).await;
}

/// A file whose bytes changed upstream takes the place of the old one and is served, whether the sync
/// is additive or a mirror, and whether it fetches the file or leaves it to its first reader.
pub async fn changed<B: Blueprint>(database: TestDatabase) {
    let [one, two, _] = three();
    let bench = Bench::<B>::offering(&[one.clone(), two.clone()], database).await;
    bench.sync(Policy::Immediate, false).await;
    for (policy, mirror) in [(Policy::Immediate, false), (Policy::OnDemand, true)] {
        let bytes = format!("changed, {policy}\n").repeat(100);
        let changed = Sample { name: one.name.clone(), bytes: bytes.into() };
        bench.offer(&[changed.clone(), two.clone()]);
        assert!(bench.sync(policy, mirror).await.version.is_some(), "a change is a version");
        bench.holds(std::slice::from_ref(&changed), &[], policy == Policy::Immediate).await;
        bench.publish().await;
        bench.serves(&[changed, two.clone()]).await;
    }
}

/// `immediate` stores files, the others leave them upstream; on the way from them to `immediate`
/// they are fetched although upstream is unchanged.
pub async fn every_policy<B: Blueprint>(database: TestDatabase) {
    let samples = three();
    let bench = Bench::<B>::offering(&samples, database).await;
    for policy in [Policy::OnDemand, Policy::Streamed] {
        let summary = bench.sync(policy, true).await;
        assert_eq!(summary.latest_version, 1);
        bench.holds(&samples, &[], false).await;
        for sample in &samples {
            assert_eq!(bench.requests(sample), 0, "`{}` was asked for", sample.name);
        }
    }
    let summary = bench.sync(Policy::Immediate, true).await;
    assert_eq!(summary.version, None, "it has the same content, and now its bytes");
    bench.holds(&samples, &[], true).await;
}
