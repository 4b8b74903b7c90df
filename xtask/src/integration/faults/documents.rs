//! Documents made to hurt: what upstream says of its files, where it may say anything.
//!
//! A table per plugin. Each document either is mirrored as it stands or ends in one error with the
//! words that help; never in a panic, in megabytes of memory, or in control characters on a terminal.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Result, bail, ensure};

use super::{
    super::Lab,
    NAME,
    bounds::Bounds,
    hostile::{Deed, Hostile, answer, honest},
};
use crate::{process, pulp::Mirrored};

mod container;
mod deb;
mod file;

/// An upstream's files by path.
type Files = BTreeMap<String, Vec<u8>>;

/// A row of a table.
struct Document {
    name: &'static str,
    files: fn() -> Files,
    outcome: Outcome,
}

enum Outcome {
    /// So many units are mirrored, with these words (or none) among the warnings.
    Mirrored(u64, &'static str),
    /// It is refused in these words.
    Told(&'static [&'static str]),
}

const fn document(name: &'static str, outcome: Outcome, files: fn() -> Files) -> Document {
    Document { name, files, outcome }
}

pub(super) fn of_files(lab: &Lab) -> Result<()> {
    try_all(lab, file::DOCUMENTS, of_file)
}

/// As much room and time as many files take, and little more memory than a few. A million of them is
/// measured by `cargo xtask bench scale`: where disks are slow, that takes a quarter of an hour.
pub(super) fn of_many_files(lab: &Lab) -> Result<()> {
    let bounds = Bounds { memory: 120, disk: 1 << 30, time: Duration::from_secs(900) };
    file::MANY.try_on(lab, of_file, bounds)
}

fn of_file(server: &Hostile) -> Vec<String> {
    vec!["file".to_owned(), server.url("PULP_MANIFEST")]
}

pub(super) fn of_metalinks(lab: &Lab) -> Result<()> {
    try_all(lab, file::METALINKS, |server| vec!["file".to_owned(), server.url("all.meta4")])
}

pub(super) fn of_apt(lab: &Lab) -> Result<()> {
    try_all(lab, deb::DOCUMENTS, |server| {
        ["deb", &server.url(""), "--distribution", "stable"].map(str::to_owned).to_vec()
    })
}

pub(super) fn of_registries(lab: &Lab) -> Result<()> {
    try_all(lab, container::DOCUMENTS, |server| {
        ["container", &server.url(""), "--upstream-name", "lab/app"].map(str::to_owned).to_vec()
    })
}

/// Tries each document; an error names all that went otherwise.
fn try_all(lab: &Lab, documents: &[Document], words: fn(&Hostile) -> Vec<String>) -> Result<()> {
    let bounds = Bounds { disk: 300 << 20, ..Bounds::SMALL };
    let mut wrong = Vec::new();
    for document in documents {
        if let Err(error) = document.try_on(lab, words, bounds) {
            wrong.push(format!("{}: {error:#}", document.name));
        }
    }
    if !wrong.is_empty() {
        bail!("{} of {} went wrong\n{}", wrong.len(), documents.len(), wrong.join("\n"));
    }
    Ok(())
}

impl Document {
    fn try_on(&self, lab: &Lab, words: fn(&Hostile) -> Vec<String>, bounds: Bounds) -> Result<()> {
        /// The longest thing that is worth saying.
        const LONGEST: usize = 8000;
        let files = (self.files)();
        let server = Hostile::start(Box::new(move |asked| match files.get(&asked.path) {
            Some(file) => Deed::Say(honest(asked, file)),
            None => Deed::Say(answer(404, &[], b"not here")),
        }))?;
        let pulp = lab.pulp.another()?;
        let words = words(&server);
        let mut arguments = vec!["mirror"];
        arguments.extend(words.iter().map(String::as_str));
        arguments.extend(["--name", NAME, "--policy", "on_demand", "--max-retries", "0", "--json"]);
        let watched = process::watch(pulp.start(&arguments)?, pulp.home(), bounds.time)?;
        let (succeeded, text) = (watched.output.status.success(), &watched.output.stderr);
        ensure!(!text.contains("panicked"), "It panicked:\n{text}");
        ensure!(text.len() < LONGEST, "{} bytes of talk", text.len());
        let speaks = |c: char| !c.is_control() || c == '\n';
        ensure!(text.chars().all(speaks), "It sends control characters: {text:?}");
        match self.outcome {
            Outcome::Mirrored(units, warning) => {
                ensure!(succeeded, "It was refused:\n{text}");
                let mirrored = Mirrored::parse(&watched.output.stdout)?;
                ensure!(mirrored.present == units, "Not {units} units: {mirrored:?}");
                let all = format!("{}{text}", watched.output.stdout);
                ensure!(all.contains(warning), "`{warning}` is not warned of:\n{all}");
            }
            Outcome::Told(expected) => {
                ensure!(!succeeded, "It was mirrored: {}", watched.output.stdout);
                for word in expected {
                    ensure!(text.contains(word), "`{word}` does not stand in the error:\n{text}");
                }
                let status = watched.output.status;
                ensure!(status.code() == Some(3), "{status} does not blame upstream:\n{text}");
            }
        }
        bounds.hold(&watched)?;
        pulp.has_no_temporary_files()?;
        pulp.run(&["check"]).map(drop)
    }
}
