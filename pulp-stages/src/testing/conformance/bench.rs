//! A lab whose upstream is written from a blueprint.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use pulp_models::{
    RemoteSettings,
    remote::{Policy, Remote},
    testing::TestDatabase,
};

use super::{Blueprint, Lab, Sample};
use crate::{
    sync::{SyncError, SyncSummary},
    testing::report,
};

pub(super) struct Bench<B: Blueprint> {
    pub(super) lab: Lab<B::Plugin>,
    offered: Mutex<BTreeSet<String>>,
}

/// Three files of different bytes.
pub(super) fn three() -> [Sample; 3] {
    [Sample::new("one"), Sample::new("two"), Sample::new("three")]
}

impl<B: Blueprint> Bench<B> {
    /// An upstream that offers `samples`.
    pub(super) async fn offering(samples: &[Sample], database: TestDatabase) -> Self {
        let lab = Lab::new(B::PLUGIN, database).await;
        let bench = Self { lab, offered: Mutex::default() };
        bench.offer(samples);
        bench
    }

    /// Makes upstream offer exactly these.
    pub(super) fn offer(&self, samples: &[Sample]) {
        let mut files = B::metadata(samples);
        files.extend(samples.iter().map(|one| (B::source(one), one.bytes.clone())));
        let now: BTreeSet<String> = files.iter().map(|(path, _)| path.clone()).collect();
        for (path, bytes) in files {
            self.lab.upstream.put(&path, bytes);
        }
        let mut offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        offered.difference(&now).for_each(|path| self.lab.upstream.remove(path));
        *offered = now;
    }

    /// The remote, which asks once for each file.
    pub(super) async fn remote(&self, policy: Policy) -> Remote {
        self.retrying(policy, 0).await
    }

    /// The remote, which asks again so many times.
    pub(super) async fn retrying(&self, policy: Policy, max_retries: u32) -> Remote {
        let settings = RemoteSettings {
            max_retries: Some(max_retries),
            retry_delay: Some(Duration::from_millis(1)),
            ..RemoteSettings::default()
        };
        let url = self.lab.upstream.url(B::URL);
        self.lab.remote_with(url, policy, settings, B::options()).await
    }

    /// A sync that must succeed.
    pub(super) async fn sync(&self, policy: Policy, mirror: bool) -> SyncSummary {
        let outcome = self.lab.sync(self.remote(policy).await, mirror).await;
        outcome.unwrap_or_else(|error| panic!("the sync failed: {}", report(&error)))
    }

    /// A sync that must fail, after which nothing may be visible.
    pub(super) async fn failing(&self, remote: Remote) -> SyncError {
        let error = self.lab.sync(remote, true).await.expect_err("the sync must fail");
        assert_eq!(self.lab.version().await.number.0, 0, "nothing became visible");
        error
    }

    /// How often a sample's bytes were asked for.
    pub(super) fn requests(&self, sample: &Sample) -> usize {
        let requests = self.lab.upstream.requests_for(&B::source(sample));
        requests.iter().filter(|request| request.method == http::Method::GET).count()
    }

    /// Whether the store has a sample's bytes.
    pub(super) async fn is_stored(&self, sample: &Sample) -> bool {
        self.lab.installation.store.exists(&sample.sha256()).await.expect("the store answers")
    }

    /// Asserts that the latest version has these samples and not those; with `stored`, that their
    /// bytes are here, without it, that they are not.
    pub(super) async fn holds(&self, present: &[Sample], absent: &[Sample], stored: bool) {
        let files = self.lab.files().await;
        for sample in present {
            let expected = stored.then(|| sample.sha256());
            assert_eq!(files.get(&B::path(sample)), Some(&expected), "`{}`", sample.name);
        }
        for sample in absent {
            assert!(!files.contains_key(&B::path(sample)), "`{}` is there", sample.name);
        }
    }

    /// Asserts that every sample can be fetched by clients.
    pub(super) async fn serves(&self, samples: &[Sample]) {
        let served = self.lab.serve().await;
        for sample in samples {
            let body = served.get(&B::served(sample)).await.expect(200);
            assert!(body == sample.bytes, "`{}` differs", sample.name);
        }
        served.close().await;
    }

    /// Publishes the latest version with default options.
    pub(super) async fn publish(&self) {
        let published = self.lab.publish(serde_json::json!({})).await;
        published.unwrap_or_else(|error| panic!("publishing failed: {}", report(&error)));
    }
}
