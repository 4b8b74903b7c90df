//! Killed anywhere: `kill -9` of syncs, servers and publishers at random moments.
//!
//! A cell of the matrix (plugin, policy, database) is one installation with an upstream of its own
//! and a server that lives beside the syncs. Round after round upstream changes; a sync is started
//! and killed, up to three times, until one may end. After every death the installation is examined
//! and the server must show the old state or the new one, whole. A moment is a number of requests
//! that upstream has got, and a delay after it: chance alone would seldom hit what takes a
//! millisecond.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    path::Path,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    autopsy::{self, Remains},
    census::{Census, Stage},
    dice::Dice,
    stock::{NAME, Plugin, Scale, State, Stock, observe, served_path},
};
use crate::{
    client,
    integration::Backend,
    pulp::{Installation, Mirrored, Serving},
    run::Running,
    upstream::{Seen, Upstream},
};

const POLICIES: [&str; 3] = ["immediate", "on_demand", "streamed"];
/// Longest run of one process.
const PATIENCE: Duration = Duration::from_secs(120);
/// Installations side by side: they mostly wait for disks and each other.
const LANES: usize = 4;

/// What to kill.
pub(super) struct Plan<'a> {
    pub(super) program: &'a Path,
    pub(super) seed: u64,
    pub(super) backends: &'a [Backend],
    /// Rounds of each cell: about two deaths of syncs each.
    pub(super) rounds: u64,
}

impl Plan<'_> {
    /// Runs every cell; adds what died to `census`.
    pub(super) fn run(&self, census: &Census) -> Result<()> {
        let mut cells = VecDeque::new();
        for policy in POLICIES {
            for plugin in Plugin::ALL {
                for backend in self.backends {
                    cells.push_back((plugin, policy, *backend));
                }
            }
        }
        let cells = Mutex::new(cells);
        let next = || cells.lock().expect("no lane panics while it holds the cells").pop_front();
        let lane = || {
            while let Some((plugin, policy, backend)) = next() {
                let name = format!("{}/{policy}/{backend:?}", plugin.name());
                Cell::new(self, plugin, policy, backend, &name)
                    .and_then(|mut cell| cell.live(self.rounds, census))
                    .with_context(|| format!("{name}, seed {}", self.seed))?;
            }
            Ok(())
        };
        thread::scope(|scope| {
            let lanes: Vec<_> = (0..LANES).map(|_| scope.spawn(lane)).collect();
            // All of them end before the first error is told.
            let ended: Vec<Result<()>> =
                lanes.into_iter().map(|lane| lane.join().expect("no lane panics")).collect();
            ended.into_iter().collect()
        })
    }
}

/// What an undisturbed sync looked like.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Until the first request.
    lead: Duration,
    /// After the last request.
    tail: Duration,
    /// Requests for anything but artifacts.
    metadata: usize,
    /// Artifacts fetched although the policy defers them.
    early: usize,
}

/// When to kill: so long after upstream got so many requests.
#[derive(Debug, Clone, Copy)]
struct Moment {
    requests: usize,
    delay: Duration,
}

struct Cell {
    plugin: Plugin,
    policy: &'static str,
    scale: Scale,
    structured: bool,
    dice: Dice,
    pulp: Installation,
    upstream: Upstream,
    serving: Option<Serving>,
    pace: Pace,
    /// What is served, and the newest version's number.
    state: State,
    version: u64,
}

impl Cell {
    fn new(
        plan: &Plan<'_>,
        plugin: Plugin,
        policy: &'static str,
        backend: Backend,
        name: &str,
    ) -> Result<Self> {
        let mut dice = Dice::of(plan.seed, name);
        let units = if plugin == Plugin::Container { 80 } else { 700 };
        Ok(Self {
            plugin,
            policy,
            scale: Scale { units, large: 150_000 },
            structured: plugin == Plugin::Deb && dice.below(2) == 1,
            dice,
            pulp: Installation::new(plan.program, backend)?,
            upstream: Upstream::start()?,
            serving: None,
            pace: Pace {
                lead: Duration::from_millis(50),
                tail: Duration::from_millis(200),
                metadata: 1,
                early: 0,
            },
            state: State::new(),
            version: 0,
        })
    }

