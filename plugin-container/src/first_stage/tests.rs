//! The first stage in a line of two: behind it a stage that saves blobs as the default line would.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use pulp_models::{content as rows, store::Verified, testing::TestDatabase};
use pulp_stages::{Content as _, Line, Pipeline, PipelineError};
use serde_json::{Value, json};

use super::*;
use crate::{content::ManifestContent, media_type::MediaType, testing::Script};

const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn descriptor(media_type: &str, bytes: &str) -> Value {
    json!({
        "mediaType": media_type,
        "digest": Digest::sha256(bytes.as_bytes()),
        "size": bytes.len(),
    })
}

fn config(label: &str) -> String {
    json!({"architecture": "amd64", "os": "linux", "config": {"Labels": {"label": label}}})
        .to_string()
}

/// An image with a configuration of its own and two layers, one of which all images share.
fn image(label: &str) -> String {
    let layer = "application/vnd.oci.image.layer.v1.tar+gzip";
    json!({
        "schemaVersion": 2,
        "mediaType": OCI,
        "config": descriptor(media_type::IMAGE_CONFIGS[0], &config(label)),
        "layers": [descriptor(layer, "shared"), descriptor(layer, label)],
    })
    .to_string()
}

fn index(children: &[(&str, &str)]) -> String {
    let children: Vec<_> = children
        .iter()
        .map(|(platform, body)| {
            let mut child = descriptor(OCI, body);
            if body.contains("\"manifests\"") {
                child["mediaType"] = INDEX.into();
            } else {
                child["platform"] = json!({"os": "linux", "architecture": platform});
            }
            child
        })
        .collect();
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": children}).to_string()
}

/// Saves configurations (their bytes are `config(label)` for each of `labels`), resolves, collects.
struct Save {
    store: ArtifactStore,
    blobs: BTreeMap<Digest, String>,
    saved: Arc<Mutex<Vec<Saved>>>,
}

/// A unit, and whether the download of its artifact was deferred, if it has one.
type Saved = (ContainerContent, Option<bool>);

#[async_trait]
impl Stage<ContainerContent> for Save {
    fn name(&self) -> &'static str {
        "Save"
    }

    async fn run(
        self: Box<Self>,
        input: Inbox<ContainerContent>,
        _output: Outbox<ContainerContent>,
    ) -> Result<(), StageError> {
        let mut units = input.items();
        while let Some(mut unit) = units.next().await {
            for artifact in &mut unit.artifacts {
                let digest: Digest = artifact.relative_path.as_str().parse()?;
                if let Some(bytes) = self.blobs.get(&digest) {
                    let verified = Verified::from_bytes(bytes.clone().into());
                    let saved = self.store.save(vec![verified]).await?;
                    artifact.set_saved(saved.into_iter().next().expect("one for one"));
                }
            }
            let deferred = unit.artifacts.first().map(|artifact| artifact.deferred_download);
            self.saved.lock().expect("not poisoned").push((unit.content.clone(), deferred));
            unit.resolve();
        }
        Ok(())
    }
}

struct Outcome {
    saved: Vec<Saved>,
    left_out: Vec<String>,
    script: Arc<Script>,
}

impl Outcome {
    fn manifests(&self) -> Vec<&ManifestContent> {
        let manifests = self.saved.iter().filter_map(|(content, _)| match content {
            ContainerContent::Manifest(manifest) => Some(&**manifest),
            _ => None,
        });
        manifests.collect()
    }

    fn tags(&self) -> String {
        let tags = self.saved.iter().filter_map(|(content, _)| match content {
            ContainerContent::Tag(tag) => Some(tag.name.as_str()),
            _ => None,
        });
        tags.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" ")
    }

    fn blobs(&self) -> Vec<(Digest, bool)> {
        let blobs = self.saved.iter().filter_map(|(content, deferred)| match content {
            ContainerContent::Blob(blob) => Some((blob.digest, deferred.expect("has an artifact"))),
            _ => None,
        });
        blobs.collect()
    }

    fn requests(&self, method: &str) -> usize {
        self.script.asked().iter().filter(|line| line.starts_with(method)).count()
    }
}

