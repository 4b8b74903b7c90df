//! Apt repositories, end to end: an archive made by Debian's own tools, fetched from by apt itself.
//!
//! Here stand the cases of a sound upstream, in [`faults`] the others; [`archive`] makes the upstream
//! or [`suite`] where it must be wrong, [`apt`] is the client.

use std::{fs, process::Command};

use anyhow::{Context as _, Result, ensure};

use super::{Case, Lab};
use crate::{
    probe,
    pulp::{Mirrored, Serving},
    run,
};

mod apt;
mod archive;
mod debian;
mod differential;
mod chosen;
mod faults;
mod interrupted;
mod keys;
mod own;
mod race;
mod suite;

use apt::Apt;
use archive::Archive;

/// The name under which cases mirror.
const NAME: &str = "team/debian";

const NEEDS: &[&str] = &["apt-get", "apt-ftparchive", "dpkg-deb", "dpkg-source", "gpg", "gzip"];
const WITH_APT_FILE: &[&str] =
    &["apt-get", "apt-ftparchive", "dpkg-deb", "dpkg-source", "gpg", "gzip", "apt-file"];
const WITH_DEBOOTSTRAP: &[&str] =
    &["apt-get", "apt-ftparchive", "dpkg-deb", "dpkg-source", "gpg", "gzip", "debootstrap"];
const WITH_AR: &[&str] =
    &["apt-get", "apt-ftparchive", "dpkg-deb", "dpkg-source", "gpg", "gzip", "ar"];

/// Every case of this suite.
pub(super) fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, needs: NEEDS, run };
    let full = |name, run| Case { name, needs: WITH_APT_FILE, run };
    let mut cases = vec![
        full("immediate, verbatim: apt finds, downloads and installs", |lab| {
            fetched(lab, &["--policy", "immediate", "--publish", "verbatim"])
        }),
        full("on_demand, verbatim: apt finds, downloads and installs", |lab| {
            fetched(lab, &["--policy", "on_demand", "--publish", "verbatim"])
        }),
        full("immediate, structured: apt finds, downloads and installs", |lab| {
            fetched(lab, &["--policy", "immediate", "--publish", "structured"])
        }),
        full("on_demand, structured: apt finds, downloads and installs", |lab| {
            fetched(lab, &["--policy", "on_demand", "--publish", "structured"])
        }),
        case("a flat repository, structured: apt finds, downloads and installs", flat),
        Case {
            name: "debootstrap finds every package of a structured publication",
            needs: WITH_DEBOOTSTRAP,
            run: bootstrapped,
        },
        case("apt updates while publications replace each other", race::updates),
        case("packages of one's own are uploaded and installed", own::uploaded),
        case("versions are compared and rolled back", own::rolled_back),
        case(
            "a key that has expired or was revoked is refused and named",
            keys::expired_or_revoked,
        ),
        case("apt believes publications signed by a key of the user's", keys::of_ones_own),
        case("a missing and a taken signing key have exit codes", keys::missing_or_taken),
        case("signing keys are encrypted once there is a key file", keys::encrypted),
        Case {
            name: "interrupted: an upload leaves nothing and succeeds the next time",
            needs: WITH_AR,
            run: interrupted::upload,
        },
        case("interrupted: a key is not made", interrupted::key),
        case("interrupted: a copy and a publication wait no more", interrupted::waiting),
        case("chosen packages come with what they need, in the newest version", chosen::packages),
        case("an archive with lzma alone is read", chosen::lzma),
        case("a repository says of itself what the user wants", chosen::fields),
        case("a mistyped URL of a mirror is told, and undone", chosen::url),
        case("an unchanged archive makes no version", unchanged),
        case("a changed archive replaces the old package", changed),
        case("a wrong signature is refused and the key named", wrong_key),
    ];
    cases.extend(differential::cases());
    cases.extend(debian::cases());
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
    served_anew(lab, &format!("{}{path}", suite::SUITE))
}

/// The same of a file of any suite.
fn served_anew(lab: &Lab, path: &str) -> Result<Vec<u8>> {
    let publish = ["deb", "publication", "create", "--repository", NAME, "--publish", "structured"];
    let made = lab.pulp.run(&[&publish[..], &["--signing-key", "none", "--json"]].concat())?;
    let made: serde_json::Value = serde_json::from_str(&made)?;
    let id = made["publication"].as_str().with_context(|| format!("No publication: {made}"))?;
    lab.pulp.run(&["deb", "distribution", "update", "--name", NAME, "--publication", id])?;
    let serving = lab.pulp.serve()?;
    let body = serving.get(NAME, path)?.expect(200)?.body;
    serving.stop()?;
    Ok(body)
}

