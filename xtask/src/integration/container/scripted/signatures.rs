//! Signatures: beside manifests, or manifests themselves; and mirrors of what is signed only.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{
    IMAGE, INDEX, Lab, NAME, Scripted, Served, descriptor, image_of, index_of, json_answer, mirror,
    mirror_from, refused,
};
use crate::{
    pulp::{Mirrored, digest_of},
    server::Answer,
};

/// Two OpenPGP messages, as far as one can tell without reading them, and their base64.
const SIGNATURES: [(&[u8], &str); 2] = [
    (b"\x90first", "kGZpcnN0"),
    (b"-----BEGIN PGP MESSAGE-----\nsecond\n", "LS0tLS1CRUdJTiBQR1AgTUVTU0FHRS0tLS0tCnNlY29uZAo="),
];

/// A lookaside store with two signatures of `v1` and none of `v2`.
fn lookaside(registry: &Scripted) -> (String, String) {
    let image = registry.image("v1");
    registry.tag("v1", IMAGE, &image);
    registry.tag("v2", IMAGE, &registry.image("v2"));
    let digest = digest_of("sha256", image.as_bytes());
    for (number, (bytes, _)) in (1..).zip(SIGNATURES) {
        let folder = format!("/sigs/lab/app@{}", digest.replace(':', "="));
        registry.always(&format!("GET {folder}/signature-{number}"), Answer::new(200, bytes));
    }
    (digest, format!("{}/sigs", registry.url()))
}

/// From a lookaside store, and by the registry's own extension, which the answer to `/v2/` tells of.
pub(in super::super) fn beside(lab: &Lab) -> Result<()> {
    let registry = Scripted::start()?;
    let (digest, store) = lookaside(&registry);
    let mirrored = mirror(lab, &registry, &["--sigstore", &store])?;
    // Of each image a manifest, a configuration, a layer and a tag; and two signatures.
    ensure!(mirrored.present == 10, "Not two signatures: {mirrored:?}");
    registry.take_log();
    let again = mirror(lab, &registry, &["--sigstore", &store])?;
    ensure!(again.version.is_none(), "Nothing changed, but: {again:?}");
    // The list and two tags; of each manifest what comes after its last signature, and these.
    let asked = registry.take_log();
    ensure!(asked.len() == 3 + 2 + 2, "To see that nothing changed: {asked:?}");

    let base = Answer::new(200, "{}").with("X-Registry-Supports-Signatures", "1");
    registry.always("GET /v2/", base);
    let listed = SIGNATURES.map(|(_, content)| {
        json!({ "schemaVersion": 2, "type": "atomic", "name": "x", "content": content })
    });
    let list = json_answer(200, &json!({ "signatures": listed }));
    registry.always(&format!("GET /extensions/v2/lab/app/signatures/{digest}"), list);
    let other = lab.pulp.another()?;
    let wanted = ["--signatures", "--signed-only"];
    let mirrored = mirror_from(&other, registry.address(), &wanted)?;
    ensure!(mirrored.present == 6, "Not one image and its signatures: {mirrored:?}");
    ensure!(mirrored.warnings == ["`v2` is not signed: left out"], "{:?}", mirrored.warnings);
    registry.take_log();
    mirror_from(&other, registry.address(), &wanted)?;
    // The list and two tags, whether it keeps signatures, and a list of them per manifest; and the
    // manifest that was left out.
    let asked = registry.take_log();
    ensure!(asked.len() == 3 + 1 + 2 + 1, "To see that nothing changed: {asked:?}");
    for (pulp, tags) in [(&lab.pulp, &["v1", "v2"][..]), (&other, &["v1"])] {
        let served = Served::of(pulp)?;
        ensure!(served.tags()? == tags, "Other tags: {:?}", served.tags()?);
        has_signatures(&served, &digest)?;
        served.signatures(&digest_of("sha256", b"unknown"))?.expect(404)?;
        served.stop()?;
    }
    Ok(())
}

/// Exported and mirrored from a folder and from an archive, signatures are beside their manifests again.
pub(in super::super) fn exported(lab: &Lab) -> Result<()> {
    let registry = Scripted::start()?;
    let (digest, store) = lookaside(&registry);
    mirror(lab, &registry, &["--sigstore", &store])?;
    let folder = tempfile::tempdir()?;
    for name in ["layout", "layout.tar"] {
        let target = folder.path().join(name).display().to_string();
        let export = ["container", "export", "--repository", NAME, &target, "--json"];
        let told: Value = serde_json::from_str(&lab.pulp.run(&export)?)?;
        ensure!(told["signatures"] == 2, "Exported: {told}");
        let url = format!("file://{target}");
        let other = lab.pulp.another()?;
        let arguments = ["mirror", "container", &url, "--name", NAME, "--allow-file-path", &target];
        let sync = || {
            Mirrored::parse(&other.run(&[&arguments[..], &["--signatures", "--json"]].concat())?)
        };
        let mirrored = sync()?;
        ensure!(mirrored.present == 10 && mirrored.warnings.is_empty(), "{mirrored:?}");
        let again = sync()?;
        ensure!(again.version.is_none(), "Nothing changed, but: {again:?}");
        let served = Served::of(&other)?;
        has_signatures(&served, &digest)?;
        served.stop()?;
    }
    Ok(())
}

