//! Who is measured, and one measured run of each kind.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::{
    cases::{CASES, Case, LINE_STAGES, LINE_UNITS, What},
    data,
    measure::{self, Sample},
    programs::Programs,
    remains::Remains,
    rest::PulpServer,
    rivals::Rival,
    serving,
    steps::Step,
};
use crate::{
    probe,
    pulp::{Backend, Installation},
    upstream::Upstream,
};

/// Somebody who does a case's work.
pub(super) enum Contender {
    /// A revision of this repository.
    Pulp { name: String, programs: Programs },
    /// An installed program.
    Rival(String),
    /// Pulp itself, running.
    Server(PulpServer),
}

/// What all runs have in common.
pub(super) struct Scene {
    pub(super) upstream: Upstream,
    /// Another server that has the same sets, in place of ours; ends in `/`.
    pub(super) elsewhere: Option<String>,
    /// Where the sets lie.
    pub(super) data: PathBuf,
    pub(super) backend: Backend,
    pub(super) quick: bool,
    pub(super) remains: Remains,
}

impl Contender {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Pulp { name, .. } | Self::Rival(name) => name,
            Self::Server(server) => server.name(),
        }
    }

    /// Whether it can do the case's work.
    pub(super) fn takes_part(&self, case: &Case) -> bool {
        match self {
            Self::Pulp { .. } => true,
            Self::Rival(name) => case.rivals.iter().any(|rival| rival.program == name),
            Self::Server(_) => PulpServer::takes_part(case),
        }
    }

    /// One run from nothing: a new installation, or an empty folder.
    pub(super) fn run(&self, case: &Case, scene: &Scene) -> Result<Sample> {
        let folder = tempfile::tempdir_in(&scene.data)?;
        let words = Words::new(case, scene, folder.path())?;
        let run = match self {
            Self::Pulp { programs, .. } => pulp(programs, case, scene, &words),
            Self::Rival(name) => {
                let rival = case.rivals.iter().find(|rival| rival.program == name);
                rival_run(rival.context("It does not take part")?, case, scene, &words)
            }
            Self::Server(server) => server.run(case, scene, &words),
        };
        scene.remains.take(folder.path())?;
        run.with_context(|| format!("{} as `{}`", case.name, self.name()))
    }
}

fn pulp(programs: &Programs, case: &Case, scene: &Scene, words: &Words) -> Result<Sample> {
    if let What::Line = case.what {
        let mut command = Command::new(&programs.line);
        command.args([LINE_UNITS.to_string(), LINE_STAGES.to_string()]);
        return Ok(measure::run(&mut command)?.0);
    }
    // Where the others write, too: not every place is as fast.
    let pulp = Installation::below(&words.folder, &programs.pulp, scene.backend)?;
    let command = |step: Step| {
        let arguments = words.fill(&step.command(case.set));
        let mut arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        arguments.push("--json");
        pulp.command(&arguments)
    };
    for step in case.before {
        measure::run(&mut command(*step))?;
    }
    let step = match case.what {
        What::Step(step) => step,
        What::Serving(load) => return serving::pulp(&pulp, load, case.set, scene.quick),
        What::Line => unreachable!("it is done above"),
    };
    scene.upstream.take_log();
    let server = database_server(scene.backend);
    let before = server.and_then(measure::cpu_of_family);
    let (mut sample, output) = measure::run(&mut command(step))?;
    if let (Some(before), Some(after)) = (before, server.and_then(measure::cpu_of_family)) {
        sample.server_cpu = Some(after - before);
    }
    sample.requests = match &scene.elsewhere {
        None => Some(scene.upstream.take_log().len() as u64),
        Some(_) => requests_told(&output),
    };
    Ok(sample)
}

/// The requests that a sync says it made.
fn requests_told(output: &str) -> Option<u64> {
    serde_json::from_str::<serde_json::Value>(output.lines().last()?).ok()?["requests"].as_u64()
}

fn rival_run(rival: &Rival, case: &Case, scene: &Scene, words: &Words) -> Result<Sample> {
    if let What::Serving(load) = case.what {
        let data = scene.data.join(case.set.path(scene.quick));
        return serving::nginx(&words.folder, &data, load, case.set, scene.quick);
    }
    let command = |text: &str| {
        let words = words.fill(text);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(&scene.data).env_remove("http_proxy");
        command
    };
    for text in rival.before {
        measure::run(&mut command(text))?;
    }
    scene.upstream.take_log();
    let mut sample = measure::run(&mut command(rival.command))?.0;
    if scene.elsewhere.is_none() {
        sample.requests = Some(scene.upstream.take_log().len() as u64);
    }
    Ok(sample)
}

