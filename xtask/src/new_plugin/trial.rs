//! What `cargo xtask new-plugin` writes is tried: in a copy of the workspace the crate is written and
//! built, its tests are run, and the program that has it mirrors and serves.
//!
//! The copy is built where the workspace is. Cargo knows crates by where they lie in a workspace, and
//! files by their times, which the copy keeps: what did not change is not compiled again.

use std::{
    fs::{self, File},
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{Name, create};
use crate::{
    checks, probe,
    pulp::{Backend, Installation, Mirrored, sha256},
    run,
    upstream::Upstream,
};

/// A name to try: of several words, and long.
pub(crate) const NAME: &str = "new-kind-of-repositories";
/// The kit alone has so many tests on one database.
const LEAST_TESTS: usize = 16;
/// Longest run of the crate's tests.
const PATIENCE: Duration = Duration::from_secs(600);

/// Does all of it, with a plugin called `name`.
pub(crate) fn run(name: &str) -> Result<()> {
    let name = Name::parse(name)?;
    let scratch = tempfile::tempdir().context("Failed to make a temporary folder")?;
    // Compilers tell real paths.
    let root = scratch.path().canonicalize()?;
    copy(run::root(), &root)?;
    create(&root, &name)?;
    run::shown(run::cargo(["fmt", "--all", "--", "--check"]).current_dir(&root))?;

    let cargo = |words: &[&str]| -> Result<Command> {
        let metadata = run::metadata()?;
        let target = metadata["target_directory"].as_str().context("No target folder")?;
        let mut command = run::cargo(words);
        command.current_dir(&root).env("CARGO_TARGET_DIR", target);
        Ok(command)
    };
    let program = ["build", "--offline", "--workspace", "--bin", "pulp", "--examples"];
    let program = run::program(&run::built(&mut cargo(&program)?)?)?;
    // The copy that lies beside the others is soon replaced by theirs.
    let own = root.join("pulp");
    fs::copy(&program, &own).with_context(|| format!("Failed to copy `{}`", program.display()))?;
    let tests = ["test", "--offline", "--workspace", "--lib", "--test", "conformance", "--no-run"];
    let tests = run::built(&mut cargo(&tests)?)?;
    let folder = root.join(name.package());
    let mut passed = 0;
    for tests in tests.iter().filter(|test| test.source.starts_with(&folder)) {
        passed += tested(&tests.path, &folder)?;
    }
    ensure!(passed > LEAST_TESTS, "Only {passed} tests of `{}` were run", name.package());
    used(&own, &name)
}

/// Copies a workspace without what was built, with the files' times.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let failed = || format!("Failed to copy `{}`", from.display());
    for entry in fs::read_dir(from).with_context(failed)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        let to = to.join(&name);
        if name == "target" || name == ".git" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::create_dir(&to).with_context(failed)?;
            copy(&path, &to)?;
        } else {
            fs::copy(&path, &to).with_context(failed)?;
            let modified = entry.metadata()?.modified()?;
            File::options().write(true).open(&to)?.set_modified(modified).with_context(failed)?;
        }
    }
    Ok(())
}

/// Runs a program of tests and returns how many passed.
fn tested(program: &Path, folder: &Path) -> Result<usize> {
    let mut command = Command::new(program);
    command.current_dir(folder);
    match probe::postgres() {
        Ok(url) => command.env(probe::POSTGRES_VARIABLE, url),
        // That there is no server, the other tests say.
        Err(_) => command.arg("--skip=postgres::"),
    };
    let output = run::captured(&mut command, PATIENCE)?;
    let (passed, failed) = checks::counts(&output.stdout);
    if !output.status.success() || failed > 0 {
        bail!("Tests of a new plugin failed\n{}{}", output.stdout, output.stderr);
    }
    Ok(passed)
}

/// Mirrors a list of two files and fetches them.
fn used(program: &Path, name: &Name) -> Result<()> {
    let files = [("a file", "Hello\n"), ("folder/another", "There\n")];
    let upstream = Upstream::start()?;
    let line = |(path, text): &(&str, &str)| {
        upstream.put(path, *text);
        format!("{} {} {path}\n", sha256(text.as_bytes()), text.len())
    };
    let list: String = files.iter().map(line).collect();
    upstream.put("LIST", list);

    let pulp = Installation::new(program, Backend::Sqlite)?;
    let url = upstream.url("LIST");
    let words = ["mirror", &name.0, &url, "--name", "new", "--policy", "on_demand", "--json"];
    let mirrored = Mirrored::parse(&pulp.run(&words)?)?;
    ensure!((mirrored.version, mirrored.added) == (Some(1), 2), "Not all: {mirrored:?}");
    let serving = pulp.serve()?;
    for (path, text) in files {
        let reply = serving.get("new", path)?.expect(200)?;
        ensure!(reply.body == text.as_bytes(), "`{path}` differs from upstream's");
    }
    serving.stop()?;
    pulp.has_no_temporary_files()
}
