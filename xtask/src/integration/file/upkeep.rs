//! Keeping an installation tidy and sound: damage, orphans, reclaimed space.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use super::{Case, Files, Lab, NAME, case, files_asked};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("a damaged file is found and fetched again", repair),
        case("a check names what is damaged and can mend it", check),
        case("what no version has is cleaned up", orphans),
        case("reclaimed files are given up and stay servable", reclaim),
    ]
}

/// Damages the one file of the store that holds `bytes`.
fn damage(lab: &Lab, bytes: &[u8]) -> Result<()> {
    let mut damaged = 0;
    for path in lab.pulp.files("")? {
        if fs::read(&path)? == bytes {
            damaged += 1;
            // Removed first: it may be read-only.
            fs::remove_file(&path)?;
            fs::write(&path, &bytes[1..])?;
        }
    }
    ensure!(damaged == 1, "{damaged} files of the home hold these bytes, expected one");
    Ok(())
}

/// Mirrors files under `policy`; returns them with the largest one's bytes.
fn mirrored(lab: &Lab, policy: &str) -> Result<(Files, Vec<u8>)> {
    let files = Files::odd();
    let url = files.put(&lab.upstream);
    lab.pulp.mirror(&url, NAME, &["--policy", policy, "--mirror"])?;
    lab.upstream.take_log();
    let large = files.0.iter().map(|(_, bytes)| bytes).max_by_key(|bytes| bytes.len());
    let large = large.context("There are files")?.clone();
    Ok((files, large))
}

fn repair(lab: &Lab) -> Result<()> {
    let (files, large) = mirrored(lab, "immediate")?;
    damage(lab, &large)?;
    let arguments = ["file", "repository", "version", "repair", "--repository", NAME];
    lab.pulp.run(&arguments)?;
    let asked = files_asked(lab);
    ensure!(asked.len() == 1 && asked[0].path == "large.img", "Upstream was asked for {asked:?}");
    let serving = lab.pulp.serve()?;
    files.are_served_by(&serving)?;
    serving.stop()?;
    lab.pulp.run(&arguments)?;
    ensure!(files_asked(lab).is_empty(), "What is whole was fetched again");
    lab.pulp.has_no_temporary_files()
}

fn check(lab: &Lab) -> Result<()> {
    let (_, large) = mirrored(lab, "immediate")?;
    lab.pulp.run(&["check"])?;
    damage(lab, &large)?;
    let output = lab.pulp.try_run(&["check"])?;
    let digest = crate::pulp::sha256(&large);
    ensure!(!output.status.success(), "Nothing was found:\n{}", output.stdout);
    ensure!(output.stdout.contains(&digest), "It is not named:\n{}", output.stdout);
    lab.pulp.run(&["check", "--repair"])?;
    lab.pulp.run(&["check"])?;
    lab.pulp.has_no_temporary_files()
}

fn orphans(lab: &Lab) -> Result<()> {
    let (mut files, large) = mirrored(lab, "immediate")?;
    files.0.retain(|(_, bytes)| *bytes != large);
    let url = files.put(&lab.upstream);
    lab.pulp.mirror(&url, NAME, &["--policy", "immediate", "--mirror"])?;
    let cleanup = ["orphan", "cleanup", "--protection-time", "0"];
    lab.pulp.run(&cleanup)?;
    ensure!(lab.pulp.holds(&large[..64])?, "The first version's file is gone");
    let version = ["file", "repository", "version", "destroy", "--repository", NAME];
    lab.pulp.run(&[&version[..], &["--version", "1"]].concat())?;
    lab.pulp.run(&["orphan", "cleanup"])?;
    ensure!(lab.pulp.holds(&large[..64])?, "A file is gone although it is young");
    lab.pulp.run(&cleanup)?;
    ensure!(!lab.pulp.holds(&large[..64])?, "A file of no version is still there");
    let serving = lab.pulp.serve()?;
    files.are_served_by(&serving)?;
    serving.stop()?;
    lab.pulp.run(&["check"])?;
    lab.pulp.has_no_temporary_files()
}

fn reclaim(lab: &Lab) -> Result<()> {
    let (files, large) = mirrored(lab, "immediate")?;
    lab.pulp.run(&["file", "repository", "reclaim", "--name", NAME])?;
    ensure!(!lab.pulp.holds(&large[..64])?, "A reclaimed file is still there");
    let serving = lab.pulp.serve()?;
    files.are_served_by(&serving)?;
    let asked = files_asked(lab).len();
    ensure!(asked == files.0.len(), "Upstream was asked {asked} times");
    serving.stop()?;
    lab.pulp.run(&["check"])?;
    lab.pulp.has_no_temporary_files()
}