struct Fixture {
    db: TestDatabase,
    home: tempfile::TempDir,
    options: ContainerRemoteOptions,
    deferred: bool,
    tolerant: bool,
}

impl Fixture {
    async fn new() -> Self {
        Self {
            db: TestDatabase::sqlite().await,
            home: tempfile::tempdir().expect("a temporary folder"),
            options: ContainerRemoteOptions::default(),
            deferred: false,
            tolerant: false,
        }
    }

    async fn sync(&self, script: Script) -> Result<Outcome, PipelineError> {
        let (registry, script) = script.registry();
        let left_out = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&left_out);
        let note: Arc<dyn Fn(LeftOut) + Send + Sync> = Arc::new(move |left: LeftOut| {
            sink.lock().expect("not poisoned").push(left.to_string());
        });
        let surveying = Surveying {
            registry: &registry,
            options: &self.options,
            concurrency: 4,
            tolerant: self.tolerant,
            left_out: &*note,
        };
        let survey = surveying.survey().await.expect("surveyed");
        let signing = Signing::new(&registry, &self.options, &survey, 4, Arc::clone(&note)).await;
        let store = ArtifactStore::open(self.home.path()).await.expect("a store");
        let options = Arc::new(self.options.clone());
        let saved = Arc::new(Mutex::new(Vec::new()));
        let labels = ["a", "b", "c"].map(config);
        let blobs = labels.iter().map(|text| (Digest::sha256(text.as_bytes()), text.clone()));
        let stage = ReadRegistry {
            survey,
            signing: signing.expect("found out"),
            registry: registry.clone(),
            trees: Trees::new(registry, self.db.clone(), Arc::clone(&options), 4),
            options,
            concurrency: 4,
            store: store.clone(),
            remote: RemoteId::new(),
            deferred: self.deferred,
            tolerant: self.tolerant,
            left_out: note,
            processed: pulp_stages::progress::Progress::default().counter("tags", "Tags"),
        };
        let save = Save { store, blobs: blobs.collect(), saved: Arc::clone(&saved) };
        let line = Line::new().push(Box::new(stage)).push(Box::new(save));
        let running = Pipeline::new(line).expect("a line").start();
        let limit = std::time::Duration::from_secs(60);
        let never = tokio_util::sync::CancellationToken::new();
        tokio::time::timeout(limit, running.join(&never)).await.expect("hangs")?;
        let saved = std::mem::take(&mut *saved.lock().expect("not poisoned"));
        let left_out = std::mem::take(&mut *left_out.lock().expect("not poisoned"));
        Ok(Outcome { saved, left_out, script })
    }
}

#[tokio::test]
async fn every_blob_and_manifest_is_declared_once_and_described_by_its_configuration() {
    let fixture = Fixture::new().await;
    let script = Script::default()
        .tags(&["v1", "v2", "v3"])
        .manifest(Some("v1"), &image("a"))
        .manifest(Some("v2"), &image("b"))
        .manifest(Some("v3"), &image("a"));
    let outcome = fixture.sync(script).await.expect("synced");
    assert_eq!(outcome.tags(), "v1 v2 v3");
    let manifests = outcome.manifests();
    assert_eq!(manifests.len(), 2);
    assert!(manifests.iter().all(|manifest| manifest.os.as_deref() == Some("linux")));
    let labels: BTreeSet<_> = manifests.iter().map(|manifest| &*manifest.labels["label"]).collect();
    assert_eq!(labels, BTreeSet::from(["a", "b"]));
    // Two configurations, two layers of their own, one shared.
    assert_eq!(outcome.blobs().len(), 5);
    assert_eq!((outcome.requests("HEAD"), outcome.requests("GET")), (3, 3));
}