/// The process whose children serve the database, if it runs here and we may look at it.
pub(super) fn database_server(backend: Backend) -> Option<u32> {
    let Backend::Postgres = backend else { return None };
    let statement = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'";
    let child: u32 = probe::psql(probe::postgres().ok()?, statement).ok()?.trim().parse().ok()?;
    let stat = fs::read_to_string(format!("/proc/{child}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// What stands for the words in braces.
pub(super) struct Words {
    folder: PathBuf,
    pub(super) url: String,
    pub(super) server: String,
    pub(super) set: String,
    suite: &'static str,
}

impl Words {
    pub(super) fn new(case: &Case, scene: &Scene, folder: &Path) -> Result<Self> {
        let server = scene.elsewhere.clone().unwrap_or_else(|| scene.upstream.url(""));
        let path = case.set.path(scene.quick);
        let words = Self {
            folder: folder.to_owned(),
            url: format!("{server}{path}/"),
            server: server.trim_end_matches('/').to_owned(),
            set: path.trim_start_matches("v2/").to_owned(),
            suite: case.set.suite(),
        };
        words.write_lists(case, scene)?;
        Ok(words)
    }

    /// What programs that know no list of ours are to fetch.
    fn write_lists(&self, case: &Case, scene: &Scene) -> Result<()> {
        let (mut urls, mut curl) = (String::new(), String::new());
        if let data::Set::Files { .. } = case.set {
            for number in 0..case.set.units(scene.quick) {
                let (url, path) = (&self.url, data::file_path(number));
                let _ = writeln!(urls, "{url}{path}");
                let out = self.folder.join("out").join(&path);
                let _ = writeln!(curl, "url = \"{url}{path}\"\noutput = \"{}\"", out.display());
            }
        }
        fs::write(self.folder.join("urls"), urls)?;
        fs::write(self.folder.join("curl"), curl)?;
        let aptly = serde_json::json!({ "rootDir": self.folder.join("aptly") });
        fs::write(self.folder.join("aptly.json"), aptly.to_string())?;
        if let data::Set::Archive { suite, bodies, .. } = case.set {
            self.write_reprepro(suite, bodies)?;
        }
        Ok(())
    }

    /// Settings of reprepro: what it has, and where from.
    fn write_reprepro(&self, suite: &str, bodies: bool) -> Result<()> {
        let folder = self.folder.join("reprepro/conf");
        fs::create_dir_all(&folder)?;
        let what = format!("Suite: {suite}\nComponents: main\nArchitectures: amd64\n");
        // Nothing is called so: the index is parsed, and no body asked for.
        let filter = if bodies { "" } else { "FilterFormula: Package (== nothing)\n" };
        let url = self.url.trim_end_matches('/');
        let update =
            format!("Name: bench\nMethod: {url}\n{what}VerifyRelease: blindtrust\n{filter}");
        fs::write(folder.join("updates"), update)?;
        let distribution = format!("Codename: {suite}\n{what}Update: bench\n");
        Ok(fs::write(folder.join("distributions"), distribution)?)
    }

    fn fill(&self, text: &str) -> Vec<String> {
        let folder = self.folder.display().to_string();
        let host = self.server.trim_start_matches("http://");
        text.split_whitespace()
            .map(|word| {
                word.replace("{url}", &self.url)
                    .replace("{server}", &self.server)
                    .replace("{host}", host)
                    .replace("{set}", &self.set)
                    .replace("{suite}", self.suite)
                    .replace("{folder}", &folder)
            })
            .collect()
    }
}

/// The contender that a user named: a running server, an installed program that some case knows, or
/// a revision.
pub(super) fn named(name: &str, folder: &Path, line: bool) -> Result<Contender> {
    if name.starts_with("http://") {
        return Ok(Contender::Server(PulpServer::find(name)?));
    }
    let is_rival = CASES.iter().flat_map(|case| case.rivals).any(|rival| rival.program == name);
    if is_rival {
        if let Err(reason) = probe::program(name) {
            bail!("{reason}");
        }
        return Ok(Contender::Rival(name.to_owned()));
    }
    let programs = super::programs::of_revision(name, folder, line)?;
    Ok(Contender::Pulp { name: name.to_owned(), programs })
}
