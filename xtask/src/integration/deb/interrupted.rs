//! Commands of apt repositories that are interrupted: uploads, keys, copies, publications.

use std::{fs, path::Path, process::Command, sync::Arc, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};

use super::{NAME, archive::Archive, mirror};
use crate::{
    integration::{
        Lab,
        interrupt::{self, endless, interrupt, is_reading, is_waiting},
    },
    process, run,
    upstream::{Fault, Gate},
};

/// A package whose files are zeros without end, or so it says; gives its path.
fn huge(archive: &Archive, folder: &Path) -> Result<String> {
    let package = archive.files(&["deb"])?.into_iter().next().context("The archive is empty")?;
    let members = folder.join("members");
    fs::create_dir(&members)?;
    run::output_of(Command::new("ar").arg("x").arg(package).current_dir(&members))?;
    let huge = folder.join("huge.deb");
    let names = fs::read_dir(&members)?.map(|entry| Ok(entry?.file_name()));
    let names = names.collect::<Result<Vec<_>>>()?;
    let control = names.iter().find(|name| name.to_string_lossy().starts_with("control.tar"));
    let mut command = Command::new("ar");
    command.arg("rc").arg(&huge).arg("debian-binary").arg(control.context("No control data")?);
    run::output_of(command.current_dir(&members))?;
    let length: u64 = 9 << 30;
    let header =
        format!("{:<16}{:<12}{:<6}{:<6}{:<8}{length:<10}`\n", "data.tar", 0, 0, 0, 100_644);
    let head = [fs::read(&huge)?, header.into_bytes()].concat();
    let whole = head.len() as u64 + length;
    Ok(endless(&huge, &head, whole)?.display().to_string())
}

/// While a package is measured.
pub(super) fn upload(lab: &Lab) -> Result<()> {
    let mut archive = Archive::new()?;
    archive.add_package("hello", "1.0", "amd64")?;
    lab.pulp.run(&["deb", "repository", "create", "--name", NAME, "--autopublish"])?;
    let folder = tempfile::tempdir()?;
    let huge = huge(&archive, folder.path())?;
    let upload = ["deb", "upload", "--repository", NAME];
    interrupt(&lab.pulp, &[&upload[..], &[&huge]].concat(), is_reading)?;
    let package = archive.files(&["deb"])?[0].display().to_string();
    let added = lab.pulp.run(&[&upload[..], &[&package, "--json"]].concat())?;
    ensure!(added.contains("\"version\":1"), "The next upload made no version 1: {added}");
    lab.pulp.has_no_temporary_files()
}

/// A key is there, or the command says that it is not: whichever comes first.
pub(super) fn key(lab: &Lab) -> Result<()> {
    for attempt in 0..10 {
        let name = format!("key-{attempt}");
        let words = ["deb", "key", "create", &name, "--algorithm", "rsa4096"];
        let mut running = lab.pulp.start(&words)?;
        // The program has been read, so that it is about to make the key.
        while !running.has_ended()? && process::cpu_of(running.id()).unwrap_or(1.0) < 0.3 {
            thread::sleep(Duration::from_millis(2));
        }
        if running.has_ended()? {
            // It was quick: two primes are found when they are.
            continue;
        }
        interrupt::end(&lab.pulp, &words, running)?;
        let (code, told) = lab.pulp.run_failing(&["deb", "key", "export", &name])?;
        ensure!(code == 4, "Exit code {code}: {told}");
        let files: Vec<_> = fs::read_dir(lab.pulp.home().join("keys/deb"))
            .map(|entries| entries.flatten().map(|entry| entry.file_name()).collect())
            .unwrap_or_default();
        let left = files.iter().any(|file| file.to_string_lossy().contains(&name));
        ensure!(!left, "A file is left: {files:?}");
        return lab.pulp.run(&["deb", "key", "create", &name]).map(drop);
    }
    anyhow::bail!("Every key was there at once")
}

/// A copy and a publication that wait for a sync.
pub(super) fn waiting(lab: &Lab) -> Result<()> {
    let mut archive = Archive::new()?;
    archive.add_package("hello", "1.0", "amd64")?;
    archive.publish(&lab.upstream)?;
    mirror(lab, &archive, &["--policy", "on_demand"])?;
    lab.pulp.run(&["deb", "repository", "create", "--name", "other"])?;
    lab.pulp.run(&["deb", "copy", "--from", NAME, "--to", "other"])?;
    let publications = || lab.pulp.run(&["deb", "publication", "list", "--repository", NAME]);
    let before = publications()?;
    let gate = Arc::new(Gate::default());
    lab.upstream.plan("debian/dists/stable/InRelease", 1, &Fault::Held(Arc::clone(&gate)));
    let syncing = lab.pulp.start(&["sync", NAME, "--force"])?;
    gate.wait_for_arrivals(1)?;
    let commands: [&[&str]; 2] = [
        &["deb", "copy", "--from", "other", "--to", NAME],
        &["deb", "publication", "create", "--repository", NAME, "--publish", "structured"],
    ];
    for words in commands {
        interrupt(&lab.pulp, words, is_waiting)?;
    }
    gate.open();
    ensure!(syncing.finish(interrupt::END)?.status.success(), "The sync was disturbed");
    ensure!(publications()? == before, "There is another publication");
    for words in commands {
        lab.pulp.run(words)?;
    }
    lab.pulp.has_no_temporary_files()
}
