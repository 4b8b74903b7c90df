//! What the user chooses: which packages are mirrored, from where, and what clients are told of the
//! repository.

use std::{process::Command, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};

use super::{
    NAME,
    archive::Archive,
    client, mirror, republished,
    suite::{INDEX, Suite, compress},
};
use crate::{integration::Lab, run};

/// Of two versions the newer one is mirrored, with what it depends on, and apt installs it.
pub(super) fn packages(lab: &Lab) -> Result<()> {
    let mut archive = Archive::new()?;
    archive.add_dependent("hello", "1.0", "liboutdated")?;
    archive.add_dependent("hello", "2.0", "libhello (>= 1.5), virtual-greeter | other")?;
    archive.add_package("libhello", "2.0", "amd64")?;
    archive.add_package("other", "1.0", "all")?;
    archive.add_package("stranger", "1.0", "amd64")?;
    archive.publish(&lab.upstream)?;
    let contents = ["--metadata", "contents"];
    let chosen = ["--filter", "hello", "--follow", "depends", "--newest", "1"];
    let mirrored =
        mirror(lab, &archive, &[&["--policy", "on_demand"], &chosen[..], &contents].concat())?;
    ensure!(mirrored.version == Some(1), "Not version 1: {mirrored:?}");
    let serving = lab.pulp.serve()?;
    let apt = client(&serving, &archive, true, &["deb"])?.with_apt_file()?;
    apt.update()?;
    let needed = apt.install("hello", "usr/share/libhello/version")?;
    ensure!(needed == "2.0", "apt installed version {needed} of what `hello` needs");
    ensure!(apt.install("hello", "usr/share/hello/version")? == "2.0", "Not the newest one");
    for name in ["stranger", "liboutdated"] {
        ensure!(apt.download(name).is_err(), "apt finds `{name}`, which nobody asked for");
    }
    let found = apt.search("usr/share/")?;
    ensure!(found.contains("hello: /usr/share/hello/version"), "apt-file found:\n{found}");
    ensure!(!found.contains("stranger"), "apt-file finds what is not there:\n{found}");
    serving.stop()
}

/// Old archives have no other compression; nobody vouches for it, and it is of tomorrow.
pub(super) fn lzma(lab: &Lab) -> Result<()> {
    let mut suite = Suite::empty();
    let stanza = suite.package("hello", "1.0");
    let tomorrow = run::output_of(Command::new("date").args(["--utc", "-R", "-d", "tomorrow"]))?;
    suite.head = suite.head.replace("Sat, 11 Jul 2026 10:16:37 UTC", tomorrow.trim());
    suite.files.push((format!("{INDEX}.lzma"), compress("lzma", stanza.as_bytes())?));
    suite.put(&lab.upstream);
    let url = lab.upstream.url("");
    let what = ["mirror", "deb", &url, "--name", NAME, "--distribution", "stable", "--json"];
    let said = lab.pulp.run(&what)?;
    for word in ["No keyring is given", "which is still to come: apt refuses it until then"] {
        ensure!(said.contains(word), "`{word}` is not warned of:\n{said}");
    }
    let index = republished(lab, INDEX)?;
    ensure!(index == stanza.as_bytes(), "Not the packages of upstream's index");
    Ok(())
}

/// apt is told what the user wants, and refuses a repository that says something else later.
pub(super) fn fields(lab: &Lab) -> Result<()> {
    let mut archive = Archive::new()?;
    archive.add_package("hello", "1.0", "amd64")?;
    archive.publish(&lab.upstream)?;
    let own = ["--origin", "Us", "--label", "Ours", "--release-version", "1.2"];
    let mirrored = mirror(lab, &archive, &[&["--policy", "on_demand"], &own[..]].concat())?;
    ensure!(mirrored.version == Some(1), "Not version 1: {mirrored:?}");
    let serving = lab.pulp.serve()?;
    let apt = client(&serving, &archive, true, &["deb"])?;
    apt.update()?;
    let policy = apt.policy()?;
    for word in ["o=Us", "l=Ours", "v=1.2", "n=stable"] {
        ensure!(policy.contains(word), "apt does not know `{word}`:\n{policy}");
    }
    mirror(lab, &archive, &["--origin", "Others", "--force"])?;
    // A server sees what is published within a second.
    thread::sleep(Duration::from_millis(1100));
    let refused = apt.update().err().context("apt takes a repository of another origin")?;
    let refused = format!("{refused:#}");
    ensure!(refused.contains("changed its 'Origin' value"), "apt says:\n{refused}");
    serving.stop()
}

/// A later mirror of the same name with another URL: the change is told; of one that brings nothing
/// nothing stays.
pub(super) fn url(lab: &Lab) -> Result<()> {
    let mut archive = Archive::new()?;
    archive.add_package("hello", "1.0", "amd64")?;
    archive.publish(&lab.upstream)?;
    mirror(lab, &archive, &["--policy", "on_demand"])?;
    let remote = || lab.pulp.run(&["deb", "remote", "show", "--name", NAME, "--json"]);
    let before = remote()?;
    let wrong = lab.upstream.url("debain/");
    let (code, error) =
        lab.pulp.run_failing(&["mirror", "deb", &wrong, "--name", NAME, "--max-retries", "0"])?;
    ensure!(code == 3, "Exit code {code}:\n{error}");
    for word in ["changes from `", "debain/`", "are what they were before"] {
        ensure!(error.contains(word), "`{word}` does not stand in the error:\n{error}");
    }
    ensure!(remote()? == before, "The remote is another one: {}", remote()?);
    lab.pulp.run(&["sync", NAME]).map(drop)
}
