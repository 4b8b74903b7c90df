//! Flags and arguments that several commands share.

use clap::{Arg, ArgAction, ArgMatches, value_parser};
use pulp_models::remote::Policy;

use crate::failure::{CommandResult, Failure};

/// `--name NAME`, required.
pub(super) fn name(help: &'static str) -> Arg {
    Arg::new("name").long("name").required(true).value_name("NAME").help(help)
}

/// A flag without a value.
pub(super) fn switch(id: &'static str, help: &'static str) -> Arg {
    Arg::new(id).long(id).action(ArgAction::SetTrue).help(help)
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
