//! A home on a small disk of its own, which can be filled, made read-only and enlarged.
//!
//! The disk is a `tmpfs` in a mount namespace that one process keeps open; other programs enter it
//! by `nsenter`. Nothing of the machine's own mounts is touched, and all of it is gone with that
//! process.

use std::{ffi::OsStr, process::Command};

use anyhow::{Result, ensure};

use crate::{
    pulp::Installation,
    run::{self, PATIENCE, Running},
};

/// Programs that this needs.
pub(super) const NEEDS: &[&str] = &["unshare", "nsenter", "mount", "find"];

/// The disk and who keeps it.
pub(super) struct Room<'a> {
    pulp: &'a Installation,
    keeper: Running,
}

impl<'a> Room<'a> {
    /// Puts a disk of so many MiB where `pulp` has its home.
    pub(super) fn new(pulp: &'a Installation, mebibytes: u32) -> Result<Self> {
        std::fs::create_dir_all(pulp.home())?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c"]);
        command.arg("mount -t tmpfs -o size=\"$1\"m none \"$2\" && echo ready && exec sleep 600");
        command.arg("sh").arg(mebibytes.to_string()).arg(pulp.home());
        let mut keeper = Running::start(&mut command)?;
        keeper.line(PATIENCE)?;
        Ok(Self { pulp, keeper })
    }

    /// Changes how the disk is mounted, as `size=90m` or `ro`.
    pub(super) fn remount(&self, options: &str) -> Result<()> {
        let mut command = self.inside(OsStr::new("mount"));
        command.arg("-o").arg(format!("remount,{options}")).arg(self.pulp.home());
        run::output_of(&mut command).map(drop)
    }

    /// A command of the installation, run there.
    pub(super) fn command(&self, words: &[&str]) -> Command {
        let outside = self.pulp.command(words);
        let mut command = self.inside(outside.get_program());
        command.args(outside.get_args());
        for (name, value) in outside.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// Runs a command to its end, whatever that is.
    pub(super) fn run(&self, words: &[&str]) -> Result<run::Output> {
        run::captured(&mut self.command(words), PATIENCE)
    }

    /// Runs a command that must succeed.
    pub(super) fn succeed(&self, words: &[&str]) -> Result<String> {
        let output = self.run(words)?;
        ensure!(output.status.success(), "`pulp {}`: {}", words.join(" "), output.stderr);
        Ok(output.stdout)
    }

    /// An error when a temporary file is left.
    pub(super) fn has_no_temporary_files(&self) -> Result<()> {
        let mut command = self.inside(OsStr::new("find"));
        command.arg(self.pulp.home().join("tmp")).args(["-type", "f"]);
        let left = run::output_of(&mut command)?;
        ensure!(left.is_empty(), "Temporary files are left: {left}");
        Ok(())
    }

    fn inside(&self, program: &OsStr) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &self.keeper.id().to_string(), "--"]).arg(program);
        command
    }
}