#[tokio::test]
async fn on_demand_defers_layers_but_never_configurations() {
    let mut fixture = Fixture::new().await;
    fixture.deferred = true;
    let script = Script::default().tags(&["v1"]).manifest(Some("v1"), &image("a"));
    let outcome = fixture.sync(script).await.expect("synced");
    let deferred: BTreeMap<_, _> = outcome.blobs().into_iter().collect();
    assert_eq!(deferred.values().filter(|deferred| **deferred).count(), 2);
    assert!(!deferred[&Digest::sha256(config("a").as_bytes())]);
    assert_eq!(outcome.manifests()[0].labels["label"], "a");
}

#[tokio::test]
async fn nested_indexes_are_followed_and_filtered_by_platform() {
    let mut fixture = Fixture::new().await;
    let inner = index(&[("amd64", &image("a")), ("arm64", &image("b"))]);
    let outer = index(&[("", &inner), ("amd64", &image("c"))]);
    let script = || {
        Script::default()
            .tags(&["all"])
            .manifest(Some("all"), &outer)
            .manifest(None, &inner)
            .manifest(None, &image("a"))
            .manifest(None, &image("b"))
            .manifest(None, &image("c"))
    };
    assert_eq!(fixture.sync(script()).await.expect("synced").manifests().len(), 5);
    fixture.options.platforms = vec!["linux/arm64".parse().expect("valid")];
    let outcome = fixture.sync(script()).await.expect("synced");
    assert_eq!(outcome.manifests().len(), 3);
    let index = outcome.manifests().into_iter().find(|m| m.raw == outer.as_bytes());
    assert_eq!(index.expect("kept").media_type, MediaType::OciIndex, "kept byte for byte");
}

#[tokio::test]
async fn a_broken_child_fails_the_sync_or_takes_its_tag_with_it() {
    let mut fixture = Fixture::new().await;
    let broken = index(&[("amd64", &image("a")), ("arm64", &image("b"))]);
    let wrong = format!("GET /v2/lab/many/manifests/{}", Digest::sha256(image("b").as_bytes()));
    let script = || {
        Script::default()
            .tags(&["bad", "good"])
            .manifest(Some("bad"), &broken)
            .manifest(Some("good"), &image("c"))
            .manifest(None, &image("a"))
            .on(&wrong, 200, &[], &image("c"))
    };
    let error = fixture.sync(script()).await.err().expect("fails");
    let text = crate::survey::chain(&error);
    assert!(text.contains("Tag `bad`") && text.contains("Digest mismatch"), "{text}");

    fixture.tolerant = true;
    let outcome = fixture.sync(script().tags(&["bad", "gone", "good"])).await.expect("synced");
    assert_eq!(outcome.tags(), "good");
    assert_eq!(outcome.manifests().len(), 1, "nothing of the broken tree is kept");
    assert_eq!(outcome.left_out.len(), 2, "{:?}", outcome.left_out);
    assert!(outcome.left_out[0].contains("`gone` vanished"), "{:?}", outcome.left_out);
}

#[tokio::test]
async fn indexes_nested_without_end_are_broken() {
    let fixture = Fixture::new().await;
    let mut script = Script::default().tags(&["deep"]);
    let mut body = image("a");
    for _ in 0..=crate::tree::MAX_DEPTH {
        script = script.manifest(None, &body);
        body = index(&[("", &body)]);
    }
    let error = fixture.sync(script.manifest(Some("deep"), &body)).await.err().expect("fails");
    let text = crate::survey::chain(&error);
    assert!(text.contains("nested more than 8 deep"), "{text}");
}

