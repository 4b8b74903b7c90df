//! Repositories of one's own packages, and what becomes of versions: compared, rolled back,
//! switched.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{NAME, archive::Archive, client, mirror, uses};
use crate::integration::Lab;

/// Runs a command of the plugin with `--json` and takes its only line.
fn json(lab: &Lab, arguments: &[&str]) -> Result<Value> {
    let text = lab.pulp.run(&[&["deb"], arguments, &["--json"]].concat())?;
    serde_json::from_str(&text).with_context(|| format!("No JSON of {arguments:?}: `{text}`"))
}

fn upload<'a>(more: &[&'a str], files: &'a [PathBuf]) -> Vec<&'a str> {
    let files = files.iter().filter_map(|file| file.to_str());
    let fixed = ["upload", "--repository", "own"];
    fixed.into_iter().chain(more.iter().copied()).chain(files).collect()
}

/// Uploaded packages are served to apt; a second upload changes nothing; what is no package, or
/// another one of the same name, is refused.
pub(super) fn uploaded(lab: &Lab) -> Result<()> {
    let mut archive = Archive::new()?;
    archive.add_package("hello", "1.0", "amd64")?;
    archive.add_package("hello-doc", "1:2.0-1", "all")?;
    archive.add_source("hello", "1.0")?;
    json(lab, &["repository", "create", "--name", "own", "--autopublish"])?;
    json(lab, &["distribution", "create", "--name", NAME, "--repository", "own"])?;
    let files = archive.files(&["deb", "dsc"])?;
    let first = json(lab, &upload(&[], &files))?;
    ensure!(first["version"] == 1 && first["publication"].is_string(), "Uploaded: {first}");
    let again = json(lab, &upload(&[], &files))?;
    ensure!(again["version"].is_null(), "Uploaded twice: {again}");
    let serving = lab.pulp.serve()?;
    uses(&client(&serving, &archive, true, &["deb", "deb-src"])?, &archive)?;

    archive.change_package("hello", "1.0", "amd64")?;
    let changed = archive.files(&["deb"])?;
    let arguments = [&["deb"][..], &upload(&[], &changed)].concat();
    let (_, error) = lab.pulp.run_failing(&arguments)?;
    ensure!(error.contains("There is another `hello 1.0 amd64` in `own` already"), "{error}");
    let replaced = json(lab, &upload(&["--replace"], &changed))?;
    ensure!(replaced["added"] == 1 && replaced["removed"] == 1, "Replaced: {replaced}");

    let folder = tempfile::tempdir()?;
    let bad = [folder.path().join("bad.deb")];
    fs::write(&bad[0], "<html>")?;
    let (_, error) = lab.pulp.run_failing(&[&["deb"][..], &upload(&[], &bad)].concat())?;
    ensure!(error.contains("bad.deb") && error.contains("Not a Debian package"), "{error}");
    let alone = [folder.path().join("hello_1.0.dsc")];
    fs::copy(&archive.files(&["dsc"])?[0], &alone[0])?;
    let (_, error) = lab.pulp.run_failing(&[&["deb"][..], &upload(&[], &alone)].concat())?;
    ensure!(error.contains("hello_1.0.tar.xz") && error.contains("which it names"), "{error}");
    serving.stop()?;
    lab.pulp.has_no_temporary_files()
}

/// Two versions are compared; rolling back gives clients the old package again.
pub(super) fn rolled_back(lab: &Lab) -> Result<()> {
    let mut archive = Archive::new()?;
    let how = ["--policy", "immediate", "--mirror", "--publish", "structured"];
    archive.add_package("hello", "1.0", "amd64")?;
    archive.publish(&lab.upstream)?;
    mirror(lab, &archive, &how)?;
    let old = archive.package("hello")?;
    archive.remove_packages()?;
    archive.add_package("hello", "2.0", "amd64")?;
    archive.add_package("hello-doc", "2.0", "all")?;
    archive.publish(&lab.upstream)?;
    mirror(lab, &archive, &how)?;
    let version = ["repository", "version"];
    let of = ["--repository", NAME, "--version"];
    let differences = json(lab, &[&version[..], &["diff"], &of, &["2"]].concat())?;
    let packages: Vec<_> = differences
        .as_array()
        .context("A list")?
        .iter()
        .filter(|difference| difference["type"] == "deb.package")
        .map(|one| [&one["change"], &one["name"], &one["from"], &one["to"]].map(Value::as_str))
        .collect();
    let expected = [
        [Some("added"), Some("hello-doc all (stable main)"), None, Some("2.0")],
        [Some("changed"), Some("hello amd64 (stable main)"), Some("1.0"), Some("2.0")],
    ];
    let mut packages = packages;
    packages.sort_unstable();
    ensure!(packages == expected, "The difference is {differences}");
    let restored = json(lab, &[&version[..], &["restore"], &of, &["1"]].concat())?;
    ensure!(restored["version"] == 3 && restored["latest_version"] == 3, "Restored: {restored}");
    let differences = json(lab, &[&version[..], &["diff"], &of, &["3", "--base", "1"]].concat())?;
    ensure!(differences == Value::Array(Vec::new()), "Rolled back, but {differences}");
    let serving = lab.pulp.serve()?;
    let apt = client(&serving, &archive, true, &["deb"])?;
    apt.update()?;
    ensure!(apt.download("hello")? == old, "apt got the new package");
    serving.stop()
}
