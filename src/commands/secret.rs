//! `pulp secret`: the keys that encrypt passwords and private keys at rest.

use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _, path::PathBuf};

use clap::{Arg, ArgMatches, Command, value_parser};
use pulp_models::{Keyring, remote};
use pulp_stages::key_files::KeyFiles;
use serde::Serialize;

use super::subcommand;
use crate::{
    application::Session,
    failure::{CommandResult, Exit, Failure},
};

pub(super) fn describe() -> Command {
    let file = Arg::new("file")
        .required(true)
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("Made readable by you alone; one that is there is left alone");
    Command::new("secret")
        .about("Encrypt passwords and private keys at rest")
        .long_about(
            "Encrypt passwords and private keys at rest.\n\n\
             With a key file (`--secret-key-file`, `PULP_SECRET_KEY_FILE`, or `secret_key_file` in the \
             settings file) passwords that reach the database and private keys that reach files in \
             HOME/keys are encrypted. To change the key, make a new one, \
             put its line above the old one's in the key file, run `pulp secret rotate`, and take the \
             old line away. Servers that run read the file when they start. Keep the file apart from backups, and keep it: nothing decrypts without it.",
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(Command::new("create-key").about("Make a key file").arg(file))
        .subcommand(
            Command::new("rotate").about("Encrypt everything again, with the key file's first key"),
        )
}

#[derive(Serialize)]
struct Rotated {
    remotes: usize,
    key_files: usize,
}

pub(super) async fn run(session: &Session, matches: &ArgMatches) -> CommandResult {
    let (name, matches) = subcommand(matches)?;
    if name == "create-key" {
        return create_key(session, matches);
    }
    if session.settings.secret_key_file.is_none() {
        return Err(Failure::usage("No key file is set").hint(
            "name it with `--secret-key-file`, `PULP_SECRET_KEY_FILE` or `secret_key_file`; \
             `pulp secret create-key FILE` makes one",
        ));
    }
    let installation = session.installation().await?;
    let remotes = installation.db.write(remote::reseal).await?;
    // What stood there before would otherwise stay in the file for a while.
    installation.db.compact().await?;
    let key_files = KeyFiles::reseal(installation.home(), installation.db.keyring())?;
    let rotated = Rotated { remotes, key_files };
    session.printer.result(&rotated, |Rotated { remotes, key_files }| {
        format!("Encrypted the settings of {remotes} remotes and {key_files} key files")
    })?;
    Ok(())
}

fn create_key(session: &Session, matches: &ArgMatches) -> CommandResult {
    let path =
        matches.get_one::<PathBuf>("file").ok_or_else(|| Failure::usage("A file is missing"))?;
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| {
        writeln!(file, "{}", Keyring::new_key())?;
        file.sync_all()
    });
    if let Err(error) = written {
        let exit = match error.kind() {
            std::io::ErrorKind::AlreadyExists => Exit::Conflict,
            _ => Exit::Failure,
        };
        let context = format!("Failed to make key file `{}`", path.display());
        return Err(Failure::from(anyhow::Error::new(error).context(context)).exit(exit));
    }
    session.printer.note(format!(
        "Made `{}`; name it with `PULP_SECRET_KEY_FILE`, then run `pulp secret rotate`",
        path.display()
    ));
    Ok(())
}
