//! What registries hold besides plain images: each kept byte for byte, and whole.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{
    CONFIG, IMAGE, INDEX, LAYER, Lab, Scripted, Served, descriptor, image_of, index_of, mirror,
};
use crate::pulp::digest_of;

const FOREIGN: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// Every kind of manifest that is not a plain image.
fn kinds(registry: &Scripted) -> Vec<(&'static str, &'static str, String)> {
    let plain = registry.image("plain");
    let child = registry.manifest(IMAGE, &plain);
    let config = registry.blob(CONFIG, b"{}");
    let empty = registry.blob(EMPTY, b"{}");
    let inner = index_of(std::slice::from_ref(&child)).to_string();
    let inner = registry.manifest(INDEX, &inner);
    let zstd = "application/vnd.oci.image.layer.v1.tar+zstd";
    let helm = "application/vnd.cncf.helm.config.v1+json";
    let chart = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
    let layer = |kind: &str| registry.blob(kind, format!("a layer of {kind}").as_bytes());
    let mut artifact = image_of(&empty, std::slice::from_ref(&empty));
    artifact["artifactType"] = "application/x.example".into();
    let mut custom = image_of(&config, &[layer(LAYER)]);
    custom["org.example.extra"] = json!({ "a": [null, 1.50, "ü"] });
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    let list = "application/vnd.docker.distribution.manifest.list.v2+json";
    let docker_config = "application/vnd.docker.container.image.v1+json";
    let docker_layer = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    let schema2 = json!({
        "schemaVersion": 2,
        "mediaType": docker,
        "config": registry.blob(docker_config, b"{\"os\": \"linux\"}"),
        "layers": [layer(docker_layer)],
    })
    .to_string();
    let mut listed = registry.manifest(docker, &schema2);
    listed["platform"] = json!({ "os": "linux", "architecture": "amd64" });
    let docker_list = json!({ "schemaVersion": 2, "mediaType": list, "manifests": [listed] });
    vec![
        ("no-layers", IMAGE, image_of(&config, &[]).to_string()),
        ("zstd", IMAGE, image_of(&config, &[layer(zstd)]).to_string()),
        ("helm", IMAGE, image_of(&registry.blob(helm, b"name: x"), &[layer(chart)]).to_string()),
        ("artifact", IMAGE, artifact.to_string()),
        ("custom", IMAGE, custom.to_string()),
        ("nested", INDEX, index_of(&[inner, child]).to_string()),
        ("empty-index", INDEX, index_of(&[]).to_string()),
        ("docker", docker, schema2),
        ("docker-list", list, docker_list.to_string()),
        ("schema1", SCHEMA1, schema1(registry)),
        ("unknown", "application/x.unknown+json", "{\"anything\": [\"goes\"]}".to_owned()),
    ]
}

const SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+json";
/// Clients know no other.
const SCHEMA1_SERVED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

/// Unsigned, with a layer that is listed twice.
fn schema1(registry: &Scripted) -> String {
    let digest = registry.blob(LAYER, b"a layer of old")["digest"].clone();
    json!({
        "schemaVersion": 1,
        "name": "lab/app",
        "tag": "schema1",
        "architecture": "amd64",
        "fsLayers": [{ "blobSum": digest }, { "blobSum": digest }],
        "history": [{ "v1Compatibility": "{}" }, { "v1Compatibility": "{}" }],
    })
    .to_string()
}

/// All of them at once, immediate and on demand; a second sync changes nothing.
pub(in super::super) fn every_kind(lab: &Lab) -> Result<()> {
    let registry = Scripted::start()?;
    let kinds = kinds(&registry);
    for (tag, kind, body) in &kinds {
        registry.tag(tag, kind, body);
    }
    for policy in ["immediate", "on_demand"] {
        let pulp = lab.pulp.another()?;
        let mirror = || super::super::mirror_from(&pulp, registry.address(), &["--policy", policy]);
        let mirrored = mirror()?;
        ensure!(mirrored.warnings.is_empty(), "{:?}", mirrored.warnings);
        let served = Served::of(&pulp)?;
        for (tag, kind, body) in &kinds {
            let kind = if *kind == SCHEMA1 { SCHEMA1_SERVED } else { kind };
            served.has_manifest(tag, kind, body)?;
            served.has_manifest(&digest_of("sha256", body.as_bytes()), kind, body)?;
            for blob in blobs_of(body)? {
                served.has_blob_of_digest(&blob)?;
            }
        }
        served.stop()?;
        let again = mirror()?;
        ensure!(again.version.is_none(), "Nothing changed, but: {again:?}");
    }
    Ok(())
}

