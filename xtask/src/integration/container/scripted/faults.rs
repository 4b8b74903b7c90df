//! Registries that challenge, throttle, break off and corrupt.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::{Result, ensure};
use serde_json::json;

use super::{
    CONFIG, IMAGE, INDEX, LAYER, Lab, Scripted, Served, image_of, index_of, json_answer, mirror,
    refused,
};
use crate::{
    integration::file::noise,
    pulp::digest_of,
    server::{Answer, Ending, Request},
};

/// Tokens that are good for a few requests each, by a challenge without a scope whose realm holds
/// `=` and a comma.
pub(in super::super) fn tokens(lab: &Lab) -> Result<()> {
    const USES: usize = 30;
    let registry = Scripted::start()?;
    let tags: Vec<_> = (10..30).map(|number| format!("v{number}")).collect();
    for tag in &tags {
        registry.tag(tag, IMAGE, &registry.image(tag));
    }
    let handed_out = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&handed_out);
    let address = registry.address();
    let mut left = 0;
    registry.guard(move |request| {
        let number = counter.load(Ordering::Relaxed);
        if request.path == "/token" {
            let asked = "a=b,c&service=a%2C+b%3Dc&scope=repository%3Alab%2Fapp%3Apull";
            let basic = request.header("authorization") == Some("Basic bWU6cHc=");
            if request.query != asked || !basic {
                return Some(Answer::new(403, ""));
            }
            left = USES;
            counter.store(number + 1, Ordering::Relaxed);
            let token = json!({ "access_token": format!("t{}", number + 1), "expires_in": 3600 });
            return Some(json_answer(200, &token));
        }
        let good = request.header("authorization") == Some(&format!("Bearer t{number}"));
        if good && left > 0 {
            left -= 1;
            return None;
        }
        let challenge = format!(
            "Negotiate, Bearer realm=\"http://{address}/token?a=b,c\", service=\"a, b=c\", \
             error=\"invalid_token\""
        );
        Some(Answer::new(401, "").with("WWW-Authenticate", challenge))
    });
    mirror(lab, &registry, &["--username", "me", "--password", "pw"])?;
    let served = Served::start(lab)?;
    ensure!(served.tags()? == tags, "Other tags: {:?}", served.tags()?);
    served.stop()?;
    // The list, and of each tag HEAD, GET, configuration and layer.
    let least = (1 + 4 * tags.len()).div_ceil(USES);
    let tokens = handed_out.load(Ordering::Relaxed);
    ensure!(tokens >= least, "Only {tokens} tokens for {least} times {USES} requests");
    // A token may run out while it is being handed to several requests at once.
    ensure!(tokens <= 2 * least, "{tokens} tokens where {least} would do");
    Ok(())
}

/// A password goes to nobody but the registry and its own token server.
pub(in super::super) fn foreign_realm(lab: &Lab) -> Result<()> {
    let registry = Scripted::start()?;
    registry.tag("v1", IMAGE, &registry.image("v1"));
    registry.guard(|_| {
        let challenge = "Bearer realm=\"http://thief.example/token\",service=x";
        Some(Answer::new(401, "").with("WWW-Authenticate", challenge))
    });
    let told = ["Credentials are not sent", "thief.example"];
    refused(lab, &registry, &["--username", "me", "--password", "pw"], &told)
}

/// `429` with `Retry-After` holds back every request to the host, and nothing is lost.
pub(in super::super) fn throttled(lab: &Lab) -> Result<()> {
    let registry = Scripted::start()?;
    let image = registry.image("v1");
    registry.tag("v1", IMAGE, &image);
    let wait = || Answer::new(429, "").with("Retry-After", "1");
    let layer = digest_of("sha256", b"layer v1");
    registry.once("GET tags/list", wait());
    registry.once("HEAD manifests/v1", wait());
    registry.once(&format!("GET blobs/{layer}"), wait());
    mirror(lab, &registry, &[])?;
    let served = Served::start(lab)?;
    served.has_manifest("v1", IMAGE, &image)?;
    served.has_blob(b"layer v1")?;
    served.stop()?;

    let forever = Answer::new(429, "").with("Retry-After", "86400");
    registry.always("GET tags/list", forever);
    refused(lab, &registry, &[], &["asks to wait for 86400 s", "tags/list"])
}

/// A blob that breaks off is resumed where it stopped; without ranges it is begun again.
pub(in super::super) fn truncated(lab: &Lab) -> Result<()> {
    let registry = Scripted::start()?;
    let config = registry.blob(CONFIG, b"{\"os\": \"linux\", \"architecture\": \"arm64\"}");
    let layers = [noise(1, 3_000_000), noise(2, 300_000)];
    let [resumed, again] = [&layers[0], &layers[1]].map(|bytes| registry.blob(LAYER, bytes));
    let image = image_of(&config, &[resumed, again]).to_string();
    registry.tag("v1", IMAGE, &image);
    let [first, second] =
        [&layers[0], &layers[1]].map(|bytes| format!("GET blobs/{}", digest_of("sha256", bytes)));
    let cut = |bytes: &[u8]| Answer::new(200, bytes).ending(Ending::CutAfter(bytes.len() / 2));
    registry.once(&first, cut(&layers[0]).with("Accept-Ranges", "bytes"));
    registry.once(&second, cut(&layers[1]).with("Accept-Ranges", "none"));
    let ranges = Arc::new(std::sync::Mutex::new(HashMap::<String, Vec<String>>::new()));
    let seen = Arc::clone(&ranges);
    registry.guard(move |request: &Request| {
        let range = request.header("range").unwrap_or("whole").to_owned();
        let mut seen = seen.lock().expect("nobody panics while holding it");
        seen.entry(format!("{} {}", request.method, request.path)).or_default().push(range);
        None
    });
    mirror(lab, &registry, &[])?;
    let served = Served::start(lab)?;
    for layer in &layers {
        served.has_blob(layer)?;
    }
    served.stop()?;
    let ranges = ranges.lock().expect("nobody panics while holding it");
    let asked = |request: &str| {
        let (method, below) = request.split_once(' ').unwrap_or_default();
        ranges.get(&format!("{method} {}", super::path(below))).cloned().unwrap_or_default()
    };
    let (first, second) = (asked(&first), asked(&second));
    ensure!(second == ["whole", "whole"], "Not begun again: {second:?}");
    ensure!(first.len() == 2 && first[0] == "whole", "Not resumed: {first:?}");
    let from = first[1].strip_prefix("bytes=").and_then(|range| range.strip_suffix('-'));
    let from: usize = from.unwrap_or("0").parse()?;
    ensure!(from > 0 && from <= 1_500_000, "Resumed elsewhere: {first:?}");
    lab.pulp.has_no_temporary_files()
}

