//! What a process may use, whatever upstream does.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::process::Watched;

/// The most of each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Resident memory in MiB.
    pub(super) memory: u64,
    /// Bytes of its home.
    pub(super) disk: u64,
    /// From its start to its end.
    pub(super) time: Duration,
}

impl Bounds {
    /// For what brings little.
    pub(super) const SMALL: Self =
        Self { memory: 150, disk: 8 << 20, time: Duration::from_secs(120) };

    /// An error if it used more.
    pub(super) fn hold(self, used: &Watched) -> Result<()> {
        let memory = used.memory >> 10;
        ensure!(memory <= self.memory, "{memory} MiB of memory, at most {} expected", self.memory);
        let (disk, most) = (used.disk, self.disk);
        ensure!(disk <= most, "{disk} bytes on disk, at most {most} expected");
        ensure!(used.taken < self.time, "It took {:?}", used.taken);
        Ok(())
    }
}
