//! What a repository has beside its upstream: files of one's own, upstream's list as it is, other
//! places that have the same files.

use std::fs;

use anyhow::{Result, ensure};

use super::{Case, Files, Lab, NAME, case, commands::json, noise};
use crate::upstream::{Fault, Upstream};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("uploaded files are served", upload),
        case("a mirror publishes upstream's list byte for byte", verbatim),
        case("an alternate content source is asked before the origin", alternate),
        case("files on demand come from an alternate content source too", alternate_on_demand),
    ]
}

fn upload(lab: &Lab) -> Result<()> {
    let pulp = &lab.pulp;
    let folder = tempfile::tempdir()?;
    let files = Files(vec![
        ("dir/small, one".to_owned(), noise(1, 100)),
        ("dir/large".to_owned(), noise(2, 1_500_000)),
    ]);
    let mut words =
        ["file", "upload", "--repository", "own", "--prefix", "dir"].map(String::from).to_vec();
    for (path, bytes) in &files.0 {
        let local = folder.path().join(path.trim_start_matches("dir/"));
        fs::write(&local, bytes)?;
        words.push(local.to_string_lossy().into_owned());
    }
    pulp.run(&["file", "repository", "create", "--name", "own", "--autopublish"])?;
    let target = ["--base-path", NAME, "--repository", "own"];
    pulp.run(&[&["file", "distribution", "create", "--name", "d"][..], &target].concat())?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = json(pulp, &words)?;
    ensure!(done["version"] == 1 && done["added"] == 2, "Not uploaded: {done}");
    let again = json(pulp, &words)?;
    ensure!(again["version"].is_null() && again["present"] == 2, "Uploaded twice: {again}");
    let serving = pulp.serve()?;
    files.are_served_by(&serving)?;
    serving.stop()?;
    pulp.has_no_temporary_files()
}

fn verbatim(lab: &Lab) -> Result<()> {
    let files = Files::odd();
    let url = files.put(&lab.upstream);
    let list = format!("# as upstream wrote it\n\n{}", files.manifest());
    lab.upstream.put("PULP_MANIFEST", list.clone());
    lab.pulp.mirror(&url, NAME, &["--mirror", "--verbatim-manifest"])?;
    let serving = lab.pulp.serve()?;
    files.are_served_by(&serving)?;
    let served = serving.get(NAME, "PULP_MANIFEST")?.expect(200)?.body;
    ensure!(served == list.as_bytes(), "Another list is served");
    serving.stop()
}

/// A second server with all files of the first but one, refreshed as a source called `n`.
fn source(lab: &Lab) -> Result<(Files, Upstream, String)> {
    let (files, near) = (Files::odd(), Upstream::start()?);
    let url = files.put(&lab.upstream);
    let some = Files(files.0[1..].to_vec());
    some.put(&near);
    let pulp = &lab.pulp;
    pulp.run(&["file", "remote", "create", "--name", "near", "--url", &near.url("")])?;
    let source = ["--name", "n", "--remote", "near", "--path", "PULP_MANIFEST"];
    pulp.run(&[&["file", "acs", "create"][..], &source].concat())?;
    let refreshed = json(pulp, &["file", "acs", "refresh", "--name", "n"])?;
    ensure!(refreshed["files"] == 5, "Not all files are known: {refreshed}");
    let listed = json(pulp, &["file", "acs", "list"])?;
    ensure!(listed[0]["last_refreshed"].is_string(), "Not refreshed: {listed}");
    near.take_log();
    lab.upstream.take_log();
    Ok((files, near, url))
}

fn alternate(lab: &Lab) -> Result<()> {
    let (files, near, url) = source(lab)?;
    let pulp = &lab.pulp;
    pulp.mirror(&url, NAME, &["--policy", "immediate"])?;
    let (asked, far) = (near.take_log().len(), super::files_asked(lab));
    ensure!(asked == 5, "The source was asked {asked} times instead of 5");
    ensure!(far.len() == 1 && far[0].path == "plain.txt", "The origin was asked for {far:?}");
    let serving = pulp.serve()?;
    files.are_served_by(&serving)?;
    serving.stop()?;
    pulp.run(&["file", "acs", "destroy", "--name", "n"])?;
    let listed = json(pulp, &["file", "acs", "list"])?;
    ensure!(listed == serde_json::Value::Array(Vec::new()), "Not destroyed: {listed}");
    Ok(())
}

fn alternate_on_demand(lab: &Lab) -> Result<()> {
    let (files, near, url) = source(lab)?;
    lab.pulp.mirror(&url, NAME, &["--policy", "on_demand"])?;
    near.plan("empty", 1, &Fault::Status(404));
    near.plan("large.img", 1, &Fault::Status(404));
    ensure!(near.take_log().is_empty() && super::files_asked(lab).is_empty(), "Asked too early");
    let serving = lab.pulp.serve()?;
    files.are_served_by(&serving)?;
    let (asked, far) = (near.take_log().len(), super::files_asked(lab));
    ensure!(asked == 5, "The source was asked {asked} times instead of 5");
    let far: Vec<_> = far.iter().map(|seen| &*seen.path).collect();
    ensure!(far == ["plain.txt", "empty", "large.img"], "The origin was asked for {far:?}");
    serving.stop()
}
