//! Failures as the program reports them: an error, advice, an exit code.

use std::process::ExitCode;

use pulp_models::{db::DbError, version::VersionError};
use pulp_stages::{
    installation::InstallationError,
    key_files::KeyFileError,
    options::OptionsError,
    plugin::{CommandError, FailureKind, PluginFailure},
    publish::PublishError,
    sync::SyncError,
    task::TaskError,
};

/// Exit codes, so that scripts can tell what kind of thing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Anything else.
    Failure = 1,
    /// The command line or a file given on it is wrong.
    Usage = 2,
    /// Upstream did not give what it should: unreachable, refused, corrupt.
    Upstream = 3,
    /// What was named does not exist.
    NotFound = 4,
    /// Somebody else is changing the same repository, or the name is taken.
    Conflict = 5,
    /// `apply --check` found differences.
    Different = 6,
    /// Interrupted by a signal.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error on its way to the user.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: anyhow::Error,
    pub(crate) hint: Option<String>,
    pub(crate) exit: Exit,
}

/// What commands return.
pub(crate) type CommandResult<T = ()> = Result<T, Failure>;

impl Failure {
    /// A wrong command line: the message names what is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { error: anyhow::anyhow!(message.into()), hint: None, exit: Exit::Usage }
    }

    /// The user asked for an early end.
    pub(crate) fn interrupted() -> Self {
        Self { error: anyhow::anyhow!("Interrupted"), hint: None, exit: Exit::Interrupted }
    }

    /// Adds advice, unless there is some already.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert_with(|| hint.into());
        self
    }
}

/// What the system or a database says when the machine has run out of something, and what to do.
/// By their words, which the libraries between repeat but do not all keep as errors.
const SHORTAGES: &[(&str, &str)] = &[
    ("No space left on device", ROOM),
    ("database or disk is full", ROOM),
    ("Disk quota exceeded", ROOM),
    ("Read-only file system", WRITABLE),
    ("attempt to write a readonly database", WRITABLE),
    ("Permission denied", "run this as the user to whom the home folder belongs, or use `--home`"),
    ("Too many open files", HANDLES),
    // All that SQLite says of it.
    ("unable to open database file", HANDLES),
    ("connection closed", DATABASE),
    ("error connecting to server", DATABASE),
    ("the database system is", DATABASE),
    ("terminating connection", DATABASE),
];
const HANDLES: &str =
    "if the home folder can be written to, allow more open files, as with `ulimit -n 4096`";
const ROOM: &str = "make room (`pulp orphan cleanup` and `pulp PLUGIN repository reclaim` free some), \
                    then run this again: what is stored already is not fetched again";
const WRITABLE: &str =
    "mount the home folder's file system so that it can be written to, or use `--home`";
const DATABASE: &str =
    "see that the database server is up again, then run this again: nothing is lost";

impl Failure {
    /// The advice that came with the error, or what the system's own words suggest.
    pub(crate) fn advice(&self) -> Option<&str> {
        let told = |words: &&(&str, &str)| {
            self.error.chain().any(|cause| cause.to_string().contains(words.0))
        };
        let shortage = || SHORTAGES.iter().find(told).map(|(_, advice)| *advice);
        self.hint.as_deref().or_else(shortage)
    }

    /// Sets the exit code.
    #[must_use]
    pub(crate) fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { error, hint: None, exit: Exit::Failure }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        anyhow::Error::new(error).into()
    }
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Self {
        let hint = error.hint().map(Into::into);
        Self { hint, exit: exit_of(&error), error: error.into() }
    }
}

/// What a refusal of the database means for whoever asked for it by name.
fn exit_of(error: &DbError) -> Exit {
    match error {
        DbError::NotFound { .. } | DbError::Version(VersionError::NotFound { .. }) => {
            Exit::NotFound
        }
        DbError::AlreadyExists { .. }
        | DbError::InUse { .. }
        | DbError::Version(
            VersionError::PathConflict { .. } | VersionError::DuplicateContent { .. },
        ) => Exit::Conflict,
        _ => Exit::Failure,
    }
}