/// A layer whose bytes are others fails the sync, and no byte of it is kept.
pub(in super::super) fn corrupt(lab: &Lab) -> Result<()> {
    let registry = Scripted::start()?;
    registry.tag("v1", IMAGE, &registry.image("v1"));
    let layer = digest_of("sha256", b"layer v1");
    registry.always(&format!("GET blobs/{layer}"), Answer::new(200, "laYer v1"));
    refused(lab, &registry, &[], &["container.blob", &layer])?;
    ensure!(!lab.pulp.holds(b"laYer v1")?, "The corrupt layer was stored");
    // What upstream lies about is fetched when asked for, and then not served either.
    mirror(lab, &registry, &["--policy", "on_demand"])?;
    let served = Served::start(lab)?;
    let reply = served.get(&format!("blobs/{layer}"))?;
    ensure!(reply.status != 200 || !reply.complete, "The corrupt layer was served");
    served.stop()?;
    ensure!(!lab.pulp.holds(b"laYer v1")?, "The corrupt layer was stored");
    lab.pulp.has_no_temporary_files()
}

/// With `--on-broken skip`, an image that lacks a layer is left out with every index and tag above
/// it, and the rest is whole; with `defer`, it is there, and the layer comes when upstream has it.
/// Either way the next sync tries again.
pub(in super::super) fn tolerated(lab: &Lab) -> Result<()> {
    let registry = Scripted::start()?;
    let shared = registry.blob(LAYER, b"shared");
    let images = ["good", "bad", "corrupt"].map(|seed| {
        let config = registry.blob(CONFIG, format!("{{\"os\": \"{seed}\"}}").as_bytes());
        let own = registry.blob(LAYER, format!("layer {seed}").as_bytes());
        image_of(&config, &[shared.clone(), own]).to_string()
    });
    for (tag, image) in ["good", "bad", "corrupt"].iter().zip(&images) {
        registry.tag(tag, IMAGE, image);
    }
    let index = index_of(&[&images[0], &images[1]].map(|image| registry.manifest(IMAGE, image)));
    registry.tag("index", INDEX, &index.to_string());
    let [bad, corrupt] = ["layer bad", "layer corrupt"]
        .map(|layer| format!("blobs/{}", digest_of("sha256", layer.as_bytes())));
    registry.remove(&bad);
    registry.once(&format!("GET {corrupt}"), Answer::new(200, "layer Corrupt"));
    let skip = ["--on-broken", "skip", "--max-retries", "0"];
    let mirrored = mirror(lab, &registry, &skip)?;
    let served = Served::start(lab)?;
    ensure!(served.tags()? == ["good"], "Other tags: {:?}", served.tags()?);
    served.has_manifest("good", IMAGE, &images[0])?;
    for blob in ["shared", "layer good"] {
        served.has_blob(blob.as_bytes())?;
    }
    let broken = digest_of("sha256", images[1].as_bytes());
    served.get(&format!("manifests/{broken}"))?.expect(404)?;
    served.stop()?;
    for told in ["`bad` is broken", "`index` is broken", "`corrupt` is broken", "404", "mismatch"] {
        let found = mirrored.warnings.iter().any(|text| text.to_lowercase().contains(told));
        ensure!(found, "{told} is not told: {:?}", mirrored.warnings);
    }

    // The layer that was corrupt once is good now; the missing one is put up with.
    mirror(lab, &registry, &["--on-broken", "defer"])?;
    let served = Served::start(lab)?;
    ensure!(served.tags()? == ["bad", "corrupt", "good", "index"], "{:?}", served.tags()?);
    served.has_blob(b"layer corrupt")?;
    ensure!(served.get(&bad)?.status != 200, "There is a layer that nobody has");
    registry.blob(LAYER, b"layer bad");
    mirror(lab, &registry, &[])?;
    served.has_blob(b"layer bad")?;
    served.stop()?;
    let again = mirror(lab, &registry, &[])?;
    ensure!(again.version.is_none() && again.warnings.is_empty(), "{again:?}");
    Ok(())
}

/// A layer that upstream doesn't have is told by name.
pub(in super::super) fn missing_layer(lab: &Lab) -> Result<()> {
    let registry = Scripted::start()?;
    registry.tag("v1", IMAGE, &registry.image("v1"));
    let layer = digest_of("sha256", b"layer v1");
    registry.remove(&format!("blobs/{layer}"));
    refused(lab, &registry, &[], &["404", &layer])
}
