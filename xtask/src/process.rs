//! What the system says of a running process: memory, open files. From `/proc`, so Linux only.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use crate::run::{Output, Running};

/// How often a process is looked at.
const GLANCE: Duration = Duration::from_millis(20);
/// Clock ticks per second in `/proc`, on every Linux of today.
const TICKS: f64 = 100.0;

/// Resident memory in KiB: at the moment, and the most so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    pub(crate) now: u64,
    pub(crate) peak: u64,
}

/// The memory of a living process.
pub(crate) fn memory(id: u32) -> Result<Memory> {
    let text = fs::read_to_string(format!("/proc/{id}/status"))?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    };
    // A process that has died, but was not waited for, has no memory.
    let (now, peak) = (field("VmRSS:").unwrap_or_default(), field("VmHWM:").unwrap_or_default());
    Ok(Memory { now, peak })
}

/// The file that a process executes; `id` may be `self`.
fn program(id: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{id}/exe")).ok()
}

/// How many files, sockets and pipes a living process has open.
pub(crate) fn handles(id: u32) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{id}/fd"))?.count())
}

/// How many bytes a living process has read, from files and all else.
pub(crate) fn bytes_read(id: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{id}/io"))?;
    let read = text.lines().find_map(|line| line.strip_prefix("rchar: "));
    read.context("No `rchar`")?.parse().context("`rchar` is no number")
}

/// Processor time in seconds that a running process, its threads and its dead children took.
pub(crate) fn cpu_of(id: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name in parentheses may hold anything.
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().filter_map(|field| field.parse::<f64>().ok());
    Some(ticks.sum::<f64>() / TICKS)
}

/// What a process used at most, and how it ended.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) output: Output,
    /// Resident memory in KiB.
    pub(crate) memory: u64,
    /// Bytes of all files below the watched folder.
    pub(crate) disk: u64,
    pub(crate) taken: Duration,
}

/// Waits for the end of `running`, at most `limit`, with an eye on its memory and on `folder`.
pub(crate) fn watch(running: Running, folder: &Path, limit: Duration) -> Result<Watched> {
    let (id, begin) = (running.id(), Instant::now());
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let (mut most, mut disk) = (0, 0);
            while !ended.load(Ordering::Relaxed) {
                // Until it executes its program, its memory is this one's.
                if program(&id.to_string()) != program("self") {
                    most = memory(id).map_or(most, |memory| memory.peak.max(most));
                }
                disk = disk.max(size_of(folder));
                thread::sleep(GLANCE);
            }
            (most, disk)
        });
        let output = running.finish(limit);
        ended.store(true, Ordering::Relaxed);
        let (memory, disk) = watcher.join().expect("the watcher does not panic");
        let output = output.context("A watched process did not end well")?;
        Ok(Watched { output, memory, disk, taken: begin.elapsed() })
    })
}

/// Bytes of all files below `folder`; what comes and goes meanwhile may be missing.
pub(crate) fn size_of(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => size_of(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_open_files() {
        let memory = memory(std::process::id()).expect("it lives");
        assert!(memory.peak >= memory.now && memory.now > 0);
        assert!(handles(std::process::id()).expect("it lives") > 2);
    }
}