    fn live(&mut self, rounds: u64, census: &Census) -> Result<()> {
        for round in 0..rounds {
            let stock = Stock::new(self.plugin, self.scale, round);
            stock.put(&self.upstream);
            let mut remains = self.remains()?;
            for _ in 0..=self.dice.below(3) {
                let (stage, left) = self.kill_sync(&stock, &remains)?;
                census.count(self.plugin, stage);
                remains = left;
            }
            self.complete(&stock, &remains)?;
            if self.policy != "immediate" {
                self.kill_server(&stock)?;
                census.count(self.plugin, Stage::Filling);
            }
            if self.plugin != Plugin::Container {
                self.kill_publisher()?;
                census.count(self.plugin, Stage::PublishingAgain);
            }
        }
        let stock = Stock::new(self.plugin, self.scale, rounds - 1);
        let serving = self.serving.take().context("The server runs by now")?;
        let all: Vec<_> = stock.artifacts.keys().collect();
        autopsy::are_served(&stock, serving.address, NAME, &all)?;
        serving.stop()?;
        self.pulp.has_no_temporary_files()
    }

    fn remains(&self) -> Result<Remains> {
        autopsy::examine(&self.pulp, self.serving.as_ref().map(Serving::id))
    }

    fn command(&self, stock: &Stock) -> Vec<String> {
        let mut words = stock.mirror(&self.upstream, NAME, self.policy);
        if self.structured {
            words.extend(["--publish", "structured"].map(str::to_owned));
        }
        words
    }

