//! `pulp backup`: a copy of the whole installation, while others work.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Arg, ArgMatches, Command, value_parser};
use pulp_models::backup::{self, BackedUp};

use super::flags;
use crate::{
    application::Session,
    failure::{CommandResult, Failure},
    printer::bytes,
};

/// What belongs to an installation besides database and artifacts.
const FILES: [&str; 2] = ["keys", "settings.yaml"];

pub(super) fn describe() -> Command {
    Command::new("backup")
        .about("Copy database, artifacts and keys into a folder, while others work")
        .long_about(
            "Copy database, artifacts and keys into a folder, while others work.\n\n\
             The folder is an installation of its own afterwards: `pulp --home FOLDER check` checks \
             it, and a restore is a copy of it (`cp -a FOLDER HOME`) or a changed PULP_HOME. A further \
             backup into the same folder copies what is new. A key file outside of the home \
             (`--secret-key-file`) is not copied: keep it elsewhere.",
        )
        .arg(
            Arg::new("folder")
                .required(true)
                .value_name("FOLDER")
                .value_parser(value_parser!(PathBuf))
                .help("New, empty, or an earlier backup"),
        )
        .arg(flags::switch(
            "without-database",
            "Only artifacts and keys, of an installation on PostgreSQL: dump the database with \
             `pg_dump` before, and clean no orphans between the two",
        ))
}

pub(super) async fn run(session: &Session, matches: &ArgMatches) -> CommandResult {
    let folder = matches
        .get_one::<PathBuf>("folder")
        .ok_or_else(|| Failure::usage("A folder is missing"))?;
    let installation = session.installation().await?;
    let embedded = installation.db.url().sqlite_path().is_some();
    if embedded == matches.get_flag("without-database") {
        return Err(if embedded {
            Failure::usage("The embedded database is always part of a backup")
        } else {
            Failure::usage("A PostgreSQL database cannot be copied by `pulp backup`")
                .hint("dump it with `pg_dump`, then give `--without-database`")
        });
    }
    let printer = session.printer;
    let lost = |sha256| printer.warning(format!("Artifact `{sha256}` is missing or corrupt"));
    let work = backup::back_up(&installation.db, &installation.store, folder, lost);
    let done = tokio::select! {
        done = work => done.map_err(anyhow::Error::new)?,
        () = session.interrupt.cancelled() => return Err(Failure::interrupted()),
    };
    for name in FILES {
        let (from, to) = (installation.home().join(name), folder.join(name));
        copy(&from, &to).with_context(|| format!("Failed to copy `{}`", from.display()))?;
    }
    printer.result(&done, describe_result)?;
    if done.lost == 0 {
        return Ok(());
    }
    Err(Failure::from(anyhow::anyhow!("{} artifacts are not in the backup", done.lost))
        .hint("`pulp check --repair` fetches missing and corrupt files again; then back up again"))
}

fn describe_result(done: &BackedUp) -> String {
    format!(
        "{}{} artifacts ({}): {} copied, {} removed",
        if done.database { "database, " } else { "" },
        done.artifacts,
        bytes(done.bytes),
        done.copied,
        done.removed
    )
}

/// Copies a file or folder, if it is there, with its permissions; never a link.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if metadata.is_dir() {
        fs::create_dir_all(to)?;
        fs::set_permissions(to, fs::Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
    } else if metadata.is_file() {
        // Whole or not at all, and never readable by more than the original.
        let mut partial = to.as_os_str().to_owned();
        partial.push(".partial");
        fs::copy(from, &partial)?;
        fs::File::open(&partial)?.sync_all()?;
        fs::rename(&partial, to)?;
    }
    Ok(())
}