/// An error unless our registry gives out both signatures, under names of this manifest.
fn has_signatures(served: &Served, digest: &str) -> Result<()> {
    let list: Value = serde_json::from_slice(&served.signatures(digest)?.expect(200)?.body)?;
    let list = list["signatures"].as_array().cloned().unwrap_or_default();
    for (_, content) in SIGNATURES {
        let found = list.iter().find(|signature| signature["content"] == content);
        let name = found.and_then(|signature| signature["name"].as_str()).unwrap_or_default();
        ensure!(name.starts_with(&format!("{digest}@")), "Not there, or misnamed: {list:?}");
    }
    ensure!(list.len() == SIGNATURES.len(), "Too many: {list:?}");
    Ok(())
}

/// A store that answers everything with a page gives no signatures; one that fails, no version.
pub(in super::super) fn no_signatures(lab: &Lab) -> Result<()> {
    let registry = Scripted::start()?;
    let (digest, store) = lookaside(&registry);
    let first = format!("GET /sigs/lab/app@{}/signature-1", digest.replace(':', "="));
    registry.always(&first, Answer::new(403, ""));
    refused(lab, &registry, &["--sigstore", &store], &["signature-1", "403"])?;
    registry.always(&first, Answer::new(200, "<html>welcome</html>"));
    let mirrored = mirror(lab, &registry, &["--sigstore", &store])?;
    ensure!(mirrored.present == 9, "Not one signature: {mirrored:?}");
    let told = mirrored.warnings.iter().filter(|text| text.contains("is no signature"));
    ensure!(told.count() == 1, "Not told: {:?}", mirrored.warnings);
    let none = lab.pulp.another()?;
    let mirrored = mirror_from(&none, registry.address(), &["--signatures"])?;
    ensure!(mirrored.warnings == ["The registry keeps no signatures"], "{:?}", mirrored.warnings);
    Ok(())
}

/// Without a place for signatures, those of cosign and notation count: by tag, by referrer. One
/// unsigned child leaves out its index.
pub(in super::super) fn attached(lab: &Lab) -> Result<()> {
    let registry = Scripted::start()?;
    let sign = |image: &str| {
        let tag = format!("{}.sig", digest_of("sha256", image.as_bytes()).replace(':', "-"));
        registry.tag(&tag, IMAGE, &registry.image(&format!("signs {image}")));
        tag
    };
    let images = ["cosigned", "notarised", "unsigned"].map(|seed| registry.image(seed));
    for (tag, image) in ["cosigned", "notarised", "unsigned"].iter().zip(&images) {
        registry.tag(tag, IMAGE, image);
    }
    let companion = sign(&images[0]);
    let children = |images: &[&String]| {
        let children = images.iter().map(|image| registry.manifest(IMAGE, image));
        index_of(&children.collect::<Vec<_>>()).to_string()
    };
    registry.tag("both", INDEX, &children(&[&images[0], &images[1]]));
    registry.tag("half", INDEX, &children(&[&images[0], &images[2]]));
    let mut signature = image_of(&descriptor("x", b"{}"), &[]);
    signature["artifactType"] = "application/vnd.cncf.notary.signature".into();
    let mut refers = descriptor(IMAGE, signature.to_string().as_bytes());
    refers["artifactType"] = signature["artifactType"].clone();
    let of = |image: &str| format!("GET referrers/{}", digest_of("sha256", image.as_bytes()));
    registry.always(&of(&images[1]), index_answer(&[refers]));
    let sbom =
        json!({ "artifactType": "application/spdx+json", "digest": digest_of("sha256", b"s") });
    registry.always(&of(&images[2]), index_answer(&[sbom]));

    let mirrored = mirror(lab, &registry, &["--signed-only"])?;
    let served = Served::start(lab)?;
    let mut expected =
        vec!["both".to_owned(), "cosigned".to_owned(), "notarised".to_owned(), companion];
    expected.sort_unstable();
    ensure!(served.tags()? == expected, "Other tags: {:?}", served.tags()?);
    for tag in ["half", "unsigned"] {
        let told = mirrored
            .warnings
            .iter()
            .any(|text| *text == format!("`{tag}` is not signed: left out"));
        ensure!(told, "`{tag}` is not told: {:?}", mirrored.warnings);
    }
    served.stop()
}

fn index_answer(children: &[Value]) -> Answer {
    let answer = json_answer(200, &index_of(children));
    Answer { headers: vec![("Content-Type", INDEX.to_owned())], ..answer }
}