#[tokio::test]
async fn manifests_that_any_repository_holds_are_not_fetched_again() {
    let fixture = Fixture::new().await;
    let list = index(&[("amd64", &image("a"))]);
    let script =
        || Script::default().tags(&["v1"]).manifest(Some("v1"), &list).manifest(None, &image("a"));
    let first = fixture.sync(script()).await.expect("synced");
    let new: Vec<_> = first
        .saved
        .iter()
        .map(|(content, _)| rows::NewContent {
            type_name: content.type_name().into(),
            natural_key: content.natural_key().expect("has one"),
            repo_key: content.repo_key(),
            metadata: serde_json::to_string(content).expect("serialises"),
            raw: content.raw(),
        })
        .collect();
    fixture.db.write(move |connection| rows::insert(connection, &new)).await.expect("written");
    let second = fixture.sync(script()).await.expect("synced");
    assert_eq!((second.requests("HEAD"), second.requests("GET")), (1, 1), "the list and the tag");
    let units = |outcome: &Outcome| {
        outcome.saved.iter().map(|(c, _)| c.natural_key()).collect::<BTreeSet<_>>()
    };
    assert_eq!(units(&first), units(&second));
}

#[tokio::test]
async fn companions_and_referrers_come_along() {
    let mut fixture = Fixture::new().await;
    let signed = Digest::sha256(image("a").as_bytes());
    let companion = format!("sha256-{}.sig", signed.hex());
    let other = format!("sha256-{}.sig", Digest::sha256(b"other").hex());
    let mut referrer: Value = serde_json::from_str(&image("c")).expect("JSON");
    referrer["subject"] = descriptor(OCI, &image("a"));
    let referrer = referrer.to_string();
    let list = index(&[("amd64", &referrer)]);
    let script = || {
        Script::default()
            .tags(&["v1", "w1", &companion, &other])
            .manifest(Some("v1"), &image("a"))
            .manifest(Some(&companion), &image("b"))
            .manifest(None, &referrer)
            .on(
                &format!("GET /v2/lab/many/referrers/{signed}"),
                200,
                &[("content-type", INDEX)],
                &list,
            )
    };
    fixture.options.include_tags = vec!["v*".parse().expect("valid")];
    let outcome = fixture.sync(script()).await.expect("synced");
    assert_eq!(outcome.tags(), format!("{companion} v1"));
    assert_eq!(outcome.manifests().len(), 2);

    fixture.options.referrers = true;
    let outcome = fixture.sync(script()).await.expect("synced");
    assert_eq!(outcome.manifests().len(), 3);
    assert!(outcome.manifests().iter().any(|manifest| manifest.subject == Some(signed)));
}

#[tokio::test]
async fn referrers_of_referrers_are_followed_to_an_end_that_is_told() {
    let mut fixture = Fixture::new().await;
    fixture.options.referrers = true;
    let mut script = Script::default().tags(&["v1"]).manifest(Some("v1"), &image("a"));
    let mut subject = image("a");
    for _ in 0..=crate::tree::MAX_DEPTH {
        let mut referrer: Value = serde_json::from_str(&image("c")).expect("JSON");
        referrer["subject"] = descriptor(OCI, &subject);
        let referrer = referrer.to_string();
        let of = format!("GET /v2/lab/many/referrers/{}", Digest::sha256(subject.as_bytes()));
        script = script.manifest(None, &referrer).on(
            &of,
            200,
            &[("content-type", INDEX)],
            &index(&[("amd64", &referrer)]),
        );
        subject = referrer;
    }
    let outcome = fixture.sync(script).await.expect("synced");
    assert_eq!(outcome.manifests().len(), crate::tree::MAX_DEPTH);
    assert_eq!(outcome.left_out.len(), 1, "{:?}", outcome.left_out);
    assert!(outcome.left_out[0].contains("8 times in a row"), "{:?}", outcome.left_out);
}

#[tokio::test]
async fn digests_are_mirrored_without_listing_tags() {
    let mut fixture = Fixture::new().await;
    fixture.options.digests = vec![Digest::sha256(image("a").as_bytes())];
    let outcome =
        fixture.sync(Script::default().manifest(None, &image("a"))).await.expect("synced");
    assert_eq!((outcome.tags(), outcome.manifests().len()), (String::new(), 1));
    assert_eq!(outcome.script.asked().len(), 1);
}