    fn start(&self, words: &[String]) -> Result<Running> {
        self.upstream.take_log();
        self.pulp.start(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Artifacts that an undisturbed sync would fetch now.
    fn wanted(&self, stock: &Stock, remains: &Remains) -> usize {
        if self.policy == "immediate" { remains.missing(stock) } else { self.pace.early }
    }

    fn moment(&mut self, wanted: usize) -> Moment {
        let all = self.pace.metadata + wanted;
        let within = |span: Duration, dice: &mut Dice| span.mul_f64(1.2 * dice.fraction());
        match self.dice.below(100) {
            0..15 => Moment { requests: 0, delay: within(self.pace.lead, &mut self.dice) },
            15..55 => Moment {
                requests: 1 + self.dice.below(all),
                delay: within(Duration::from_millis(5), &mut self.dice),
            },
            _ => Moment { requests: all, delay: within(self.pace.tail, &mut self.dice) },
        }
    }

    /// Starts a sync, kills it, examines what it left.
    fn kill_sync(&mut self, stock: &Stock, before: &Remains) -> Result<(Stage, Remains)> {
        let wanted = self.wanted(stock, before);
        let moment = self.moment(wanted);
        let mut running = self.start(&self.command(stock))?;
        self.reach(&mut running, moment)?;
        let ended = running.kill()?.code();
        let log = self.upstream.take_log();
        ensure!(ended.unwrap_or_default() == 0, "The sync failed before it was killed: {ended:?}");

        let after = self.remains().with_context(|| format!("Killed at {moment:?}"))?;
        if self.serving.is_none() {
            self.serving = Some(self.pulp.serve()?);
        }
        let newest = autopsy::newest_version(&self.pulp, self.plugin, NAME)?.unwrap_or_default();
        let is_new = newest != self.version;
        ensure!(newest <= self.version + 1, "Version {newest} after {}", self.version);
        let seen = self.observe()?;
        let published = seen == stock.state && seen != self.state;
        ensure!(
            seen == self.state || seen == stock.state,
            "Neither the old nor the new state is served: {} units",
            seen.len()
        );
        let fetched = fetched(stock, &log);
        let stage = if ended.is_some() || published {
            Stage::Ended
        } else if is_new {
            Stage::Publishing
        } else if log.is_empty() {
            Stage::Starting
        } else if log.len() - fetched < self.pace.metadata && fetched == 0 {
            Stage::Metadata
        } else if fetched * 2 < wanted {
            Stage::FirstHalf
        } else if fetched < wanted {
            Stage::SecondHalf
        } else if self.policy == "immediate" && after.missing(stock) > 0 {
            Stage::Saving
        } else {
            Stage::Associating
        };
        Ok((stage, after))
    }

    /// Waits for the moment, or for the end of the process if that comes first.
    fn reach(&self, running: &mut Running, moment: Moment) -> Result<()> {
        let begin = Instant::now();
        let glance = Duration::from_millis(10);
        while !self.upstream.wait_for_requests(moment.requests, glance) {
            if running.has_ended()? {
                return Ok(());
            }
            ensure!(begin.elapsed() < PATIENCE, "The sync hangs: waited for {moment:?}");
        }
        thread::sleep(moment.delay);
        Ok(())
    }

    /// What the server shows; once it shows anything, it does so for good.
    fn observe(&self) -> Result<State> {
        observe(self.plugin, self.server()?, NAME)
    }

    fn server(&self) -> Result<SocketAddr> {
        Ok(self.serving.as_ref().context("The server runs by now")?.address)
    }

    /// Waits until the server shows `state`: it may be a second behind.
    fn shows(&self, state: &State) -> Result<()> {
        let begin = Instant::now();
        while self.observe()? != *state {
            if begin.elapsed() > Duration::from_secs(5) {
                bail!("Another state is served: {} units", self.observe()?.len());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Lets a sync end, which uses what the dead ones had stored.
    fn complete(&mut self, stock: &Stock, before: &Remains) -> Result<()> {
        let begin = Instant::now();
        let output = self.start(&self.command(stock))?.finish(PATIENCE)?;
        let end = Instant::now();
        ensure!(output.status.success(), "The next sync failed:\n{}", output.stderr);
        let log = self.upstream.take_log();
        before.were_used(stock, &log)?;
        let newest = autopsy::newest_version(&self.pulp, self.plugin, NAME)?.unwrap_or_default();
        let mirrored = Mirrored::parse(&output.stdout)?;
        ensure!(
            newest == self.version + 1 && mirrored.version.is_none_or(|made| made == newest),
            "Version {newest} follows {}: {mirrored:?}",
            self.version
        );
        if self.serving.is_none() {
            self.serving = Some(self.pulp.serve()?);
        }
        self.shows(&stock.state)?;
        (self.version, self.state) = (newest, stock.state.clone());
        if mirrored.version.is_some()
            && let (Some(first), Some(last)) = (log.first(), log.last())
        {
            let fetched = fetched(stock, &log);
            self.pace = Pace {
                lead: first.at - begin,
                tail: end - last.at,
                metadata: log.len() - fetched,
                early: fetched,
            };
        }
        Ok(())
    }

    /// Kills the server while clients ask for what it must fetch first.
    fn kill_server(&mut self, stock: &Stock) -> Result<()> {
        let paths: Vec<_> = stock.artifacts.keys().collect();
        let wanted: Vec<_> = (0..60).map(|_| paths[self.dice.below(paths.len())]).collect();
        let moment = Moment {
            requests: 1 + self.dice.below(30),
            delay: Duration::from_millis(10).mul_f64(self.dice.fraction()),
        };
        self.upstream.take_log();
        let serving = self.serving.take().context("The server runs by now")?;
        let address = serving.address;
        thread::scope(|scope| {
            for wanted in wanted.chunks(10) {
                scope.spawn(move || {
                    for path in wanted {
                        // Whoever is cut off by the kill has no complaint.
                        let _ = client::get(address, &served_path(stock.plugin, NAME, path));
                    }
                });
            }
            self.upstream.wait_for_requests(moment.requests, Duration::from_secs(2));
            thread::sleep(moment.delay);
            serving.kill()
        })?;
        let remains = self.remains().context("The server was killed")?;
        self.serving = Some(self.pulp.serve()?);
        self.shows(&self.state)?;
        self.upstream.take_log();
        autopsy::are_served(stock, self.server()?, NAME, &wanted)?;
        if self.policy == "on_demand" {
            remains.were_used(stock, &self.upstream.take_log())?;
        }
        Ok(())
    }

    /// Kills `publication create`; what is served stays what it was.
    fn kill_publisher(&mut self) -> Result<()> {
        let words = [self.plugin.name(), "publication", "create", "--repository", NAME, "--json"];
        let before = autopsy::publications(&self.pulp, self.plugin, NAME)?;
        let running = self.pulp.start(&words)?;
        let longest = if self.structured { 300 } else { 60 };
        thread::sleep(Duration::from_millis(longest).mul_f64(self.dice.fraction()));
        running.kill()?;
        self.remains().context("The publisher was killed")?;
        let after = autopsy::publications(&self.pulp, self.plugin, NAME)?;
        ensure!(after <= before + 1, "{after} publications after {before}");
        self.shows(&self.state)
    }
}

/// How many of the requests were for artifacts.
fn fetched(stock: &Stock, log: &[Seen]) -> usize {
    log.iter().filter(|seen| stock.artifacts.contains_key(&seen.path)).count()
}
