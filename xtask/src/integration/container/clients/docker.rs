//! Docker's daemon, of its own and without a network: what it needs of the machine, not every container
//! gives it.

use std::{path::Path, process::Command, time::Instant};

use anyhow::{Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::{Image, NAME};
use crate::{
    integration::Unavailable,
    run::{self, PATIENCE, Running},
};

/// The registry is at 127.0.0.1, which the daemon trusts without TLS.
pub(super) fn pull(image: &Image<'_>) -> Result<()> {
    let mut daemon = Daemon::start()?;
    let pulled = daemon.pulls(image);
    daemon.stop()?;
    pulled
}

struct Daemon {
    folder: TempDir,
    /// `None` once it was stopped.
    running: Option<Running>,
}

impl Daemon {
    fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        let mut command =
            Command::new(crate::probe::program("dockerd").map_err(anyhow::Error::msg)?);
        command.args(["--storage-driver=vfs", "--bridge=none", "--iptables=false"]);
        command.arg("--data-root").arg(path("data")).arg("--exec-root").arg(path("exec"));
        command.arg("--pidfile").arg(path("pid"));
        command.arg("--host").arg(format!("unix://{}", path("socket").display()));
        let mut running = Running::start(&mut command)?;
        let begin = Instant::now();
        let mut last = String::new();
        while begin.elapsed() < PATIENCE {
            match running.error_line(PATIENCE) {
                Ok(line) if line.contains("API listen on") => {
                    return Ok(Self { folder, running: Some(running) });
                }
                Ok(line) => last = line,
                Err(_) if running.has_ended()? => break,
                Err(error) => return Err(error),
            }
        }
        Err(Unavailable(format!("dockerd does not start here: {last}")).into())
    }

    /// The daemon's answer.
    fn ask(&self, method: &str, path: &str) -> Result<String> {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--request", method, "--unix-socket"]);
        command.arg(self.folder.path().join("socket"));
        run::output_of(command.arg(format!("http://docker{path}")))
    }

    fn pulls(&self, image: &Image<'_>) -> Result<()> {
        let repository = format!("{}/{NAME}", image.address());
        let told = self.ask("POST", &format!("/images/create?fromImage={repository}&tag=v1"))?;
        ensure!(!told.contains("\"error\""), "It was not pulled: {told}");
        let told = self.ask("GET", &format!("/images/{repository}:v1/json"))?;
        let told: Value = serde_json::from_str(&told)?;
        let digest = format!("{repository}@{}", image.digest);
        ensure!(told["RepoDigests"] == serde_json::json!([digest]), "{}", told["RepoDigests"]);
        ensure!(told["Config"]["Labels"]["seed"] == "1", "Labels {}", told["Config"]);
        Ok(())
    }

    /// Has it clean up after itself.
    fn stop(&mut self) -> Result<()> {
        let Some(running) = self.running.take() else { return Ok(()) };
        running.terminate()?;
        let ended = running.finish(PATIENCE);
        unmount(&self.folder.path().join("data"));
        if !ended?.status.success() {
            bail!("dockerd ended badly");
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// What a daemon that was killed leaves mounted; usually nothing.
fn unmount(folder: &Path) {
    let _ = run::output_of(Command::new("umount").arg(folder));
}
