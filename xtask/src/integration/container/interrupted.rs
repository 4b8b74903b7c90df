//! What is broken off in the middle: mirrors, exports and imports by Ctrl-C, pushes by clients that
//! vanish.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::{
    super::{
        Case, Lab, case,
        file::noise,
        interrupt::{endless, has_no_litter, interrupt, is_taking_up},
    },
    NAME, mirroring,
    scripted::{CONFIG, IMAGE, LAYER, Scripted, image_of},
};
use crate::{
    client, process,
    pulp::{Installation, digest_of},
    server::{Answer, Ending, Gate},
};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("interrupted: a mirror leaves nothing and succeeds the next time", mirror),
        case("interrupted: an export leaves nothing and succeeds the next time", export),
        case("interrupted: an import leaves nothing and succeeds the next time", import),
        case("interrupted: a push whose client vanishes leaves nothing", push),
    ]
}

/// A registry with an image; gives the bytes of its layer.
fn registry() -> Result<(Scripted, Vec<u8>)> {
    let registry = Scripted::start()?;
    let config = registry.blob(CONFIG, br#"{"architecture":"amd64","os":"linux"}"#);
    let layer = noise(1, 1_000_000);
    let image = image_of(&config, &[registry.blob(LAYER, &layer)]);
    registry.tag("v1", IMAGE, &image.to_string());
    Ok((registry, layer))
}

fn mirror(lab: &Lab) -> Result<()> {
    let (registry, layer) = registry()?;
    let words = mirroring(registry.address(), &["--policy", "immediate"]);
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let blob = format!("GET blobs/{}", digest_of("sha256", &layer));
    let list = json!({ "tags": ["v1"] }).to_string().into_bytes();
    for (request, body) in [("GET tags/list", list), (&*blob, layer)] {
        let gate = Arc::new(Gate::default());
        registry.once(request, Answer::new(200, body).ending(Ending::Held(Arc::clone(&gate))));
        interrupt(&lab.pulp, &words, |_| gate.wait_for_arrivals(1).map(|()| true))?;
        gate.open();
        let versions = lab.pulp.versions("container", NAME)?;
        ensure!(versions.is_empty(), "Interrupted at `{request}`, there are {versions:?}");
    }
    lab.pulp.run(&words).map(drop)
}

/// The file of the store with these bytes.
fn stored(pulp: &Installation, bytes: &[u8]) -> Result<PathBuf> {
    let digest = digest_of("sha256", bytes);
    let is_it =
        |path: &PathBuf| fs::read(path).is_ok_and(|found| digest_of("sha256", &found) == digest);
    pulp.files("")?.into_iter().find(is_it).context("The layer is not stored")
}

fn export(lab: &Lab) -> Result<()> {
    let (registry, layer) = registry()?;
    let words = mirroring(registry.address(), &["--policy", "immediate"]);
    lab.pulp.run(&words.iter().map(String::as_str).collect::<Vec<_>>())?;
    let (file, folder) = (stored(&lab.pulp, &layer)?, tempfile::tempdir()?);
    let given = folder.path().join("given");
    fs::create_dir(&given)?;
    for target in [given.clone(), folder.path().join("made"), folder.path().join("app.tar")] {
        // Nobody gets to the end of the layer.
        endless(&file, &layer, 1 << 40)?;
        let path = target.display().to_string();
        let words = ["container", "export", "--repository", NAME, &path];
        let begun = |_: &mut _| Ok(process::size_of(folder.path()) > 4 << 20);
        interrupt(&lab.pulp, &words, begun)?;
        let left: Vec<_> = fs::read_dir(folder.path())?.flatten().collect();
        ensure!(
            left.len() == 1 && fs::read_dir(&given)?.count() == 0,
            "Left for `{path}`: {left:?}"
        );
        fs::write(&file, &layer)?;
        lab.pulp.run(&words)?;
        ensure!(process::size_of(folder.path()) > layer.len() as u64, "Nothing at `{path}`");
        match &target {
            archive if archive.is_file() => fs::remove_file(archive)?,
            folder => fs::remove_dir_all(folder)?,
        }
        fs::create_dir_all(&given)?;
    }
    Ok(())
}

/// Writes a layout of an image whose layer has these bytes, or is said to be longer.
fn layout(folder: &Path, layer: &[u8], length: u64) -> Result<()> {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let add = |kind: &str, bytes: &[u8]| {
        let digest = digest_of("sha256", bytes);
        fs::write(blobs.join(digest.trim_start_matches("sha256:")), bytes)?;
        Ok::<_, std::io::Error>(json!({ "mediaType": kind, "digest": digest, "size": bytes.len() }))
    };
    let config = add(CONFIG, br#"{"architecture":"amd64","os":"linux"}"#)?;
    let mut described = add(LAYER, layer)?;
    described["size"] = length.into();
    let hex = digest_of("sha256", layer);
    endless(&blobs.join(hex.trim_start_matches("sha256:")), layer, length)?;
    let mut image = add(IMAGE, image_of(&config, &[described]).to_string().as_bytes())?;
    image["annotations"] = json!({ "org.opencontainers.image.ref.name": "v1" });
    let index = json!({ "schemaVersion": 2, "manifests": [image] });
    fs::write(folder.join("index.json"), index.to_string())?;
    Ok(fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?)
}

fn import(lab: &Lab) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().display().to_string();
    let url = format!("file://{path}");
    let words = ["mirror", "container", &url, "--name", NAME, "--allow-file-path", &path];
    let layer = noise(1, 1_000_000);
    layout(folder.path(), &layer, 1 << 40)?;
    interrupt(&lab.pulp, &words, |_| Ok(is_taking_up(&lab.pulp)))?;
    let versions = lab.pulp.versions("container", NAME)?;
    ensure!(versions.is_empty(), "There are {versions:?}");
    layout(folder.path(), &layer, layer.len() as u64)?;
    lab.pulp.run(&words)?;
    lab.pulp.has_no_temporary_files()
}

/// Waits until the server has no temporary file.
fn settles(pulp: &Installation) -> Result<()> {
    let start = Instant::now();
    while let Err(error) = has_no_litter(pulp) {
        ensure!(start.elapsed() < Duration::from_secs(10), "{error}");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn push(lab: &Lab) -> Result<()> {
    let create = ["container", "repository", "create", "--name", NAME, "--anonymous-push"];
    lab.pulp.run(&create)?;
    lab.pulp.run(&["container", "distribution", "create", "--name", NAME, "--repository", NAME])?;
    let serving = lab.pulp.serve()?;
    let bytes = noise(1, 3_000_000);
    let digest = digest_of("sha256", &bytes);
    let uploads = format!("/v2/{NAME}/blobs/uploads/");
    let begin = || -> Result<String> {
        let begun = client::request(serving.address, "POST", &uploads, &[])?.expect(202)?;
        Ok(begun.header("location").context("No location")?.to_owned())
    };
    let length = bytes.len().to_string();
    let vanish = |method: &str, path: &str| -> Result<()> {
        let mut reader =
            client::send(serving.address, method, path, &[("Content-Length", &length)])?;
        reader.get_mut().write_all(&bytes[..2_000_000])?;
        let start = Instant::now();
        while !is_taking_up(&lab.pulp) {
            ensure!(start.elapsed() < Duration::from_secs(10), "Nothing is taken up");
            thread::sleep(Duration::from_millis(2));
        }
        drop(reader);
        settles(&lab.pulp).with_context(|| format!("After {method} of `{path}`"))
    };
    vanish("POST", &format!("{uploads}?digest={digest}"))?;
    for method in ["PATCH", "PUT"] {
        let session = begin()?;
        let path =
            if method == "PUT" { format!("{session}?digest={digest}") } else { session.clone() };
        vanish(method, &path)?;
        // Nobody can go on with it: what came is not known to be what was sent.
        client::request(serving.address, "GET", &session, &[])?.expect(404)?;
    }
    client::get(serving.address, &format!("/v2/{NAME}/blobs/{digest}"))?.expect(404)?;
    let path = format!("{}?digest={digest}", begin()?);
    client::exchange(serving.address, "PUT", &path, &[], &bytes)?.expect(201)?;
    let blob = client::get(serving.address, &format!("/v2/{NAME}/blobs/{digest}"))?.expect(200)?;
    ensure!(blob.body == bytes, "Other bytes are served");
    serving.stop()?;
    lab.pulp.has_no_temporary_files()
}
