//! Apt repositories, end to end: an archive made by Debian's own tools, fetched from by apt itself.
//!
//! Here stand the cases of a sound upstream, in [`faults`] the others; [`archive`] makes the upstream
//! or [`suite`] where it must be wrong, [`apt`] is the client.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use super::{Case, Lab};
use crate::pulp::Mirrored;

mod apt;
mod archive;
mod differential;
mod faults;
mod suite;

use apt::Apt;
use archive::Archive;

/// The name under which cases mirror.
const NAME: &str = "team/debian";

const NEEDS: &[&str] = &["apt-get", "apt-ftparchive", "dpkg-deb", "gpg", "gzip"];

/// Every case of this suite.
pub(super) fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, needs: NEEDS, run };
    let mut cases = vec![
        case("immediate, verbatim: apt updates and downloads", |lab| {
            fetched(lab, &["--policy", "immediate", "--publish", "verbatim"])
        }),
        case("on_demand, verbatim: apt updates and downloads", |lab| {
            fetched(lab, &["--policy", "on_demand", "--publish", "verbatim"])
        }),
        case("on_demand, structured: apt updates and downloads", |lab| {
            fetched(lab, &["--policy", "on_demand", "--publish", "structured"])
        }),
        case("an unchanged archive makes no version", unchanged),
        case("a changed archive replaces the old package", changed),
        case("a wrong signature is refused and the key named", wrong_key),
    ];
    cases.extend(differential::cases());
    cases.extend(faults::cases());
    cases
}

/// Mirrors the archive with its key.
fn mirror(lab: &Lab, archive: &Archive, more: &[&str]) -> Result<Mirrored> {
    let arguments = arguments(lab, archive, more);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    Mirrored::parse(&lab.pulp.run(&arguments)?)
}

fn arguments(lab: &Lab, archive: &Archive, more: &[&str]) -> Vec<String> {
    let url = lab.upstream.url("debian/");
    let key = archive.key().display().to_string();
    let fixed = ["mirror", "deb", &url, "--name", NAME, "--keyring", &key, "--json"];
    let what = ["--distribution", "stable", "--component", "main", "--architecture", "amd64"];
    [&fixed[..], &what, more].concat().into_iter().map(str::to_owned).collect()
}

/// Publishes what was mirrored anew and gives a file below the suite as it is served then.
fn republished(lab: &Lab, path: &str) -> Result<Vec<u8>> {
    let publish = ["deb", "publication", "create", "--repository", NAME, "--publish", "structured"];
    let made = lab.pulp.run(&[&publish[..], &["--signing-key", "none", "--json"]].concat())?;
    let made: serde_json::Value = serde_json::from_str(&made)?;
    let id = made["publication"].as_str().with_context(|| format!("No publication: {made}"))?;
    lab.pulp.run(&["deb", "distribution", "update", "--name", NAME, "--publication", id])?;
    let serving = lab.pulp.serve()?;
    let body = serving.get(NAME, &format!("{}{path}", suite::SUITE))?.expect(200)?.body;
    serving.stop()?;
    Ok(body)
}

fn fetched(lab: &Lab, more: &[&str]) -> Result<()> {
    let mut archive = Archive::new()?;
    archive.add_package("hello", "1.0", "amd64")?;
    archive.add_package("hello-doc", "1.0-1~rc1+b2", "all")?;
    archive.publish(&lab.upstream)?;
    let mirrored = mirror(lab, &archive, more)?;
    ensure!(mirrored.version == Some(1), "Not version 1: {mirrored:?}");
    let serving = lab.pulp.serve()?;
    let url = format!("http://{}/pulp/content/{NAME}/", serving.address);
    // A structured publication is signed by a key of its own, which lies at its root.
    let own = serving.get(NAME, "key.asc")?;
    let key = if more.contains(&"structured") {
        own.expect(200).context("No key lies at the root")?.body
    } else {
        fs::read(archive.key())?
    };
    let apt = Apt::new(&url, &key)?;
    apt.update()?;
    for name in ["hello", "hello-doc"] {
        let bytes = apt.download(name)?;
        ensure!(bytes == archive.package(name)?, "apt downloaded another `{name}`");
    }
    serving.stop()?;
    lab.pulp.has_no_temporary_files()
}

fn unchanged(lab: &Lab) -> Result<()> {
    let mut archive = Archive::new()?;
    archive.add_package("hello", "1.0", "amd64")?;
    archive.publish(&lab.upstream)?;
    mirror(lab, &archive, &["--policy", "immediate"])?;
    lab.upstream.take_log();
    let again = mirror(lab, &archive, &["--policy", "immediate"])?;
    ensure!(again.version.is_none(), "Nothing changed, but: {again:?}");
    let asked = lab.upstream.take_log();
    ensure!(asked.len() <= 2, "Upstream was asked for {asked:?}");
    Ok(())
}

fn changed(lab: &Lab) -> Result<()> {
    let mut archive = Archive::new()?;
    archive.add_package("hello", "1.0", "amd64")?;
    archive.publish(&lab.upstream)?;
    mirror(lab, &archive, &["--policy", "on_demand", "--mirror"])?;
    archive.remove_packages()?;
    archive.add_package("hello", "2.0", "amd64")?;
    archive.publish(&lab.upstream)?;
    let mirrored = mirror(lab, &archive, &["--policy", "on_demand", "--mirror"])?;
    ensure!(mirrored.version == Some(2), "Not version 2: {mirrored:?}");
    let serving = lab.pulp.serve()?;
    let url = format!("http://{}/pulp/content/{NAME}/", serving.address);
    let apt = Apt::new(&url, &fs::read(archive.key())?)?;
    apt.update()?;
    ensure!(apt.download("hello")? == archive.package("hello")?, "apt got the old package");
    serving.stop()
}

fn wrong_key(lab: &Lab) -> Result<()> {
    let mut archive = Archive::new()?;
    archive.add_package("hello", "1.0", "amd64")?;
    archive.publish(&lab.upstream)?;
    let stranger = Archive::new()?;
    let arguments = arguments(lab, &stranger, &["--policy", "immediate"]);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let (_, error) = lab.pulp.run_failing(&arguments)?;
    ensure!(error.contains("InRelease"), "The file is not named:\n{error}");
    let id = archive.key_id()?;
    ensure!(error.to_uppercase().contains(&id), "The key {id} is not named:\n{error}");
    lab.pulp.has_no_temporary_files()
}