/// Everything a user's apt asks for, from an archive that has all of it. Lists of files are mirrored
/// for structured publications only: of a verbatim one the client gets them all the same.
fn fetched(lab: &Lab, more: &[&str]) -> Result<()> {
    let mut archive = Archive::new()?;
    archive.add_package("hello", "1.0", "amd64")?;
    archive.add_package("hello-doc", "1.0-1~rc1+b2", "all")?;
    archive.add_source("hello", "1.0")?;
    archive.publish(&lab.upstream)?;
    let structured = more.contains(&"structured");
    let contents = ["--metadata", "translations", "--metadata", "contents"];
    let contents = if structured { &contents[..] } else { &[] };
    let mirrored = mirror(lab, &archive, &[more, &["--sources"], contents].concat())?;
    ensure!(mirrored.version == Some(1), "Not version 1: {mirrored:?}");
    let serving = lab.pulp.serve()?;
    let apt = client(&serving, &archive, structured, &["deb", "deb-src"])?.with_apt_file()?;
    uses(&apt, &archive)?;
    ensure!(apt.has_list("i18n_Translation-en")?, "apt fetched no translation");
    let found = apt.search("usr/share/hello/version")?;
    ensure!(found.contains("hello: /usr/share/hello/version"), "apt-file found:\n{found}");
    serving.stop()?;
    lab.pulp.has_no_temporary_files()
}

/// Takes packages of each kind.
fn uses(apt: &Apt, archive: &Archive) -> Result<()> {
    apt.update()?;
    for name in ["hello", "hello-doc"] {
        let bytes = apt.download(name)?;
        ensure!(bytes == archive.package(name)?, "apt downloaded another `{name}`");
    }
    let installed = apt.install("hello", "usr/share/hello/version")?;
    ensure!(installed == "1.0", "apt installed version {installed}");
    let source = apt.source("hello", "hello-1.0/README")?;
    ensure!(source == "1.0", "apt unpacked the source of version {source}");
    Ok(())
}

/// An apt that trusts whoever signed what is served: upstream, or us by a key at the root.
fn client(serving: &Serving, archive: &Archive, structured: bool, types: &[&str]) -> Result<Apt> {
    let own = serving.get(NAME, "key.asc")?;
    let key = if structured {
        own.expect(200).context("No key lies at the root")?.body
    } else {
        fs::read(archive.key())?
    };
    Apt::new(&format!("http://{}/pulp/content/{NAME}/", serving.address), &key, types)
}

fn flat(lab: &Lab) -> Result<()> {
    for (policy, name) in [("immediate", "first"), ("on_demand", NAME)] {
        let mut archive = Archive::new()?;
        archive.add_package("hello", "1.0", "amd64")?;
        archive.add_package("hello-doc", "2.0", "all")?;
        archive.add_source("hello", "1.0")?;
        archive.publish_flat(&lab.upstream)?;
        let (url, key) = (lab.upstream.url("debian/"), archive.key().display().to_string());
        let what = ["--name", NAME, "--distribution", "./", "--sources", "--keyring", &key];
        let how = ["--policy", policy, "--publish", "structured", "--force"];
        let arguments = [&["mirror", "deb", &url][..], &what, &how].concat();
        lab.pulp.run(&arguments).with_context(|| format!("The {name} mirror"))?;
        let serving = lab.pulp.serve()?;
        let apt = client(&serving, &archive, true, &["deb", "deb-src"])?;
        uses(&apt, &archive)?;
        serving.stop()?;
    }
    lab.pulp.has_no_temporary_files()
}

/// debootstrap asks for one index only and knows no architecture `all`.
fn bootstrapped(lab: &Lab) -> Result<()> {
    let mut archive = Archive::new()?;
    for name in ["apt", "base-files", "base-passwd", "dpkg", "libc-bin", "mawk"] {
        archive.add_package(name, "1.0", "amd64")?;
    }
    archive.add_package("debian-archive-keyring", "1.0", "all")?;
    archive.publish(&lab.upstream)?;
    mirror(lab, &archive, &["--policy", "on_demand", "--publish", "structured"])?;
    let serving = lab.pulp.serve()?;
    let folder = tempfile::tempdir()?;
    let key = folder.path().join("key.asc");
    fs::write(&key, serving.get(NAME, "key.asc")?.expect(200)?.body)?;
    let keyring = folder.path().join("key.gpg");
    let mut command = Command::new("gpg");
    command.args(["--batch", "--dearmor", "--output"]).arg(&keyring).arg(&key);
    run::output_of(&mut command)?;
    let target = folder.path().join("target");
    let mut command = Command::new(probe::program("debootstrap").map_err(anyhow::Error::msg)?);
    command.args(["--print-debs", "--variant=minbase", "--arch=amd64"]);
    command.arg(format!("--keyring={}", keyring.display())).arg("stable").arg(&target);
    command.arg(format!("http://{}/pulp/content/{NAME}/", serving.address));
    command.env("no_proxy", "127.0.0.1");
    let found = run::output_of(&mut command)?;
    for name in ["apt", "dpkg", "debian-archive-keyring"] {
        let is_there = found.split_whitespace().any(|found| found == name);
        ensure!(is_there, "debootstrap found no `{name}`, only {found}");
    }
    serving.stop()
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
    let apt = client(&serving, &archive, false, &["deb"])?;
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
