//! Transfers that go wrong: a table of what a server does and of what has to come of it.
//!
//! Each row is tried on the list of files and on a file, by a sync. What is done once must heal
//! without anybody's help; what is done for good ends in one error that names the URL and the
//! matter, after which a server that behaves again is mirrored as if nothing had been.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    super::{Lab, file::noise},
    NAME,
    bounds::Bounds,
    hostile::{Asked, Deed, Hostile, answer, head, honest},
};
use crate::{process, pulp};

/// A row of the table.
struct Row {
    name: &'static str,
    /// What is done to the request, where an honest server would send the file.
    deed: fn(&Asked, &[u8]) -> Deed,
    on: On,
    outcome: Outcome,
}

/// Which request is meant.
#[derive(Debug, Clone, Copy, PartialEq)]
enum On {
    List,
    File,
    Both,
}

enum Outcome {
    /// Done once, it is made good by trying again.
    Heals,
    /// Done always, it is told in these words.
    Told(&'static [&'static str]),
}

use On::{Both, File, List};
use Outcome::{Heals, Told};

const ROWS: &[Row] = &[
    row("a reset before the answer", Both, Heals, |_, _| Deed::Reset(Vec::new())),
    row("a reset within the head", Both, Heals, |asked, file| {
        Deed::Reset(honest(asked, file)[..20].to_vec())
    }),
    row("a reset within the body", Both, Heals, |asked, file| Deed::Reset(half(asked, file))),
    row("an end before the answer", Both, Heals, |_, _| Deed::Say(Vec::new())),
    row("an end within the body", Both, Heals, |asked, file| Deed::Say(half(asked, file))),
    row("silence before the answer", Both, Heals, |_, _| Deed::Stall(Vec::new())),
    row("silence within the head", Both, Heals, |asked, file| {
        Deed::Stall(honest(asked, file)[..20].to_vec())
    }),
    row("silence within the body", Both, Heals, |asked, file| Deed::Stall(half(asked, file))),
    row("a slow drip", Both, Heals, |asked, file| {
        Deed::Drip(honest(asked, file), 10_000, Duration::from_millis(40))
    }),
    row("a flipped byte", File, Heals, |_, file| Deed::Say(answer(200, &[], &flipped(file)))),
    row("a body that is too short, and says so", File, Heals, |_, file| {
        Deed::Say(answer(200, &[], &file[1..]))
    }),
    row("a body that is too long, and says so", File, Heals, |_, file| {
        Deed::Say(answer(200, &[], &[file, b"!"].concat()))
    }),
    row("a longer body than announced", File, Heals, |_, file| {
        Deed::Say(sized(file.len(), &[file, b"!"].concat()))
    }),
    row("a shorter body than announced", Both, Heals, |_, file| {
        Deed::Say(sized(file.len() + 10, file))
    }),
    row("chunks that break off", Both, Heals, |_, file| {
        let head = head(200, &["Transfer-Encoding: chunked"]);
        Deed::Say([&head, format!("{:x}\r\n", file.len()).as_bytes(), file].concat())
    }),
    row("chunks without sizes", Both, Heals, |_, file| {
        let head = head(200, &["Transfer-Encoding: chunked"]);
        Deed::Say([&head, &b"many\r\n"[..], file].concat())
    }),
    row("another protocol", Both, Heals, |_, _| Deed::Say(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec())),
    row("a gigantic head", Both, Heals, |_, file| {
        let cookie = format!("Set-Cookie: {}", "x".repeat(20 << 20));
        Deed::Say(answer(200, &[&cookie], file))
    }),
    row("a head without end", Both, Heals, |_, _| {
        Deed::Endless(b"HTTP/1.1 200 x\r\n".to_vec(), b"X-Filler: xxxxxxxxxxxxxxxxxxx\r\n".to_vec())
    }),
    row("status 500", Both, Heals, |_, _| Deed::Say(answer(500, &[], b""))),
    row("status 503 with a second's pause", Both, Heals, |_, _| {
        Deed::Say(answer(503, &["Retry-After: 1"], b""))
    }),
    row("status 429 with a pause until a date", Both, Heals, |_, _| {
        let date = "Date: Sat, 03 Jan 2026 10:00:00 GMT";
        Deed::Say(answer(429, &[date, "Retry-After: Sat, 03 Jan 2026 10:00:01 GMT"], b""))
    }),
    row("compression that nobody asked for", File, Heals, |_, _| {
        Deed::Say(answer(200, &["Content-Encoding: gzip"], b"\x1f\x8b\x08\x00"))
    }),
    row("a redirect within the server", Both, Heals, |asked, _| {
        Deed::Say(answer(302, &[&format!("Location: /{}?again", asked.path)], b""))
    }),
    row("resets for good", Both, Told(&["Gave up after 3 attempts"]), |_, _| {
        Deed::Reset(Vec::new())
    }),
    row("silence for good", Both, Told(&["was silent for 1 s"]), |_, _| Deed::Stall(Vec::new())),
    row("another file for good", File, Told(&["is not the expected file"]), |_, file| {
        Deed::Say(answer(200, &[], &flipped(file)))
    }),
    row("a body without end", File, Told(&["is not the expected file"]), |_, _| {
        Deed::Endless(head(200, &[]), vec![0; 1 << 16])
    }),
    row("a list without end", List, Told(&["is larger than the limit of 1073741824"]), |_, _| {
        Deed::Endless(head(200, &[]), vec![b'#'; 1 << 20])
    }),
    row("an hour's pause", Both, Told(&["asks to wait for 3600 s"]), |_, _| {
        Deed::Say(answer(503, &["Retry-After: 3600"], b""))
    }),
    row("a redirect to itself", Both, Told(&["which closes a loop"]), |asked, _| {
        Deed::Say(answer(302, &[&format!("Location: /{}", asked.path)], b""))
    }),
    row("redirects without end", Both, Told(&["the eleventh redirect"]), |asked, _| {
        Deed::Say(answer(302, &[&format!("Location: /{}?{}", asked.path, asked.before)], b""))
    }),
    row("a redirect to a private file", Both, Told(&["neither `http` nor `https`"]), |_, _| {
        Deed::Say(answer(302, &["Location: file:///etc/passwd"], b""))
    }),
    row("a redirect to another scheme", Both, Told(&["neither `http` nor `https`"]), |_, _| {
        Deed::Say(answer(302, &["Location: ftp://127.0.0.1/a"], b""))
    }),
    row("a redirect to nowhere", Both, Told(&["answered 302"]), |_, _| {
        Deed::Say(answer(302, &[], b""))
    }),
    row("a redirect to what is no URL", Both, Told(&["which is not a URL"]), |_, _| {
        Deed::Say(answer(302, &["Location: http://[::bad"], b""))
    }),
    row("status 403", Both, Told(&["answered 403"]), |_, _| Deed::Say(answer(403, &[], b"no"))),
    row("a part that nobody asked for", Both, Told(&["answered 206"]), |_, file| {
        let range = format!("Content-Range: bytes 0-9/{}", file.len());
        Deed::Say(answer(206, &[&range], &file[..10]))
    }),
];

