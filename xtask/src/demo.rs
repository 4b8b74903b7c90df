//! `cargo xtask demo`: the whole journey of a file, small enough to watch.
//!
//! Builds the program, serves a small upstream, mirrors it, serves the mirror and prints how to
//! fetch from it. The installation lies below `target/` and begins anew each time.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    pulp::{self, Installation},
    run,
    upstream::Upstream,
};

const NAME: &str = "demo";
const FILES: &[(&str, &str)] = &[
    ("hello.txt", "Hello from upstream\n"),
    ("docs/one, two & three.txt", "Names may hold commas, spaces and more\n"),
    ("docs/größe.txt", "… and other scripts\n"),
];

/// Runs it; with `once` fetches every file, compares it and ends, else serves until interrupted.
pub(crate) fn run(once: bool) -> Result<()> {
    let program = run::build()?;
    let home = folder(&program)?;
    let upstream = Upstream::start()?;
    let line = |(path, text): &(&str, &str)| {
        upstream.put(path, *text);
        format!("{path},{},{}", pulp::sha256(text.as_bytes()), text.len())
    };
    let lines: Vec<_> = FILES.iter().map(line).collect();
    upstream.put("PULP_MANIFEST", lines.join("\n"));

    let url = upstream.url("PULP_MANIFEST");
    println!("$ pulp mirror file {url} --name {NAME} --policy on_demand");
    let installation = Installation::in_folder(&program, &home);
    let arguments = ["mirror", "file", &url, "--name", NAME, "--policy", "on_demand"];
    print!("{}", installation.run(&arguments)?);

    println!("$ pulp serve");
    let serving = installation.serve()?;
    println!("serving at http://{}/pulp/content/{NAME}/; fetch a file with", serving.address);
    println!();
    let path = pulp::content_path(NAME, FILES[0].0);
    println!("    curl http://{}{path}", serving.address);
    println!();
    if !once {
        println!("Ctrl-C ends it");
        return serving.wait();
    }
    for (path, text) in FILES {
        let reply = serving.get(NAME, path)?.expect(200)?;
        ensure!(reply.body == text.as_bytes(), "`{path}` differs from upstream's");
        println!("fetched `{path}`: {} bytes, equal to upstream's", reply.body.len());
    }
    serving.stop()?;
    installation.has_no_temporary_files()
}

/// A folder for the demo's installation, empty.
fn folder(program: &Path) -> Result<PathBuf> {
    let target = program.parent().context("A program lies in a folder")?;
    let home = target.join("demo");
    if home.exists() {
        fs::remove_dir_all(&home)
            .with_context(|| format!("Failed to remove `{}`", home.display()))?;
    }
    Ok(home)
}
