//! What one run of a program costs: clock, processors, memory.
//!
//! Processor time is the kernel's own sum over all threads and over children that were waited for.
//! The peak of memory is sampled from `/proc`: the sum that the kernel hands out with the exit code
//! would count this process's pages, too, which a child has for a moment before it becomes another
//! program.

use std::{
    fs,
    io::{Read as _, Seek as _},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use wait4::Wait4 as _;

use crate::process;

/// How often memory is looked at.
const EVERY: Duration = Duration::from_millis(5);
/// No run takes longer.
const LIMIT: Duration = Duration::from_secs(3600);

/// What a run cost.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Sample {
    /// Seconds by the clock.
    pub(super) wall: f64,
    /// Seconds of the processors, `None` where the program runs elsewhere.
    pub(super) cpu: Option<f64>,
    /// Most memory that it had at once, in bytes.
    pub(super) peak: Option<u64>,
    /// Requests that upstream answered.
    pub(super) requests: Option<u64>,
    /// Seconds of the database server's processors.
    pub(super) server_cpu: Option<f64>,
    /// Of a server under load: requests answered per second.
    pub(super) rate: Option<f64>,
    /// And bytes of bodies per second.
    pub(super) throughput: Option<f64>,
}

/// Runs `command` to its end; anything but success is an error with what it said. Also returns its
/// standard output.
pub(super) fn run(command: &mut Command) -> Result<(Sample, String)> {
    let mut streams = [tempfile::tempfile()?, tempfile::tempfile()?];
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(streams[0].try_clone()?)
        .stderr(streams[1].try_clone()?)
        .spawn()
        .with_context(|| format!("Failed to run {command:?}"))?;
    let (stop, stopped) = mpsc::channel::<()>();
    let id = child.id();
    let watcher = thread::spawn(move || watch(id, start, &stopped));
    let ended = child.wait4().context("Failed to wait for a child")?;
    let wall = start.elapsed().as_secs_f64();
    drop(stop);
    let peak = watcher.join().expect("watching panics nowhere");
    let [stdout, stderr] = streams.each_mut().map(|stream| {
        let mut text = Vec::new();
        let read = stream.rewind().and_then(|()| stream.read_to_end(&mut text));
        read.map(|_| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
    });
    if !ended.status.success() {
        bail!("{command:?} ended with {}\n{stdout}{stderr}", ended.status);
    }
    let cpu = (ended.rusage.utime + ended.rusage.stime).as_secs_f64();
    let sample = Sample { wall, cpu: Some(cpu), peak, ..Sample::default() };
    Ok((sample, stdout))
}

/// Samples a process until told to stop; returns its peak. Kills it when it takes too long.
fn watch(id: u32, start: Instant, stop: &mpsc::Receiver<()>) -> Option<u64> {
    let mut peak = None;
    while stop.recv_timeout(EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
        peak = peak.max(peak_memory(id));
        if start.elapsed() > LIMIT {
            let id = i32::try_from(id).ok().and_then(rustix::process::Pid::from_raw)?;
            let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
        }
    }
    peak
}

/// The most memory that a running process had so far, in bytes.
pub(super) fn peak_memory(id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// Processor time in seconds of a process and of everything that it started.
pub(super) fn cpu_of_family(id: u32) -> Option<f64> {
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    Some(process::cpu_of(id)? + children.filter_map(cpu_of_family).sum::<f64>())
}

/// The most memory that a process, or any that it started and that still runs, had so far.
pub(super) fn peak_of_family(id: u32) -> Option<u64> {
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    children.filter_map(peak_of_family).max().max(peak_memory(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_measured_and_its_output_returned() {
        let mut command = Command::new("sh");
        command.args(["-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done"]);
        let (sample, output) = run(&mut command).expect("it succeeds");
        assert_eq!(output, "done\n");
        assert!(sample.cpu.is_some_and(|cpu| cpu > 0.0), "{sample:?}");
    }

    #[test]
    fn a_failure_is_told_with_what_the_program_said() {
        let mut command = Command::new("sh");
        let error = run(command.args(["-c", "echo no >&2; exit 3"])).expect_err("it fails");
        assert!(error.to_string().ends_with("\nno\n"), "{error}");
    }

    #[test]
    fn this_process_has_memory_and_time() {
        let id = std::process::id();
        assert!(peak_memory(id).is_some_and(|bytes| bytes > 100_000));
        assert!(cpu_of_family(id).is_some());
    }
}