const fn row(name: &'static str, on: On, outcome: Outcome, deed: fn(&Asked, &[u8]) -> Deed) -> Row {
    Row { name, deed, on, outcome }
}

/// Half of an honest answer.
fn half(asked: &Asked, file: &[u8]) -> Vec<u8> {
    let whole = honest(asked, file);
    whole[..whole.len() - file.len() / 2].to_vec()
}

fn flipped(file: &[u8]) -> Vec<u8> {
    let mut bytes = file.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x20;
    bytes
}

/// An answer that announces another length than it has.
fn sized(length: usize, body: &[u8]) -> Vec<u8> {
    let head = head(200, &[&format!("Content-Length: {length}")]);
    [&head, body].concat()
}

/// Tries every row, several at a time; an error names all that went otherwise.
pub(super) fn table(lab: &Lab) -> Result<()> {
    const LANES: usize = 6;
    let mut trials = Vec::new();
    for row in ROWS {
        for target in ["PULP_MANIFEST", "dir/file"] {
            let on = if target == "PULP_MANIFEST" { List } else { File };
            if row.on == Both || row.on == on {
                trials.push((row, target));
            }
        }
    }
    let next = AtomicUsize::new(0);
    let lane = || {
        let mut wrong = Vec::new();
        while let Some((row, target)) = trials.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = row.try_on(lab, target) {
                wrong.push(format!("{} on `{target}`: {error:#}", row.name));
            }
        }
        wrong
    };
    let wrong: Vec<_> = thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|_| scope.spawn(lane)).collect();
        lanes.into_iter().flat_map(|lane| lane.join().expect("no lane panics")).collect()
    });
    if !wrong.is_empty() {
        bail!("{} of {} went wrong\n{}", wrong.len(), trials.len(), wrong.join("\n"));
    }
    Ok(())
}

