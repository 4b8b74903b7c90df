//! What registries make of tag lists, `HEAD` and digests.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{IMAGE, INDEX, Lab, Scripted, Served, index_of, json_answer, mirror, refused};
use crate::{pulp::digest_of, server::Answer};

/// Pages, by relative and by absolute links, one of which names a host that nobody can reach.
pub(in super::super) fn pages(lab: &Lab) -> Result<()> {
    let registry = Scripted::start()?;
    let tags = ["a", "b", "c", "d", "e"];
    for tag in tags {
        registry.tag(tag, IMAGE, &registry.image(tag));
    }
    let page = |tags: &[&str], link: &str| {
        json_answer(200, &json!({ "name": "any", "tags": tags }))
            .with("Link", format!("{link}; rel=\"next\""))
    };
    let absolute = "<http://registry.internal/v2/lab/app/tags/list?n=2&last=d>";
    registry.always("GET tags/list", page(&tags[..2], "</v2/lab/app/tags/list?n=2&last=b>"));
    registry.always("GET tags/list?n=2&last=b", page(&tags[2..4], absolute));
    let last = json_answer(200, &json!({ "tags": ["e", "../../etc"] }));
    registry.always("GET tags/list?n=2&last=d", last);

    let mirrored = mirror(lab, &registry, &[])?;
    ensure!(mirrored.warnings.len() == 1, "Not one odd name: {:?}", mirrored.warnings);
    ensure!(mirrored.warnings[0].contains("../../etc"), "{:?}", mirrored.warnings);
    let served = Served::start(lab)?;
    ensure!(served.tags()? == tags, "Other tags: {:?}", served.tags()?);
    served.stop()
}

/// `null` for a list is an empty one; with `--mirror` everything goes.
pub(in super::super) fn no_tags(lab: &Lab) -> Result<()> {
    let registry = Scripted::start()?;
    registry.tag("v1", IMAGE, &registry.image("v1"));
    mirror(lab, &registry, &[])?;
    registry.always("GET tags/list", json_answer(200, &json!({ "name": "x", "tags": null })));
    let mirrored = mirror(lab, &registry, &["--mirror"])?;
    ensure!((mirrored.added, mirrored.present) == (0, 0), "Something is left: {mirrored:?}");
    let served = Served::start(lab)?;
    ensure!(served.tags()?.is_empty(), "There are tags: {:?}", served.tags()?);
    served.stop()?;

    registry.always("GET tags/list", json_answer(200, &json!(["no", "list"])));
    refused(lab, &registry, &[], &["Failed to parse", "tags/list"])
}

/// Registries without `HEAD`, or without the digest in its answer, are asked by `GET`.
pub(in super::super) fn no_head(lab: &Lab) -> Result<()> {
    let registry = Scripted::start()?;
    let image = registry.image("v1");
    for tag in ["405", "silent", "wrong"] {
        registry.tag(tag, IMAGE, &image);
    }
    registry.always("HEAD manifests/405", Answer::new(405, ""));
    let bare = Answer::new(200, image.as_bytes()).with("Content-Type", IMAGE);
    registry.always("HEAD manifests/silent", bare.clone());
    for reference in ["silent", &digest_of("sha256", image.as_bytes())] {
        registry.always(&format!("GET manifests/{reference}"), bare.clone());
    }
    let odd = Answer::new(200, "").with("Docker-Content-Digest", "md5:0");
    registry.always("HEAD manifests/wrong", odd);
    let mirrored = mirror(lab, &registry, &[])?;
    ensure!(mirrored.warnings.is_empty(), "{:?}", mirrored.warnings);
    let served = Served::start(lab)?;
    for tag in ["405", "silent", "wrong"] {
        served.has_manifest(tag, IMAGE, &image)?;
    }
    served.stop()
}

/// A digest that is not the content's, in a header or in an index, is never believed.
pub(in super::super) fn wrong_digests(lab: &Lab) -> Result<()> {
    let registry = Scripted::start()?;
    let (right, other) = (registry.image("right"), registry.image("other"));
    let child = registry.manifest(IMAGE, &right);
    let digest = digest_of("sha256", right.as_bytes());
    registry.tag("v1", INDEX, &index_of(&[child]).to_string());
    // The child that the index names is another manifest, under a header that lies as well.
    let lie = Answer::new(200, other.as_bytes()).with("Content-Type", IMAGE);
    let lie = lie.with("Docker-Content-Digest", &digest);
    registry.always(&format!("GET manifests/{digest}"), lie);
    let told = ["Tag `v1`", "Digest mismatch", &digest, &digest_of("sha256", other.as_bytes())];
    refused(lab, &registry, &[], &told)?;

    // A tag whose `HEAD` states a digest that nobody has.
    let lost = digest_of("sha256", b"lost");
    let head = Answer::new(200, "").with("Docker-Content-Digest", &lost);
    registry.always("HEAD manifests/v1", head);
    refused(lab, &registry, &[], &["Tag `v1`", &lost])
}

/// Tags that vanish after they were listed fail the sync or are left out, as the option says; so do
/// broken manifests. What is good is there, whole; what is not is told.
pub(in super::super) fn vanished(lab: &Lab) -> Result<()> {
    let registry = Scripted::start()?;
    let image = registry.image("good");
    registry.tag("good", IMAGE, &image);
    for tag in ["gone", "later", "broken", "childless"] {
        registry.tag(tag, IMAGE, &registry.image(tag));
    }
    registry.remove("manifests/gone");
    let later = registry.image("later");
    registry.remove(&format!("manifests/{}", digest_of("sha256", later.as_bytes())));
    registry.tag("broken", IMAGE, "{\"schemaVersion\": 2, \"config\": 7}");
    let missing = super::descriptor(IMAGE, b"missing");
    let good = registry.manifest(IMAGE, &image);
    registry.tag("childless", INDEX, &index_of(&[good, missing]).to_string());

    refused(lab, &registry, &[], &["gone", "hint: ", "--on-broken skip"])?;
    let mirrored = mirror(lab, &registry, &["--on-broken", "skip"])?;
    let served = Served::start(lab)?;
    ensure!(served.tags()? == ["good"], "Other tags: {:?}", served.tags()?);
    served.has_manifest("good", IMAGE, &image)?;
    for tag in ["gone", "later", "broken", "childless"] {
        let told = mirrored.warnings.iter().filter(|text| text.contains(&format!("`{tag}`")));
        ensure!(told.count() == 1, "`{tag}` is not told once: {:?}", mirrored.warnings);
    }
    // A manifest, its configuration, its layer and its tag: nothing of the others.
    ensure!(mirrored.present == 4, "Half of something is there: {mirrored:?}");
    served.stop()
}

/// A list that leads back to itself is no list, and nothing is mirrored by half of it.
pub(in super::super) fn endless(lab: &Lab) -> Result<()> {
    let registry = Scripted::start()?;
    registry.tag("v1", IMAGE, &registry.image("v1"));
    let list: Value = json!({ "tags": ["v1"] });
    let again = json_answer(200, &list).with("Link", "<?last=v1>; rel=next");
    registry.always("GET tags/list", again.clone());
    registry.always("GET tags/list?last=v1", again);
    refused(lab, &registry, &[], &["tags/list", "does not end"])?;
    let asked = registry.take_log();
    ensure!(asked.len() < 50, "Asked for without end: {}", asked.len());
    Ok(())
}
