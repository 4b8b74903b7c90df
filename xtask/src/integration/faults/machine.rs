//! Machines that run out of something: room, the right to write, file handles, a database.
//!
//! Each ends in one error that says what to do; nothing is lost, and once there is enough again the
//! next command goes on where the last one was.

use std::{net::TcpListener, process::Command, sync::Arc};

use anyhow::{Context as _, Result, ensure};

use super::{
    super::{Case, Lab, file::noise},
    NAME,
    room::{self, Room},
};
use crate::{
    client, probe,
    pulp::{self, Mirrored},
    run::{self, Output, PATIENCE},
    upstream::{Fault, Gate},
};

pub(super) fn cases() -> Vec<Case> {
    let mounts = |name, run| Case { name, needs: room::NEEDS, run };
    vec![
        mounts("a full disk ends a sync, which goes on when there is room", full_sync),
        mounts("a full disk ends a fill, the server goes on", full_fill),
        mounts("a read-only home is told, and works again afterwards", read_only),
        Case {
            name: "too few file handles are told, and nothing is lost",
            needs: &["prlimit"],
            run: handles,
        },
        Case {
            name: "a database that is restarted in the middle is told, and nothing is lost",
            needs: &["runuser"],
            run: database,
        },
    ]
}

/// `count` files of `length` bytes and their list; returns the list's URL.
fn files(lab: &Lab, count: u64, length: usize) -> String {
    let mut list = String::new();
    for number in 0..count {
        let bytes = noise(number + 1, length);
        let line = format!("f{number:04},{},{}\n", pulp::sha256(&bytes), bytes.len());
        list.push_str(&line);
        lab.upstream.put(&format!("f{number:04}"), bytes);
    }
    lab.upstream.put("PULP_MANIFEST", list);
    lab.upstream.url("PULP_MANIFEST")
}

fn words<'a>(url: &'a str, policy: &'a str) -> [&'a str; 8] {
    ["mirror", "file", url, "--name", NAME, "--policy", policy, "--json"]
}

/// An error unless the command failed with one error that holds all of `words`, and a hint.
fn told(output: &Output, words: &[&str]) -> Result<()> {
    let text = &output.stderr;
    ensure!(output.status.code().is_some_and(|code| code > 0), "{}\n{text}", output.status);
    for word in words {
        ensure!(text.contains(word), "`{word}` does not stand in the error:\n{text}");
    }
    ensure!(text.matches("error:").count() == 1, "More or less than one error:\n{text}");
    ensure!(text.contains("hint:"), "It does not say what to do:\n{text}");
    ensure!(!text.contains("panicked"), "It panicked:\n{text}");
    Ok(())
}

fn full_sync(lab: &Lab) -> Result<()> {
    const COUNT: u64 = 600;
    let url = files(lab, COUNT, 60_000);
    let room = Room::new(&lab.pulp, 20)?;
    let words = words(&url, "immediate");
    told(&room.run(&words)?, &["No space left on device"])?;
    room.has_no_temporary_files()?;
    room.remount("size=200m")?;
    room.succeed(&["check"])?;
    let mirrored = Mirrored::parse(&room.succeed(&words)?)?;
    ensure!(mirrored.version == Some(1) && mirrored.added == COUNT, "{mirrored:?}");
    room.succeed(&["check"])?;
    room.has_no_temporary_files()
}

fn full_fill(lab: &Lab) -> Result<()> {
    let url = files(lab, 4, 8_000_000);
    let room = Room::new(&lab.pulp, 16)?;
    room.succeed(&words(&url, "on_demand"))?;
    let serving = pulp::Serving::start(&mut room.command(pulp::Serving::WORDS))?;
    let mut cut = 0;
    for number in 0..4 {
        let path = format!("f{number:04}");
        match serving.get(NAME, &path) {
            Ok(reply) if reply.status == 200 && reply.complete => {
                ensure!(reply.body == noise(number + 1, 8_000_000), "Other bytes for `{path}`");
            }
            _ => cut += 1,
        }
    }
    ensure!(cut > 0, "Everything fits into 16 MiB");
    room.remount("size=200m")?;
    for number in 0..4 {
        let reply = serving.get(NAME, &format!("f{number:04}"))?.expect(200)?;
        ensure!(reply.body == noise(number + 1, 8_000_000), "Other bytes for {number}");
    }
    serving.stop()?;
    room.succeed(&["check"])?;
    room.has_no_temporary_files()
}

