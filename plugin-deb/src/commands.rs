//! `pulp deb key`: making, importing, listing and exporting signing keys.

use std::path::PathBuf;

use clap::FromArgMatches as _;
use pulp_stages::plugin::{CommandContext, CommandError, Plugin as _, PluginFailure};
use serde_json::{Value, json};

use crate::{
    Deb,
    copy::Copy,
    keys::{KeyStore, KeyStoreError},
    openpgp::{KeyAlgorithm, SigningError, SigningKey},
    options::SigningKeyName,
    upload::Upload,
    upstream::with_causes,
};

/// Keys that sign structured publications
#[derive(Debug, clap::Subcommand)]
enum KeyCommand {
    /// Make a key that signs structured publications
    Create(Create),
    /// Take a key that was made elsewhere, e.g. by gpg; it must have no passphrase
    Import(Import),
    /// List the keys
    List,
    /// Print the public key, for clients' `Signed-By`
    Export(Export),
}

#[derive(Debug, clap::Args)]
struct Create {
    /// Its name
    #[arg(default_value = "default")]
    name: SigningKeyName,
    /// Whose key it is, as `Name <address>`
    #[arg(long, value_name = "NAME", default_value = "Pulp signing key")]
    user_id: String,
    /// Its algorithm
    #[arg(long, value_enum, default_value_t)]
    algorithm: KeyAlgorithm,
}

#[derive(Debug, clap::Args)]
struct Import {
    /// Its name
    name: SigningKeyName,
    /// The file with the secret key
    file: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Export {
    /// Its name
    #[arg(default_value = "default")]
    name: SigningKeyName,
}

/// The subcommands of `pulp deb`.
pub(crate) fn all() -> Vec<clap::Command> {
    use clap::Subcommand as _;
    let key = clap::Command::new("key")
        .about("Keys that sign structured publications")
        .subcommand_required(true)
        .arg_required_else_help(true);
    vec![KeyCommand::augment_subcommands(key), Upload::command(), Copy::command()]
}

/// Runs a subcommand of [`all`] on the installation's keys.
pub(crate) async fn run(
    context: &CommandContext,
    name: &str,
    matches: &clap::ArgMatches,
    now: i64,
) -> Result<Value, CommandError> {
    if name != "key" {
        return Err(PluginFailure::new(format!("Unknown command `{name}`")).into());
    }
    let command = KeyCommand::from_arg_matches(matches)
        .map_err(|error| PluginFailure::new(error.to_string()))?;
    let keys = context.installation.keys(Deb::NAME);
    let store = KeyStore::new(keys).until(context.cancel.clone());
    context.blocking(move || run_key(&store, command, now)).await?
}

fn run_key(store: &KeyStore, command: KeyCommand, now: i64) -> Result<Value, CommandError> {
    match command {
        KeyCommand::Create(Create { name, user_id, algorithm }) => {
            check_name(&name)?;
            let key = store.create(&name, &user_id, algorithm, now)?;
            describe(&name, &key)
        }
        KeyCommand::Import(Import { name, file }) => {
            check_name(&name)?;
            let bytes = std::fs::read(&file).map_err(|error| {
                CommandError::Usage(format!("Failed to read `{}`: {error}", file.display()))
            })?;
            let key = store.import(&name, &bytes, now)?;
            describe(&name, &key)
        }
        KeyCommand::List => {
            let names = store.names()?;
            let keys = names.iter().map(|name| {
                let key = store.load(name)?;
                Ok(json!({ "name": name, "fingerprint": key.fingerprint() }))
            });
            keys.collect::<Result<Vec<_>, CommandError>>().map(Value::Array)
        }
        KeyCommand::Export(Export { name }) => {
            let key = store.load(&name)?;
            describe(&name, &key)
        }
    }
}

/// A key of this name could never be chosen.
fn check_name(name: &SigningKeyName) -> Result<(), CommandError> {
    if name.as_str() == SigningKeyName::NONE {
        return Err(CommandError::Usage(format!(
            "`{name}` stands for no key: choose another name"
        )));
    }
    Ok(())
}

fn describe(name: &SigningKeyName, key: &SigningKey) -> Result<Value, CommandError> {
    let public = key.public_armored().map_err(|error: SigningError| {
        PluginFailure::new("Failed to export the public key").caused_by(error)
    })?;
    Ok(json!({ "name": name, "fingerprint": key.fingerprint(), "public_key": public }))
}

impl From<KeyStoreError> for CommandError {
    fn from(error: KeyStoreError) -> Self {
        let failure = PluginFailure::new(with_causes(&error)).of_kind(error.kind());
        match error.hint() {
            Some(hint) => failure.with_hint(hint).into(),
            None => failure.into(),
        }
    }
}