impl From<SyncError> for Failure {
    fn from(error: SyncError) -> Self {
        let exit = match &error {
            SyncError::Cancelled | SyncError::Task(TaskError::Cancelled) => Exit::Interrupted,
            SyncError::Task(task) if task.is_conflict() => Exit::Conflict,
            SyncError::Options(_) => Exit::Usage,
            other if other.is_upstream() => Exit::Upstream,
            SyncError::Database(error) => exit_of(error),
            SyncError::Plugin(failure) => exit_of_plugin(failure),
            _ => Exit::Failure,
        };
        Self { hint: error.hint(), error: error.into(), exit }
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        let exit = match &error {
            PublishError::Cancelled | PublishError::Task(TaskError::Cancelled) => Exit::Interrupted,
            PublishError::Task(task) if task.is_conflict() => Exit::Conflict,
            PublishError::Options(_) => Exit::Usage,
            PublishError::Database(error) => exit_of(error),
            PublishError::Plugin(failure) => exit_of_plugin(failure),
            _ => Exit::Failure,
        };
        Self { hint: error.hint(), error: error.into(), exit }
    }
}

impl From<OptionsError> for Failure {
    fn from(error: OptionsError) -> Self {
        Self { error: error.into(), hint: None, exit: Exit::Usage }
    }
}

impl From<InstallationError> for Failure {
    fn from(error: InstallationError) -> Self {
        match error {
            InstallationError::Database(error) => error.into(),
            InstallationError::Keys(error) => error.into(),
            other => anyhow::Error::new(other).into(),
        }
    }
}

impl From<KeyFileError> for Failure {
    fn from(error: KeyFileError) -> Self {
        let hint = error.hint().map(Into::into);
        Self { error: error.into(), hint, exit: Exit::Failure }
    }
}

impl From<PluginFailure> for Failure {
    fn from(failure: PluginFailure) -> Self {
        let (hint, exit) = (failure.hint().map(Into::into), exit_of_plugin(&failure));
        Self { hint, error: failure.into(), exit }
    }
}

fn exit_of_plugin(failure: &PluginFailure) -> Exit {
    match failure.kind() {
        FailureKind::NotFound => Exit::NotFound,
        FailureKind::Conflict => Exit::Conflict,
        FailureKind::Interrupted => Exit::Interrupted,
        _ => Exit::Failure,
    }
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        match error {
            // What was added is the caller's own.
            CommandError::Sync(SyncError::Database(error)) | CommandError::Database(error) => {
                error.into()
            }
            CommandError::Sync(error) => error.into(),
            CommandError::Publish(error) => error.into(),
            CommandError::Usage(message) => Self::usage(message),
            CommandError::Plugin(failure) => failure.into(),
            other => anyhow::Error::new(other).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contradicting_paths_are_blamed_on_upstream_unless_they_are_the_users_own() {
        let path = || pulp_models::RelativePath::new("pool/a.deb").expect("a path");
        let conflict = || {
            let error = VersionError::PathConflict { first: path(), second: path() };
            SyncError::Database(error.into())
        };
        assert_eq!(Failure::from(conflict()).exit, Exit::Upstream);
        assert_eq!(Failure::from(CommandError::Sync(conflict())).exit, Exit::Conflict);
    }

    #[test]
    fn a_shortage_brings_advice_and_an_error_of_its_own_keeps_its() {
        let full = std::io::Error::from_raw_os_error(28);
        let failure = Failure::from(anyhow::Error::new(full).context("Failed to write `x`"));
        assert_eq!(failure.advice(), Some(ROOM));
        assert_eq!(failure.hint("other").advice(), Some("other"));
        assert_eq!(Failure::usage("nothing of the kind").advice(), None);
    }
}
