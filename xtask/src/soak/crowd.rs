//! Crowded: syncs of overlapping content against each other, against an orphan cleanup, publishing
//! and two hundred reading clients.
//!
//! Sixteen repositories of all plugins, a process for each; some of them have one upstream in
//! common, the others share units and bytes through their generations. Round after round every
//! process has to succeed and every repository has to show what its upstream has, as if the syncs
//! had come one after the other. Memory and open files of the server, and the memory of the syncs,
//! are the same in the last round as in an early one.

use std::{
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    autopsy,
    dice::Dice,
    stock::{Plugin, Scale, State, Stock, observe},
};
use crate::{
    integration::Backend,
    process,
    pulp::{Installation, Serving},
    run,
    upstream::Upstream,
};

const SYNCS: usize = 16;
const READERS: usize = 200;
/// Between two requests of a reader.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest run of one process in the crowd.
const PATIENCE: Duration = Duration::from_secs(300);
/// Rounds after which everything has been used once.
const WARM: u64 = 2;

/// What to do for how long.
pub(super) struct Crowd<'a> {
    pub(super) program: &'a Path,
    pub(super) seed: u64,
    pub(super) backend: Backend,
    pub(super) time: Duration,
}

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) rounds: u64,
    pub(super) reads: usize,
    /// The server's memory in KiB and its open files, after each round.
    server: Vec<(u64, usize)>,
    /// The largest memory of a sync in KiB, in each round.
    syncs: Vec<u64>,
}

/// A repository of the crowd, and the upstream that it has in common with others.
struct Member {
    plugin: Plugin,
    name: String,
    upstream: usize,
    policy: &'static str,
}

/// An upstream of the crowd with what it holds.
struct Source {
    upstream: Upstream,
    plugin: Plugin,
    /// Every upstream is so many generations ahead.
    ahead: u64,
}

impl Source {
    fn stock(&self, round: u64) -> Stock {
        let units = if self.plugin == Plugin::Container { 40 } else { 150 };
        Stock::new(self.plugin, Scale { units, large: 50_000 }, round + self.ahead)
    }
}

impl Crowd<'_> {
    /// Rounds until the time is over, at least three.
    pub(super) fn run(&self) -> Result<Tally> {
        let begin = Instant::now();
        let pulp = Installation::new(self.program, self.backend)?;
        let serving = pulp.serve()?;
        let sources = sources()?;
        let members: Vec<_> = (0..SYNCS).map(member).collect();
        let known: Vec<_> = members.iter().map(|_| Mutex::new(vec![State::new()])).collect();
        let mut tally = Tally::default();
        let (done, reads) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            let readers: Vec<_> = (0..READERS)
                .map(|number| {
                    let dice = Dice::new(self.seed ^ number as u64);
                    let reader =
                        Reader { members: &members, known: &known, serving: serving.address };
                    let (done, reads) = (&done, &reads);
                    scope.spawn(move || reader.read(dice, done, reads))
                })
                .collect();
            let outcome = (|| {
                while tally.rounds <= WARM || begin.elapsed() < self.time {
                    let stocks: Vec<_> =
                        sources.iter().map(|source| source.stock(tally.rounds)).collect();
                    for (source, stock) in sources.iter().zip(&stocks) {
                        stock.put(&source.upstream);
                    }
                    for (member, known) in members.iter().zip(&known) {
                        let state = stocks[member.upstream].state.clone();
                        known.lock().expect("held for a moment").push(state);
                    }
                    let most = round(&pulp, &sources, &stocks, &members)?;
                    settle(&serving, &members, &stocks)?;
                    tally.syncs.push(most);
                    let memory = process::memory(serving.id())?.now;
                    tally.server.push((memory, process::handles(serving.id())?));
                    tally.rounds += 1;
                }
                Ok(())
            })();
            done.store(true, Ordering::Relaxed);
            let read: Result<()> =
                readers.into_iter().try_for_each(|reader| reader.join().expect("no reader panics"));
            outcome.and(read)
        })?;
        tally.reads = reads.into_inner();
        let round = tally.rounds - 1;
        for member in members.iter().take(4) {
            let stock = sources[member.upstream].stock(round);
            let some: Vec<_> = stock.artifacts.keys().collect();
            autopsy::are_served(&stock, serving.address, &member.name, &some)?;
        }
        autopsy::examine(&pulp, Some(serving.id()))?;
        serving.stop()?;
        pulp.has_no_temporary_files()?;
        tally.is_flat()?;
        Ok(tally)
    }
}

fn sources() -> Result<Vec<Source>> {
    let kinds = [(Plugin::File, 0), (Plugin::File, 1), (Plugin::Deb, 0), (Plugin::Container, 0)];
    let start = |(plugin, ahead)| Ok(Source { upstream: Upstream::start()?, plugin, ahead });
    kinds.into_iter().map(start).collect()
}

