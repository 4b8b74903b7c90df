//! Ctrl-C in the middle of a command: how each of them must end.
//!
//! Where the middle is, each case says itself; what is left in repositories, it looks at, too.

use std::{
    fs::File,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    process,
    pulp::Installation,
    run::{Output, PATIENCE, Running},
};

/// From the signal to the end of the command.
pub(super) const END: Duration = Duration::from_secs(5);
/// Exit code of what was interrupted.
const INTERRUPTED: i32 = 130;
/// How often it is looked whether the middle has come.
const GLANCE: Duration = Duration::from_millis(2);

/// Starts a command and interrupts it as soon as it `has_begun`: it ends at once, says so in one line,
/// and leaves no temporary file.
pub(super) fn interrupt(
    pulp: &Installation,
    words: &[&str],
    has_begun: impl Fn(&mut Running) -> Result<bool>,
) -> Result<()> {
    let mut running = pulp.start(words)?;
    let start = Instant::now();
    while !has_begun(&mut running)? {
        ensure!(!running.has_ended()?, "{words:?} ended too soon: {:?}", running.finish(END)?);
        ensure!(start.elapsed() < PATIENCE, "{words:?} has not begun within {PATIENCE:?}");
        thread::sleep(GLANCE);
    }
    end(pulp, words, running)
}

/// Interrupts a command that is in its middle.
pub(super) fn end(pulp: &Installation, words: &[&str], running: Running) -> Result<()> {
    running.interrupt()?;
    let Output { status, stdout, stderr } = running.finish(END)?;
    let told = || format!("{words:?} ended with {status}\n{stdout}{stderr}");
    ensure!(status.code() == Some(INTERRUPTED), "{}", told());
    let errors: Vec<_> = stderr.lines().skip_while(|line| !line.starts_with("error: ")).collect();
    ensure!(errors.len() == 1, "More or less than one line: {}", told());
    let words = ["Interrupted", "cancelled", "Cancelled"];
    ensure!(words.iter().any(|word| errors[0].contains(word)), "It does not say so: {}", told());
    has_no_litter(pulp)
}

/// An error when a temporary file is left, but for the signs of life of those who live.
pub(super) fn has_no_litter(pulp: &Installation) -> Result<()> {
    let is_of_a_living_process = |path: &PathBuf| {
        let folder = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        let id = folder.split('-').next().unwrap_or_default();
        path.ends_with("alive") && !id.is_empty() && Path::new("/proc").join(id).exists()
    };
    let mut left = pulp.files("tmp")?;
    left.retain(|path| !is_of_a_living_process(path));
    ensure!(left.is_empty(), "Temporary files are left: {left:?}");
    Ok(())
}

/// Whether a command has written so much that it must be in the middle of a large file.
pub(super) fn is_taking_up(pulp: &Installation) -> bool {
    process::size_of(&pulp.home().join("tmp")) > 1 << 20
}

/// Whether a command has read so much that it must be in the middle of a large file.
pub(super) fn is_reading(running: &mut Running) -> Result<bool> {
    Ok(process::bytes_read(running.id())? > 64 << 20)
}

/// Whether a command says that it waits for another one.
pub(super) fn is_waiting(running: &mut Running) -> Result<bool> {
    Ok(running.error_line(PATIENCE)?.contains("Waiting for repository"))
}

/// Makes a file longer than any machine reads while a test waits, that takes no room: `head`, and
/// zeros up to `length`.
pub(super) fn endless(path: &Path, head: &[u8], length: u64) -> Result<PathBuf> {
    std::fs::write(path, head)?;
    let file = File::options().write(true).open(path)?;
    file.set_len(length).with_context(|| format!("Failed to lengthen `{}`", path.display()))?;
    Ok(path.to_owned())
}
