//! Commands that are interrupted: uploads, syncs, and what waits for another one.

use std::sync::Arc;

use anyhow::{Result, ensure};

use super::{
    super::interrupt::{endless, interrupt, is_taking_up, is_waiting},
    Case, Files, Lab, NAME, case, noise,
};
use crate::upstream::{Fault, Gate};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("interrupted: an upload leaves nothing and succeeds the next time", upload),
        case("interrupted: a mirror leaves nothing and succeeds the next time", mirror),
        case("interrupted: who waits for a repository waits no more", waiting),
    ]
}

fn upload(lab: &Lab) -> Result<()> {
    lab.pulp.run(&["file", "repository", "create", "--name", NAME, "--autopublish"])?;
    lab.pulp.run(&["file", "distribution", "create", "--name", NAME, "--repository", NAME])?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("file");
    endless(&file, b"", 1 << 40)?;
    let name = file.display().to_string();
    let words = ["file", "upload", "--repository", NAME, &name];
    interrupt(&lab.pulp, &words, |_| Ok(is_taking_up(&lab.pulp)))?;
    ensure!(lab.pulp.versions("file", NAME)?.len() == 1, "A version was made");
    let bytes = noise(1, 100_000);
    std::fs::write(&file, &bytes)?;
    lab.pulp.run(&words)?;
    let serving = lab.pulp.serve()?;
    Files::one("file", bytes).are_served_by(&serving)?;
    serving.stop()
}

fn mirror(lab: &Lab) -> Result<()> {
    let files = Files::one("a", noise(1, 1_000_000));
    let url = files.put(&lab.upstream);
    let words = ["mirror", "file", &url, "--name", NAME, "--policy", "immediate"];
    for path in ["PULP_MANIFEST", "a"] {
        let gate = Arc::new(Gate::default());
        lab.upstream.plan(path, 1, &Fault::Held(Arc::clone(&gate)));
        interrupt(&lab.pulp, &words, |_| gate.wait_for_arrivals(1).map(|()| true))?;
        gate.open();
        ensure!(
            lab.pulp.versions("file", NAME)?.is_empty(),
            "Interrupted at `{path}`, it is there"
        );
    }
    lab.pulp.run(&words)?;
    let serving = lab.pulp.serve()?;
    files.are_served_by(&serving)?;
    serving.stop()
}

fn waiting(lab: &Lab) -> Result<()> {
    let url = Files::one("a", noise(1, 100_000)).put(&lab.upstream);
    lab.pulp.mirror(&url, NAME, &[])?;
    let gate = Arc::new(Gate::default());
    lab.upstream.plan("PULP_MANIFEST", 1, &Fault::Held(Arc::clone(&gate)));
    let syncing = lab.pulp.start(&["sync", NAME, "--force"])?;
    gate.wait_for_arrivals(1)?;
    let file = lab.pulp.home().with_file_name("b");
    std::fs::write(&file, "b")?;
    let file = file.display().to_string();
    let commands: [&[&str]; 3] = [
        &["file", "upload", "--repository", NAME, &file],
        &["file", "publication", "create", "--repository", NAME],
        &["sync", NAME],
    ];
    for words in commands {
        interrupt(&lab.pulp, words, is_waiting)?;
    }
    gate.open();
    ensure!(syncing.finish(super::super::interrupt::END)?.status.success(), "It was disturbed");
    ensure!(lab.pulp.versions("file", NAME)?.len() == 2, "A version was made");
    lab.pulp.run(commands[0])?;
    lab.pulp.has_no_temporary_files()
}
