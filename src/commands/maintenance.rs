//! `pulp orphan cleanup`, `pulp check`: keeping an installation tidy and sound.

use std::{sync::Arc, time::Duration};

use clap::{Arg, ArgMatches, Command, value_parser};
use pulp_models::{
    Timestamp,
    check::{self, Depth, Finding},
    orphan::{self, CleanUp, PROTECTION},
    repair::Scope,
};
use pulp_stages::{installation::Installation, progress::Reporter, repair};
use serde::Serialize;

use super::{flags, subcommand};
use crate::{
    application::Session,
    bars::Bars,
    failure::{CommandResult, Failure},
    printer::bytes,
};

/// How long a clean-up waits for syncs to let go of the store, for each of its slices.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);
/// Dangling references of one kind that are told.
const TOLD: u32 = 100;

pub(super) fn describe() -> [Command; 2] {
    let minutes = Arg::new("protection-time")
        .long("protection-time")
        .value_name("MINUTES")
        .value_parser(value_parser!(u64))
        .help("Leave alone what is younger [default: 1440, a day]");
    [
        Command::new("orphan")
            .about("Content and files that no repository version has")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(Command::new("cleanup").about("Delete them").arg(minutes)),
        Command::new("check")
            .about("Compare the database with the store, byte for byte")
            .arg(flags::switch("quick", "Compare sizes only"))
            .arg(flags::switch("repair", "Fetch again what is missing or corrupt")),
    ]
}

#[derive(Serialize)]
struct Cleaned {
    content: u64,
    artifacts: u64,
    bytes: u64,
}

pub(super) async fn run_orphan(session: &Session, matches: &ArgMatches) -> CommandResult {
    let (_, matches) = subcommand(matches)?;
    let installation = session.installation().await?;
    let protection = match matches.get_one::<u64>("protection-time") {
        Some(minutes) => Duration::from_secs(minutes.saturating_mul(60)),
        None => PROTECTION,
    };
    let micros = i64::try_from(protection.as_micros()).unwrap_or(i64::MAX);
    let what = CleanUp {
        created_before: Timestamp(Timestamp::now().0.saturating_sub(micros)),
        patience: PATIENCE,
    };
    let work = orphan::clean_up(&installation.db, &installation.store, &what, |_| {});
    let cleaned = tokio::select! {
        cleaned = work => cleaned.map_err(anyhow::Error::new)?,
        // Slices that were committed stay deleted; nothing is half deleted.
        () = session.interrupt.cancelled() => return Err(Failure::interrupted()),
    };
    let cleaned =
        Cleaned { content: cleaned.content, artifacts: cleaned.artifacts, bytes: cleaned.bytes };
    session.printer.result(&cleaned, |cleaned| {
        format!(
            "Deleted {} units of content and {} artifacts ({})",
            cleaned.content,
            cleaned.artifacts,
            bytes(cleaned.bytes)
        )
    })?;
    Ok(())
}

#[derive(Serialize)]
struct Checked {
    artifacts: u64,
    bytes: u64,
    findings: Vec<String>,
    repaired: u64,
}

pub(super) async fn run_check(session: &Session, matches: &ArgMatches) -> CommandResult {
    let installation = session.installation().await?;
    let depth = if matches.get_flag("quick") { Depth::Sizes } else { Depth::Digests };
    let mut findings = Vec::new();
    let work = check::check(&installation.db, &installation.store, depth, TOLD, |finding| {
        findings.push(finding);
    });
    let looked_at = tokio::select! {
        checked = work => checked.map_err(anyhow::Error::new)?,
        () = session.interrupt.cancelled() => return Err(Failure::interrupted()),
    };
    let mut repaired = 0;
    if matches.get_flag("repair") && !findings.is_empty() {
        repaired = repair(session, &installation, depth, &findings).await?;
    }
    let left = findings.len() as u64 - repaired.min(findings.len() as u64);
    let checked = Checked {
        artifacts: looked_at.artifacts,
        bytes: looked_at.bytes,
        findings: findings.iter().map(ToString::to_string).collect(),
        repaired,
    };
    session.printer.result(&checked, |checked| {
        let mut lines = checked.findings.clone();
        lines.push(format!(
            "{} artifacts ({}): {} findings, {} repaired",
            checked.artifacts,
            bytes(checked.bytes),
            checked.findings.len(),
            checked.repaired
        ));
        lines.join("\n")
    })?;
    if left == 0 {
        return Ok(());
    }
    Err(Failure::from(anyhow::anyhow!("{left} findings are left"))
        .hint("`pulp check --repair` fetches missing and corrupt files again"))
}

/// Fetches what can be fetched and removes files that belong to nothing; says how many findings
/// that settles.
async fn repair(
    session: &Session,
    installation: &Installation,
    depth: Depth,
    findings: &[Finding],
) -> CommandResult<u64> {
    let unknown: Vec<_> = findings
        .iter()
        .filter_map(|finding| match finding {
            Finding::Unknown { sha256, .. } => Some(*sha256),
            _ => None,
        })
        .collect();
    let removed = check::remove_unknown(&installation.db, &installation.store, &unknown, PATIENCE)
        .await
        .map_err(anyhow::Error::new)?;
    let reporter: Arc<dyn Reporter> = Arc::new(Bars::new(session.printer));
    let fetched = repair::repair(
        installation,
        &session.plugins,
        Scope::Everything,
        depth == Depth::Digests,
        &*reporter,
        &session.interrupt,
    )
    .await
    .map_err(anyhow::Error::new)?;
    Ok(removed as u64 + fetched.repaired)
}
