//! Running programs: cargo with its output shown, others captured and bounded in time.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long anything here may take that is not measured. It ends what hangs, and must not end what a
/// slow or crowded machine makes slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// The workspace's root folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}

/// The cargo that runs this program, in the workspace's root.
pub(crate) fn cargo<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(arguments).current_dir(root());
    // Cargo sets these for us; a nested cargo that sees them would rebuild for their sake.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs `command` with its output shown; anything but success is an error.
pub(crate) fn shown(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("Failed to run {command:?}"))?;
    succeeded(command, status)
}

/// Runs `command` with its output shown, and also returns it, both streams in one.
pub(crate) fn teed(command: &mut Command) -> Result<(ExitStatus, String)> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("Failed to run {command:?}"))?;
    let (lines, received) = mpsc::channel();
    let streams: [Box<dyn Read + Send>; 2] = [
        Box::new(child.stdout.take().expect("piped above")),
        Box::new(child.stderr.take().expect("piped above")),
    ];
    for stream in streams {
        let lines = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                println!("{line}");
                let _ = lines.send(line);
            }
        });
    }
    drop(lines);
    let text = received.into_iter().collect::<Vec<_>>().join("\n");
    Ok((child.wait().context("Failed to wait for a child")?, text))
}

fn succeeded(command: &Command, status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("{} ended with {status}", command.get_program().display());
    }
    Ok(())
}

/// What a program did.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `command` to its end without input, or kills it after `limit`.
pub(crate) fn captured(command: &mut Command, limit: Duration) -> Result<Output> {
    Running::start(command)?.finish(limit)
}

/// Runs `command`, at most [`PATIENCE`], and returns its standard output; anything but success is an
/// error that carries its standard error.
pub(crate) fn output_of(command: &mut Command) -> Result<String> {
    let output = captured(command, PATIENCE)?;
    if !output.status.success() {
        bail!("{command:?} ended with {}\n{}", output.status, output.stderr);
    }
    Ok(output.stdout)
}

/// A program that runs; killed when dropped.
pub(crate) struct Running {
    shown: String,
    child: Child,
    ended: bool,
    streams: [Stream; 2],
}

/// What comes out of one of a program's streams.
type Stream = mpsc::Receiver<String>;

impl Running {
    /// Starts `command` without input.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("Failed to run {command:?}"))?;
        let stdout = lines_of(child.stdout.take().expect("piped above"));
        let stderr = lines_of(child.stderr.take().expect("piped above"));
        let shown = format!("{command:?}");
        Ok(Self { shown, child, ended: false, streams: [stdout, stderr] })
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line of standard output, waited for at most `limit`.
    pub(crate) fn line(&mut self, limit: Duration) -> Result<String> {
        self.next_of(0, limit)
    }

    /// The next line of standard error, waited for at most `limit`.
    pub(crate) fn error_line(&mut self, limit: Duration) -> Result<String> {
        self.next_of(1, limit)
    }

    fn next_of(&self, stream: usize, limit: Duration) -> Result<String> {
        match self.streams[stream].recv_timeout(limit) {
            Ok(line) => Ok(line),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                bail!("{} printed no line within {limit:?}", self.shown)
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let patience = Duration::from_secs(1);
                let rest = || self.streams[1].recv_timeout(patience).ok();
                let rest: Vec<_> = std::iter::from_fn(rest).collect();
                bail!("{} ended without a line\n{}", self.shown, rest.join("\n"))
            }
        }
    }

    /// Whether the program has ended.
    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait().context("Failed to look at a child")?.is_some())
    }

    /// Asks the program to end.
    pub(crate) fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// Asks the program to end, as Ctrl-C does.
    pub(crate) fn interrupt(&self) -> Result<()> {
        self.signal(Signal::INT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let id = id.context("A child has no id")?;
        kill_process(id, signal).with_context(|| format!("Failed to send {signal:?}"))
    }

    /// Ends the program at once, as `kill -9` does; says how it ended, which may have been before.
    pub(crate) fn kill(mut self) -> Result<ExitStatus> {
        self.child.kill().context("Failed to kill a child")?;
        let status = self.child.wait().context("Failed to wait for a child")?;
        self.ended = true;
        Ok(status)
    }

    /// Waits for the program's end; kills it after `limit`.
    pub(crate) fn finish(mut self, limit: Duration) -> Result<Output> {
        let start = Instant::now();
        let mut texts = [String::new(), String::new()];
        for (stream, text) in self.streams.iter().zip(&mut texts) {
            loop {
                match stream.recv_timeout(limit.saturating_sub(start.elapsed())) {
                    Ok(line) => {
                        text.push_str(&line);
                        text.push('\n');
                    }
                    Err(mpsc::RecvTimeoutError::Disconnected) => break,
                    Err(mpsc::RecvTimeoutError::Timeout) => {
                        let [stdout, stderr] = texts;
                        bail!("{} still ran after {limit:?}\n{stdout}{stderr}", self.shown);
                    }
                }
            }
        }
        // Both streams have ended, so the program has, or is about to.
        let status = self.child.wait().context("Failed to wait for a child")?;
        self.ended = true;
        let [stdout, stderr] = texts;
        Ok(Output { status, stdout, stderr })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn lines_of(stream: impl Read + Send + 'static) -> Stream {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line);
            if send.send(text.trim_end_matches('\n').to_owned()).is_err() {
                break;
            }
            line.clear();
        }
    });
    receive
}

/// What cargo says of the workspace and its packages.
pub(crate) fn metadata() -> Result<serde_json::Value> {
    let mut command = cargo(["metadata", "--no-deps", "--format-version=1", "--offline"]);
    serde_json::from_str(&output_of(&mut command)?).context("Failed to understand `cargo metadata`")
}

/// Builds the whole workspace and returns where its program `pulp` lies. The examples are asked for
/// since cargo then takes the features that tests have, and compiles no dependency a second time.
pub(crate) fn build() -> Result<PathBuf> {
    program(&built(&mut cargo(["build", "--workspace", "--bins", "--examples"]))?)
}

/// The program `pulp` among what was built.
pub(crate) fn program(built: &[Built]) -> Result<PathBuf> {
    let found = built.iter().find(|one| one.target == "pulp" && !one.is_test);
    found.map(|one| one.path.clone()).context("Cargo built no program `pulp`")
}

/// An executable that cargo has built.
pub(crate) struct Built {
    /// As the manifest calls it.
    pub(crate) target: String,
    /// The file that it begins with.
    pub(crate) source: PathBuf,
    /// Whether it runs tests.
    pub(crate) is_test: bool,
    pub(crate) path: PathBuf,
}

/// Runs a cargo that builds, and returns the executables.
pub(crate) fn built(command: &mut Command) -> Result<Vec<Built>> {
    let output = command
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("Failed to run {command:?}"))?;
    succeeded(command, output.status)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let messages =
        text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let built = messages.filter_map(|message| {
        Some(Built {
            target: message["target"]["name"].as_str()?.to_owned(),
            source: message["target"]["src_path"].as_str()?.into(),
            is_test: message["profile"]["test"] == true,
            path: message["executable"].as_str()?.into(),
        })
    });
    Ok(built.collect())
}