/// A signed manifest is named by the digest of what was signed; its bytes stay as they are.
pub(in super::super) fn signed_schema1(lab: &Lab) -> Result<()> {
    let registry = Scripted::start()?;
    let payload = schema1(&registry);
    // As libtrust signs: all but the last brace, then the signatures, then the brace.
    let length = payload.len() - 1;
    let protected = json!({ "formatLength": length, "formatTail": "fQ" }).to_string();
    let signature = json!([{ "protected": base64url(protected.as_bytes()), "signature": "c2ln" }]);
    let signed = format!("{},\"signatures\":{signature}}}", &payload[..length]);
    let digest = digest_of("sha256", payload.as_bytes());
    registry.tag("old", SCHEMA1_SERVED, &signed);
    registry.manifest_as(&digest, SCHEMA1_SERVED, &signed);
    let stated = crate::server::Answer::new(200, "").with("Docker-Content-Digest", &digest);
    registry.always("HEAD manifests/old", stated);

    let mirrored = mirror(lab, &registry, &[])?;
    // A tag, a manifest, and the layer that is listed twice.
    ensure!(mirrored.present == 3 && mirrored.warnings.is_empty(), "{mirrored:?}");
    let served = Served::start(lab)?;
    for reference in ["old", &digest] {
        served.has_manifest(reference, SCHEMA1_SERVED, &signed)?;
        let reply = served.get(&format!("manifests/{reference}"))?;
        let stated = reply.header("docker-content-digest");
        ensure!(stated == Some(&digest), "`{reference}` has the digest {stated:?}");
    }
    served.has_blob(b"a layer of old")?;
    served.stop()?;
    let again = mirror(lab, &registry, &[])?;
    ensure!(again.version.is_none(), "Nothing changed, but: {again:?}");
    // What was tampered with is another manifest.
    let forged = signed.replacen("amd64", "arm64", 1);
    registry.manifest_as(&digest, SCHEMA1_SERVED, &forged);
    let other = lab.pulp.another()?;
    let arguments = super::super::mirroring(registry.address(), &[]);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let (code, told) = other.run_failing(&arguments)?;
    ensure!(code == 3 && told.contains("Digest mismatch"), "{code}: {told}");
    Ok(())
}

/// Base64 for URLs, without padding (RFC 4648, section 5).
fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0, |bits: u32, byte| (bits << 8) | u32::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for digit in 0..=chunk.len() {
            text.push(char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63]));
        }
    }
    text
}

/// The digests of the configuration and the layers.
fn blobs_of(manifest: &str) -> Result<Vec<String>> {
    let manifest: Value = serde_json::from_str(manifest)?;
    let layers = manifest["layers"].as_array().into_iter().flatten();
    let old = manifest["fsLayers"].as_array().into_iter().flatten();
    let digests = layers.chain([&manifest["config"]]).map(|descriptor| &descriptor["digest"]);
    let digests = digests.chain(old.map(|layer| &layer["blobSum"]));
    Ok(digests.filter_map(Value::as_str).map(str::to_owned).collect())
}

/// Foreign layers stay where they are unless asked for; then they come from where they say.
pub(in super::super) fn foreign(lab: &Lab) -> Result<()> {
    let registry = Scripted::start()?;
    let config = registry.blob(CONFIG, b"{}");
    let mut layer = descriptor(FOREIGN, b"foreign");
    let elsewhere = format!("{}{}", registry.url(), super::path("elsewhere/layer.tar.gz"));
    layer["urls"] = json!([elsewhere]);
    let image = image_of(&config, &[layer]).to_string();
    registry.tag("v1", IMAGE, &image);
    registry.always("GET elsewhere/layer.tar.gz", crate::server::Answer::new(200, "foreign"));
    let mirrored = mirror(lab, &registry, &[])?;
    // The configuration, the manifest and the tag.
    ensure!(mirrored.present == 3, "A foreign layer came unasked: {mirrored:?}");
    let asked = registry.take_log();
    let digest = digest_of("sha256", b"foreign");
    let is_foreign = |line: &String| line.contains("elsewhere") || line.contains(&digest);
    ensure!(!asked.iter().any(is_foreign), "It was asked for: {asked:?}");
    let served = Served::start(lab)?;
    served.has_manifest("v1", IMAGE, &image)?;
    served.stop()?;

    mirror(lab, &registry, &["--include-foreign-layers"])?;
    let served = Served::start(lab)?;
    served.has_blob(b"foreign")?;
    served.stop()
}