/// A server that sends its clients to another one; what they show it is not for the other.
pub(super) fn credentials(lab: &Lab) -> Result<()> {
    let file = noise(7, 1000);
    let list = format!("dir/file,{},{}\n", pulp::sha256(&file), file.len());
    let far = Hostile::start(Box::new(move |asked| {
        Deed::Say(honest(
            asked,
            if asked.path == "PULP_MANIFEST" { list.as_bytes() } else { &file },
        ))
    }))?;
    let there = far.url("");
    let near = Hostile::start(Box::new(move |asked| {
        Deed::Say(answer(302, &[&format!("Location: {there}{}", asked.path)], b""))
    }))?;
    let url = near.url("PULP_MANIFEST");
    let secrets = ["--username", "me", "--password", "sesame", "--header", "X-Token: sesame"];
    let mirrored = lab.pulp.mirror(&url, NAME, &secrets)?;
    ensure!(mirrored.present == 1, "Not mirrored: {mirrored:?}");
    let (near, far) = (near.log(), far.log());
    ensure!(near.len() == 2 && far.len() == 2, "{} and {} requests", near.len(), far.len());
    for name in ["authorization", "x-token"] {
        ensure!(near.iter().all(|asked| asked.header(name).is_some()), "No `{name}` was shown");
        ensure!(far.iter().all(|asked| asked.header(name).is_none()), "`{name}` went elsewhere");
    }
    Ok(())
}

impl Row {
    /// A sync from a server that does the row's deed to requests for `target`.
    fn try_on(&self, lab: &Lab, target: &'static str) -> Result<()> {
        let file = noise(7, 300_000);
        let list = format!("dir/file,{},{}\n", pulp::sha256(&file), file.len());
        let deed = self.deed;
        let times = match self.outcome {
            Heals => 1,
            Told(_) => usize::MAX,
        };
        let left = Arc::new(AtomicUsize::new(times));
        let deeds = Arc::clone(&left);
        let server = Hostile::start(Box::new(move |asked| {
            let file = if asked.path == "PULP_MANIFEST" { list.as_bytes() } else { &file };
            let take = |left: usize| left.checked_sub(1);
            let meant = asked.path == target
                && deeds.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok();
            if meant { deed(asked, file) } else { Deed::Say(honest(asked, file)) }
        }))?;
        let pulp = lab.pulp.another()?;
        let url = server.url("PULP_MANIFEST");
        let words = ["mirror", "file", &url, "--name", NAME, "--idle-timeout", "1"];
        let words = [&words[..], &["--max-retries", "2", "--json"]].concat();
        let watched = process::watch(pulp.start(&words)?, pulp.home(), Bounds::SMALL.time)?;
        let text = &watched.output.stderr;
        match self.outcome {
            Heals => ensure!(watched.output.status.success(), "Not healed:\n{text}"),
            Told(words) => {
                ensure!(!watched.output.status.success(), "It succeeded");
                for word in [words, &[server.url(target).as_str()]].concat() {
                    ensure!(text.contains(word), "`{word}` does not stand in the error:\n{text}");
                }
                let errors = text.matches("error:").count();
                ensure!(errors == 1, "{errors} errors instead of one:\n{text}");
            }
        }
        // A list has to be received to be refused.
        let disk = if self.on == List { 1200 << 20 } else { 8 << 20 };
        Bounds { disk, ..Bounds::SMALL }.hold(&watched)?;
        pulp.has_no_temporary_files()?;
        left.store(0, Ordering::SeqCst);
        let again = pulp.run(&words).context("The server behaves again, but")?;
        let again = pulp::Mirrored::parse(&again)?;
        ensure!(again.present == 1, "Not mirrored in the end: {again:?}");
        pulp.run(&["check"]).map(drop)
    }
}