fn read_only(lab: &Lab) -> Result<()> {
    let url = files(lab, 10, 1000);
    let room = Room::new(&lab.pulp, 50)?;
    room.succeed(&words(&url, "immediate"))?;
    files(lab, 20, 1000);
    room.remount("ro")?;
    told(&room.run(&words(&url, "immediate"))?, &["Read-only file system"])?;
    room.remount("rw")?;
    let mirrored = Mirrored::parse(&room.succeed(&words(&url, "immediate"))?)?;
    ensure!((mirrored.version, mirrored.added) == (Some(2), 10), "{mirrored:?}");
    room.succeed(&["check"]).map(drop)
}

fn handles(lab: &Lab) -> Result<()> {
    let url = files(lab, 300, 100_000);
    let mut refused = 0;
    for limit in [8, 16, 24, 32, 64, 128] {
        let pulp = lab.pulp.another()?;
        let outside = pulp.command(&words(&url, "immediate"));
        let mut command = Command::new("prlimit");
        command.arg(format!("--nofile={limit}")).arg(outside.get_program());
        command.args(outside.get_args());
        for (name, value) in outside.get_envs().filter_map(|(name, value)| Some((name, value?))) {
            command.env(name, value);
        }
        let output = run::captured(&mut command, PATIENCE)?;
        if !output.status.success() {
            refused += 1;
            told(&output, &["open files"]).with_context(|| format!("At {limit}"))?;
        }
        let mirrored = Mirrored::parse(&pulp.run(&words(&url, "immediate"))?)?;
        ensure!(mirrored.present == 300, "At {limit}: {mirrored:?}");
        pulp.run(&["check"])?;
        pulp.has_no_temporary_files()?;
    }
    ensure!(refused > 0, "It needs no file handles");
    Ok(())
}

fn database(lab: &Lab) -> Result<()> {
    let url = files(lab, 700, 100);
    lab.upstream.put("zz", noise(1, 100_000));
    let server = Postgres::start()?;
    let place = ["--database-url", &server.url];
    let words = [&place[..], &words(&url, "immediate")].concat();
    let serving =
        pulp::Serving::start(&mut lab.pulp.command(&[&place[..], pulp::Serving::WORDS].concat()))?;
    let gate = Arc::new(Gate::default());
    lab.upstream.plan("f0650", 1, &Fault::Held(Arc::clone(&gate)));
    let running = lab.pulp.start(&words)?;
    gate.wait_for_arrivals(1)?;
    server.restart()?;
    gate.open();
    told(&running.finish(PATIENCE)?, &["hint: see that the database server is up"])?;
    let mirrored = Mirrored::parse(&lab.pulp.run(&words)?)?;
    ensure!((mirrored.version, mirrored.added) == (Some(1), 700), "{mirrored:?}");
    lab.pulp.run(&[&place[..], &["check"]].concat())?;
    // The server has lived through it.
    let reply = client::get(serving.address, &pulp::content_path(NAME, "f0007"))?.expect(200)?;
    ensure!(reply.body == noise(8, 100), "Other bytes are served");
    serving.stop()?;
    lab.pulp.has_no_temporary_files()
}

/// A PostgreSQL server of one's own, which may be restarted; ends when dropped.
struct Postgres {
    url: String,
    folder: tempfile::TempDir,
    programs: std::path::PathBuf,
    port: u16,
}

impl Postgres {
    fn start() -> Result<Self> {
        let programs = probe::postgres_programs().map_err(anyhow::Error::msg)?;
        let folder = tempfile::tempdir()?;
        run::output_of(Command::new("chown").arg("postgres").arg(folder.path()))?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
        let server = Self { url, folder, programs, port };
        let mut command = server.program("initdb");
        run::output_of(command.args(["--auth", "trust", "--no-sync"]))?;
        server.control(&["start"])?;
        Ok(server)
    }

    fn restart(&self) -> Result<()> {
        self.control(&["--mode", "immediate", "restart"])
    }

    fn control(&self, words: &[&str]) -> Result<()> {
        let folder = self.folder.path().display();
        let port = self.port;
        let mut command = self.program("pg_ctl");
        command.args(["--wait", "--silent", "--log", &format!("{folder}/log"), "--options"]);
        command.arg(format!("-h 127.0.0.1 -p {port} -k {folder} -c fsync=off")).args(words);
        run::output_of(&mut command).map(drop)
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(self.programs.join(name));
        command.arg("--pgdata").arg(self.folder.path().join("data")).current_dir("/");
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.control(&["--mode", "immediate", "stop"]);
    }
}