/// Of an index, only the wanted platforms come, with what attests them; the index stays as it is.
pub(in super::super) fn platforms(lab: &Lab) -> Result<()> {
    let registry = Scripted::start()?;
    let child = |os: &str, architecture: &str, variant: Option<&str>| {
        let seed = format!("{os} {architecture} {variant:?}");
        let body = registry.image(&seed);
        let mut child = registry.manifest(IMAGE, &body);
        child["platform"] = json!({ "os": os, "architecture": architecture });
        if let Some(variant) = variant {
            child["platform"]["variant"] = variant.into();
        }
        (child, body)
    };
    let attested = |of: &Value, seed: &str| {
        let body = registry.image(seed);
        let mut child = registry.manifest(IMAGE, &body);
        child["platform"] = json!({ "os": "unknown", "architecture": "unknown" });
        child["annotations"] = json!({ "vnd.docker.reference.digest": of["digest"] });
        (child, body)
    };
    let (arm64, arm64_body) = child("linux", "arm64", Some("v8"));
    let (amd64, amd64_body) = child("linux", "amd64", None);
    let (windows, windows_body) = child("windows", "amd64", None);
    let (arm64_attestation, arm64_attestation_body) = attested(&arm64, "attests arm64");
    let (amd64_attestation, amd64_attestation_body) = attested(&amd64, "attests amd64");
    let children = [arm64, amd64, windows, arm64_attestation, amd64_attestation];
    let index = index_of(&children).to_string();
    registry.tag("v1", INDEX, &index);
    mirror(lab, &registry, &["--platform", "linux/arm64"])?;
    let served = Served::start(lab)?;
    served.has_manifest("v1", INDEX, &index)?;
    for body in [&arm64_body, &arm64_attestation_body] {
        served.has_manifest(&digest_of("sha256", body.as_bytes()), IMAGE, body)?;
    }
    for body in [&amd64_body, &windows_body, &amd64_attestation_body] {
        let missing = digest_of("sha256", body.as_bytes());
        served.get(&format!("manifests/{missing}"))?.expect(404)?;
    }
    served.stop()
}

/// Referrers are found without any tag, and those that refer to them; the API's pages are followed.
pub(in super::super) fn referrers(lab: &Lab) -> Result<()> {
    let registry = Scripted::start()?;
    let empty = registry.blob(EMPTY, b"{}");
    let subject = registry.image("subject");
    let subject_digest = digest_of("sha256", subject.as_bytes());
    registry.tag("v1", IMAGE, &subject);
    let refers = |to: &str, kind: &str| {
        let mut referrer = image_of(&empty, std::slice::from_ref(&empty));
        referrer["artifactType"] = kind.into();
        referrer["subject"] = descriptor(IMAGE, to.as_bytes());
        let body = referrer.to_string();
        let mut listed = registry.manifest(IMAGE, &body);
        listed["artifactType"] = kind.into();
        (body, listed)
    };
    let (signature, listed_signature) = refers(&subject, "example/signature");
    let (sbom, listed_sbom) = refers(&subject, "example/sbom");
    let (counter, listed_counter) = refers(&signature, "example/countersignature");
    let page = |listed: &[Value]| {
        crate::server::Answer::new(200, index_of(listed).to_string()).with("Content-Type", INDEX)
    };
    let of_subject = format!("GET referrers/{subject_digest}");
    registry.always(&of_subject, page(&[listed_signature]).with("Link", "<?page=2>; rel=\"next\""));
    registry.always(&format!("{of_subject}?page=2"), page(&[listed_sbom]));
    let signature_digest = digest_of("sha256", signature.as_bytes());
    registry.always(&format!("GET referrers/{signature_digest}"), page(&[listed_counter]));

    mirror(lab, &registry, &[])?;
    let served = Served::start(lab)?;
    served.get(&format!("manifests/{signature_digest}"))?.expect(404)?;
    served.stop()?;

    mirror(lab, &registry, &["--referrers"])?;
    let served = Served::start(lab)?;
    for body in [&signature, &sbom, &counter] {
        served.has_manifest(&digest_of("sha256", body.as_bytes()), IMAGE, body)?;
    }
    let listed = served.get(&format!("referrers/{subject_digest}"))?.expect(200)?;
    let listed: Value = serde_json::from_slice(&listed.body)?;
    let count = listed["manifests"].as_array().map_or(0, Vec::len);
    ensure!(count == 2, "Other referrers: {listed}");
    ensure!(served.tags()? == ["v1"], "Other tags: {:?}", served.tags()?);
    served.stop()
}

