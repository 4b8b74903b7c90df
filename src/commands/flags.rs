//! Flags and arguments that several commands share.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use pulp_models::remote::Policy;
use pulp_stages::{
    options::UNSET,
    plugin::{AnyPlugin, OptionKind},
};

use crate::failure::{CommandResult, Failure};

/// `--name NAME`, required.
pub(super) fn name(help: &'static str) -> Arg {
    Arg::new("name").long("name").required(true).value_name("NAME").help(help)
}

/// A flag without a value.
pub(super) fn switch(id: &'static str, help: &'static str) -> Arg {
    Arg::new(id).long(id).action(ArgAction::SetTrue).help(help)
}

/// `--unset FLAG` for the flags that a plugin added to a command.
pub(super) fn unset(plugin: &dyn AnyPlugin, kinds: &[OptionKind]) -> Arg {
    let add = |command, kind: &OptionKind| plugin.augment(*kind, command);
    let command = kinds.iter().fold(Command::new(""), add);
    let flags = command.get_arguments().filter_map(Arg::get_long);
    let flags: Vec<String> = flags.map(ToOwned::to_owned).collect();
    let parse = move |text: &str| {
        let known = flags.iter().find(|flag| *flag == text).cloned();
        known.ok_or_else(|| format!("the flags that can be named are: {}", flags.join(", ")))
    };
    Arg::new(UNSET)
        .long(UNSET)
        .value_name("FLAG")
        .action(ArgAction::Append)
        .value_parser(parse)
        .help("Give an option of this repository type its default back, named by its flag")
}

/// A text argument that clap has made sure of.
pub(super) fn text<'a>(matches: &'a ArgMatches, id: &str) -> CommandResult<&'a str> {
    matches
        .try_get_one::<String>(id)
        .ok()
        .flatten()
        .map(String::as_str)
        .ok_or_else(|| Failure::usage(format!("`--{id}` is missing")))
}

/// Takes a name for what will also be a path in URLs: `/` separates segments.
pub(super) fn parse_name(text: &str) -> Result<String, String> {
    let fine = |segment: &str| {
        !segment.is_empty()
            && !matches!(segment, "." | "..")
            && segment.chars().all(|c| c.is_alphanumeric() || "._-+~@:".contains(c))
    };
    if text.len() <= 255 && text.split('/').all(fine) {
        Ok(text.to_owned())
    } else {
        Err("a name is made of letters, digits and `._-+~@:`, in segments separated by `/`".into())
    }
}

/// `--policy`, if it was given.
pub(super) fn policy(matches: &ArgMatches) -> CommandResult<Option<Policy>> {
    matches
        .get_one::<String>("policy")
        .map(|text| text.parse::<Policy>())
        .transpose()
        .map_err(|error| Failure::usage(error.to_string()))
}

/// `--NAME` or `--NAME true|false`.
pub(super) fn boolean(id: &'static str, help: &'static str) -> Arg {
    Arg::new(id)
        .long(id)
        .value_name("BOOL")
        .num_args(0..=1)
        .default_missing_value("true")
        .value_parser(value_parser!(bool))
        .help(help)
}