fn member(number: usize) -> Member {
    let upstream = number % 4;
    let plugin = [Plugin::File, Plugin::File, Plugin::Deb, Plugin::Container][upstream];
    let policy = if (number / 4).is_multiple_of(2) { "immediate" } else { "on_demand" };
    Member { plugin, name: format!("crowd/{number}"), upstream, policy }
}

/// All members sync at once, beside a cleanup and publishing; returns the most memory of a sync.
fn round(
    pulp: &Installation,
    sources: &[Source],
    stocks: &[Stock],
    members: &[Member],
) -> Result<u64> {
    let sync = |member: &Member| {
        let stock = &stocks[member.upstream];
        let upstream = &sources[member.upstream].upstream;
        let mut words = stock.mirror(upstream, &member.name, member.policy);
        words.extend(["--retain-versions", "3"].map(str::to_owned));
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let folder = pulp.home().join("tmp");
        let watched = process::watch(pulp.start(&words)?, &folder, PATIENCE)?;
        let output = watched.output;
        ensure!(output.status.success(), "`{}`: {}", member.name, output.stderr);
        Ok(watched.memory)
    };
    let other = |words: &[&str]| {
        let output = run::captured(&mut pulp.command(words), PATIENCE)?;
        ensure!(output.status.success(), "`{}`: {}", words.join(" "), output.stderr);
        Ok(0)
    };
    thread::scope(|scope| {
        let mut running: Vec<_> =
            members.iter().map(|member| scope.spawn(move || sync(member))).collect();
        running.push(scope.spawn(|| other(&["orphan", "cleanup", "--protection-time", "0"])));
        let mut most = 0;
        let mut first = Ok(());
        for running in running {
            match running.join().expect("no lane panics") {
                Ok(memory) => most = most.max(memory),
                Err(error) => first = first.and(Err::<(), anyhow::Error>(error)),
            }
        }
        // Now that every repository has a version.
        let name = &members[0].name;
        first.and(other(&["file", "publication", "create", "--repository", name]).map(|_| most))
    })
}

/// Waits until every repository shows what its upstream has.
fn settle(serving: &Serving, members: &[Member], stocks: &[Stock]) -> Result<()> {
    for member in members {
        let begin = Instant::now();
        while observe(member.plugin, serving.address, &member.name)?
            != stocks[member.upstream].state
        {
            if begin.elapsed() > Duration::from_secs(10) {
                bail!("`{}` shows something else than its upstream has", member.name);
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
    Ok(())
}

/// A client that looks at one repository after the other.
struct Reader<'a> {
    members: &'a [Member],
    /// Every state that the members' upstreams ever had.
    known: &'a [Mutex<Vec<State>>],
    serving: std::net::SocketAddr,
}

impl Reader<'_> {
    fn read(&self, mut dice: Dice, done: &AtomicBool, reads: &AtomicUsize) -> Result<()> {
        while !done.load(Ordering::Relaxed) {
            thread::sleep(PAUSE.mul_f64(0.5 + dice.fraction()));
            let number = dice.below(self.members.len());
            let member = &self.members[number];
            let seen = observe(member.plugin, self.serving, &member.name)
                .with_context(|| format!("A reader of `{}`", member.name))?;
            let known = self.known[number].lock().expect("held for a moment");
            ensure!(known.contains(&seen), "`{}` shows half of something", member.name);
            reads.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Tally {
    /// An error when something grows from round to round.
    fn is_flat(&self) -> Result<()> {
        let warm = usize::try_from(WARM)?.min(self.server.len() - 1);
        let (early, late) = (self.server[warm], self.server[self.server.len() - 1]);
        let grown = |early: u64, late: u64| late > early + early / 4 + (24 << 10);
        ensure!(
            !grown(early.0, late.0),
            "The server's memory grows: {} KiB, {} KiB",
            early.0,
            late.0
        );
        ensure!(late.1 <= early.1 + 64, "The server's open files grow: {}, {}", early.1, late.1);
        let (early, late) = (self.syncs[warm], self.syncs[self.syncs.len() - 1]);
        ensure!(!grown(early, late), "The memory of syncs grows: {early} KiB, {late} KiB");
        Ok(())
    }

    /// In one line.
    pub(super) fn summary(&self) -> String {
        let (first, last) = (self.server.first(), self.server.last());
        let (first, last) = (first.copied().unwrap_or_default(), last.copied().unwrap_or_default());
        format!(
            "{} rounds of {SYNCS} syncs, {} reads; server {} → {} MiB, {} → {} open files; syncs at \
             most {} MiB",
            self.rounds,
            self.reads,
            first.0 >> 10,
            last.0 >> 10,
            first.1,
            last.1,
            self.syncs.iter().max().copied().unwrap_or_default() >> 10
        )
    }
}