/// What a sync of the unchanged asks for to see that no referrer came: the list, each tag, and each
/// manifest's referrers; of a registry without referrers, one manifest's.
pub(in super::super) fn budget(lab: &Lab) -> Result<()> {
    let registry = Scripted::start()?;
    let tags = ["v1", "v2", "v3"];
    let images = tags.map(|tag| registry.image(tag));
    for (tag, image) in tags.iter().zip(&images) {
        registry.tag(tag, IMAGE, image);
    }
    let sync = || -> Result<Vec<String>> {
        let mirrored = mirror(lab, &registry, &["--referrers"])?;
        ensure!(mirrored.warnings.is_empty(), "{:?}", mirrored.warnings);
        Ok(registry.take_log())
    };
    sync()?;
    let asked = sync()?;
    ensure!(asked.len() == 1 + tags.len() + 1, "There is no API for referrers: {asked:?}");

    let empty = registry.blob(EMPTY, b"{}");
    let mut referrer = image_of(&empty, std::slice::from_ref(&empty));
    referrer["subject"] = descriptor(IMAGE, images[0].as_bytes());
    let referrer = referrer.to_string();
    let listed = [registry.manifest(IMAGE, &referrer)];
    for (manifest, listed) in
        [(&images[0], &listed[..]), (&images[1], &[]), (&images[2], &[]), (&referrer, &[])]
    {
        let request = format!("GET referrers/{}", digest_of("sha256", manifest.as_bytes()));
        let page = crate::server::Answer::new(200, index_of(listed).to_string());
        registry.always(&request, page.with("Content-Type", INDEX));
    }
    sync()?;
    let asked = sync()?;
    ensure!(asked.len() == 1 + tags.len() + 4, "Not one request per manifest: {asked:?}");
    let fetched = asked.iter().filter(|line| line.starts_with("GET manifests/"));
    ensure!(fetched.count() == 0, "Something was fetched again: {asked:?}");
    Ok(())
}

/// Cosign's tags come with what they describe, whatever the filters say, and those of others don't.
pub(in super::super) fn companions(lab: &Lab) -> Result<()> {
    let registry = Scripted::start()?;
    let mut of_kept = Vec::new();
    for tag in ["v1", "v2"] {
        let image = registry.image(tag);
        let digest = digest_of("sha256", image.as_bytes());
        registry.tag(tag, IMAGE, &image);
        for suffix in [".sig", ".att", ".sbom"] {
            let companion = format!("{}{suffix}", digest.replace(':', "-"));
            registry.tag(&companion, IMAGE, &registry.image(&companion));
            if tag == "v1" {
                of_kept.push(companion);
            }
        }
    }
    of_kept.push("v1".to_owned());
    of_kept.sort_unstable();
    mirror(lab, &registry, &["--include-tags", "v1"])?;
    let served = Served::start(lab)?;
    ensure!(served.tags()? == of_kept, "Other tags: {:?}", served.tags()?);
    served.stop()?;
    registry.take_log();
    let again = mirror(lab, &registry, &["--include-tags", "v1"])?;
    ensure!(again.version.is_none(), "Nothing changed, but: {again:?}");
    let asked = registry.take_log();
    ensure!(asked.len() == 1 + of_kept.len(), "More than the list and a HEAD each: {asked:?}");
    Ok(())
}
