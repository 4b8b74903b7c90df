//! The programs that are measured: this tree's, and other revisions' of this repository.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use crate::run;

/// Built programs of one revision.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    pub(super) pulp: PathBuf,
    /// The example `line_bench` of `pulp-stages`.
    pub(super) line: PathBuf,
}

/// Builds this tree as it is released; quickly, as it is tested, if that is enough.
pub(super) fn of_this_tree(quick: bool, line: bool) -> Result<Programs> {
    if quick {
        let pulp = run::build()?;
        return Ok(Programs { line: pulp.with_file_name("line_bench"), pulp });
    }
    release(run::root(), line)
}

/// A program that somebody has built, with the example where cargo puts it.
pub(super) fn given(pulp: &Path) -> Result<Programs> {
    let pulp = pulp.canonicalize();
    let pulp = pulp.context("There is no such program to measure")?;
    let line = pulp.with_file_name("examples").join("line_bench");
    Ok(Programs { pulp, line })
}

/// Builds another revision: a tag, a branch, a commit. Its tree stays below `folder`, for the next
/// time. To be called before this tree is built: both build into one folder, for most of what is
/// built is the same, and the other revision's programs are kept apart.
pub(super) fn of_revision(revision: &str, folder: &Path, line: bool) -> Result<Programs> {
    let verify = ["rev-parse", "--verify", "--quiet", &format!("{revision}^{{commit}}")];
    let commit = run::output_of(Command::new("git").args(verify).current_dir(run::root()));
    let commit = commit.with_context(|| {
        format!("`{revision}` is neither a revision of this repository nor a program to measure")
    })?;
    let commit = commit.trim();
    let kept = folder.join("programs").join(commit);
    let programs = Programs { pulp: kept.join("pulp"), line: kept.join("line_bench") };
    if programs.pulp.is_file() && (programs.line.is_file() || !line) {
        return Ok(programs);
    }
    let tree = folder.join("trees").join(commit);
    if !tree.exists() {
        let add = ["worktree", "add", "--quiet", "--force", "--detach"];
        let mut git = Command::new("git");
        run::output_of(git.args(add).arg(&tree).arg(commit).current_dir(run::root()))?;
    }
    let built = release(&tree, line)?;
    fs::create_dir_all(&kept)?;
    fs::copy(&built.pulp, &programs.pulp)?;
    if line {
        fs::copy(&built.line, &programs.line)?;
    }
    Ok(programs)
}

fn release(tree: &Path, line: bool) -> Result<Programs> {
    let target = run::root().join("target");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(target, PathBuf::from);
    let build = |arguments: &[&str]| {
        let mut cargo = run::cargo(["build", "--release", "--quiet"]);
        run::shown(cargo.args(arguments).arg("--target-dir").arg(&target).current_dir(tree))
    };
    build(&["--workspace"])?;
    if line {
        build(&["--package", "pulp-stages", "--example", "line_bench"])?;
    }
    let folder = target.join("release");
    let pulp = folder.join("pulp");
    ensure!(pulp.is_file(), "Cargo built no `{}`", pulp.display());
    Ok(Programs { pulp, line: folder.join("examples/line_bench") })
}
