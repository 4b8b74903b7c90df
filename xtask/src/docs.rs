//! `cargo xtask docs`: the site of the documentation, from `cargo doc` and the built program.
//!
//! Rustdoc writes a page for each public item of our crates; beside them go the help of every
//! command ([`commands`]) and the page where readers begin ([`entry`]). Then the site is walked as a
//! reader would: a link that leads nowhere ([`links`]) and a page that is far away ([`clicks`]) are
//! errors, each by its name.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::run;

mod entry;
mod commands;
mod page;
mod html;
mod site;
mod links;
mod clicks;

use site::Site;

/// A library of the workspace that has pages.
struct Library {
    /// As its folder is called: `pulp_stages`.
    name: String,
    /// Its main file.
    source: PathBuf,
}

/// Builds the site, checks it, and says where to begin reading.
pub(crate) fn run() -> Result<PathBuf> {
    let program = run::build()?;
    let (libraries, target) = workspace()?;
    let root = target.join("doc");
    // Tests' features, as everywhere: the guide speaks of the kit, and nothing is compiled twice.
    let targets = ["doc", "--quiet", "--workspace", "--no-deps", "--lib", "--examples"];
    run::shown(run::cargo(targets).env("RUSTDOCFLAGS", "-D warnings"))?;
    let commands = commands::write(&program, &root)?;
    let start = entry::write(&root, &libraries, &commands)?;

    let site = Site::read(&root)?;
    let ours = |page: &str| {
        let folder = page.split('/').next().unwrap_or_default();
        page == entry::PAGE
            || folder == commands::FOLDER
            || libraries.iter().any(|library| library.name == folder)
    };
    let mut wrong = links::broken(&site, ours);
    wrong.extend(clicks::far(&site, entry::PAGE, ours));
    if wrong.is_empty() {
        return Ok(start);
    }
    bail!("\n{}", wrong.join("\n"))
}

/// The libraries in the order of the workspace's manifest, and the folder of what is built.
fn workspace() -> Result<(Vec<Library>, PathBuf)> {
    let metadata = run::metadata()?;
    let mut libraries = Vec::new();
    for package in metadata["packages"].as_array().context("No packages")? {
        let targets = package["targets"].as_array().context("A package without targets")?;
        for target in targets.iter().filter(|target| target["kind"][0] == "lib") {
            let text = |key: &str| target[key].as_str().context("A target without name or path");
            let (name, source) = (text("name")?.replace('-', "_"), text("src_path")?.into());
            libraries.push(Library { name, source });
        }
    }
    let target = metadata["target_directory"].as_str().context("No target folder")?;
    Ok((libraries, target.into()))
}
