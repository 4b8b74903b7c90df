//! Options that a plugin adds to remotes, repositories and publications.
//!
//! One serde struct with clap's `Args` gives the command-line flags, the YAML keys, the stored
//! JSON and their validation. A struct must accept an empty document (`#[serde(default)]`) and
//! name its clap arguments as its fields (clap's default), so that an update can touch only the
//! flags that were given.

use clap::{builder::Resettable, parser::ValueSource};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// What an options struct must be able to do; implemented for everything that can.
pub trait Options:
    clap::Args + Serialize + DeserializeOwned + Default + Clone + Send + Sync + 'static
{
}

impl<T> Options for T where
    T: clap::Args + Serialize + DeserializeOwned + Default + Clone + Send + Sync + 'static
{
}

/// For plugins that have no options of a kind.
#[derive(Debug, Clone, Default, clap::Args, Serialize, serde::Deserialize)]
// One command takes the options of several kinds, and clap wants no two groups of one name.
#[group(skip)]
#[serde(deny_unknown_fields)]
pub struct NoOptions {}

/// Options that cannot be accepted.
#[derive(Debug, thiserror::Error)]
#[error("Invalid options: {0}")]
pub struct OptionsError(String);

impl OptionsError {
    /// An error with a message of its own.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// Adds the flags of `T` to `command`, which keeps its own description: clap alone would put the
/// documentation of the struct in its place.
pub fn add_flags<T: clap::Args>(command: clap::Command) -> clap::Command {
    let about = Resettable::from(command.get_about().cloned());
    let long_about = Resettable::from(command.get_long_about().cloned());
    T::augment_args(command).about(about).long_about(long_about)
}

/// Reads stored or hand-written options; missing keys take their defaults, unknown ones are
/// refused if `T` says so.
pub fn parse<T: Options>(value: &Value) -> Result<T, OptionsError> {
    let value = if value.is_null() { Value::Object(Map::new()) } else { value.clone() };
    serde_json::from_value(value).map_err(|error| OptionsError(error.to_string()))
}

/// Argument of commands that change options: names of flags whose options get their defaults back.
pub const UNSET: &str = "unset";

/// Lays the flags that were really given over `current`, less what [`UNSET`] names, and validates the
/// result.
pub fn overlay<T: Options>(
    matches: &clap::ArgMatches,
    current: &Value,
) -> Result<Value, OptionsError> {
    let given = T::from_arg_matches(matches).map_err(|error| OptionsError(error.to_string()))?;
    let mut merged = match current {
        Value::Object(map) => map.clone(),
        _ => Map::new(),
    };
    let unset = matches.try_get_many::<String>(UNSET).ok().flatten().into_iter().flatten();
    let flags = T::augment_args(clap::Command::new(""));
    for flag in unset {
        let named = flags.get_arguments().find(|argument| argument.get_long() == Some(flag));
        merged.retain(|name, _| named.is_none_or(|argument| argument.get_id() != name.as_str()));
    }
    if let Value::Object(given) = to_value(&given)? {
        for (name, value) in given {
            if was_given(matches, &name) {
                merged.insert(name, value);
            }
        }
    }
    to_value(&parse::<T>(&Value::Object(merged))?)
}

fn was_given(matches: &clap::ArgMatches, name: &str) -> bool {
    matches!(matches.try_contains_id(name), Ok(true))
        && matches!(
            matches.value_source(name),
            Some(ValueSource::CommandLine | ValueSource::EnvVariable)
        )
}

fn to_value<T: Serialize>(options: &T) -> Result<Value, OptionsError> {
    serde_json::to_value(options).map_err(|error| OptionsError(error.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Documentation of the struct.
    #[derive(Debug, Clone, Default, clap::Args, Serialize, serde::Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Example {
        #[arg(long, default_value_t = 3)]
        depth: u32,
        #[arg(long = "component")]
        components: Vec<String>,
        #[arg(long)]
        deep: bool,
    }

    fn update(args: &[&str], current: &Value) -> Result<Value, OptionsError> {
        let unset = clap::Arg::new(UNSET).long(UNSET).action(clap::ArgAction::Append);
        let command = clap::Command::new("x").no_binary_name(true).arg(unset);
        let command = add_flags::<Example>(command);
        overlay::<Example>(&command.get_matches_from(args), current)
    }

    #[test]
    fn a_command_keeps_its_own_description() {
        let command = add_flags::<Example>(clap::Command::new("x").about("Does it"));
        assert_eq!(command.get_about().map(ToString::to_string).as_deref(), Some("Does it"));
        assert!(add_flags::<Example>(clap::Command::new("x")).get_about().is_none());
    }

    #[test]
    fn a_command_may_take_no_options_of_several_kinds() {
        let remote = add_flags::<NoOptions>(clap::Command::new("x"));
        add_flags::<NoOptions>(remote).debug_assert();
    }

    #[test]
    fn an_update_touches_only_the_flags_that_were_given() {
        let current = json!({"depth": 7, "components": ["main"], "deep": true});
        assert_eq!(update(&[], &current).expect("valid"), current);
        assert_eq!(
            update(&["--component", "a", "--component", "b"], &current).expect("valid"),
            json!({"depth": 7, "components": ["a", "b"], "deep": true})
        );
    }

    #[test]
    fn options_get_their_defaults_back_by_the_names_of_their_flags() {
        let current = json!({"depth": 7, "components": ["main"], "deep": true});
        assert_eq!(
            update(&["--unset", "component", "--unset", "deep", "--depth", "2"], &current)
                .expect("valid"),
            json!({"depth": 2, "components": [], "deep": false})
        );
    }

    #[test]
    fn unknown_keys_are_refused_by_name() {
        let error = update(&[], &json!({"depht": 1})).expect_err("a typo");
        assert!(error.to_string().contains("depht"), "{error}");
    }
}
