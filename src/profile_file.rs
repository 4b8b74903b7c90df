//! `--profile FILE`: where the profile of a run is written to, and in which form.

use std::{path::PathBuf, str::FromStr};

use anyhow::Context as _;
use pulp_stages::Profile;

use crate::profile_drawing;

/// A file for a profile, checked before a run that may be long.
#[derive(Debug, Clone)]
pub(crate) struct ProfileFile {
    path: PathBuf,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    Drawing,
    Json,
}

impl ProfileFile {
    /// Writes `profile`; a drawing bears `title`.
    pub(crate) fn write(&self, profile: &Profile, title: &str) -> anyhow::Result<()> {
        let text = match self.form {
            Form::Drawing => profile_drawing::svg(profile, title),
            Form::Json => serde_json::to_string_pretty(profile)? + "\n",
        };
        std::fs::write(&self.path, text)
            .with_context(|| format!("Failed to write `{}`", self.path.display()))
    }

    /// For messages.
    pub(crate) fn shown(&self) -> impl std::fmt::Display {
        self.path.display()
    }
}

impl FromStr for ProfileFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = PathBuf::from(text);
        let form = match path.extension().and_then(|extension| extension.to_str()) {
            Some("svg") => Form::Drawing,
            Some("json") => Form::Json,
            _ => return Err("the file's name must end in `.svg` or `.json`".to_owned()),
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        match folder {
            Some(folder) if !folder.is_dir() => {
                Err(format!("there is no folder `{}`", folder.display()))
            }
            _ => Ok(Self { path, form }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides_the_form_and_is_checked_before_the_run() {
        let folder = tempfile::tempdir().expect("a folder");
        let parse = |name: &str| folder.path().join(name).display().to_string().parse();
        for (name, beginning) in [("a.svg", "<svg "), ("a.json", "{\n  \"elapsed_ms\": 0.0")] {
            let file: ProfileFile = parse(name).expect("a file");
            file.write(&Profile::default(), "nothing").expect("written");
            let text = std::fs::read_to_string(folder.path().join(name)).expect("it is there");
            assert!(text.starts_with(beginning), "{text}");
        }
        for (name, reason) in [("a.png", "`.svg` or `.json`"), ("b/a.svg", "no folder")] {
            let error = parse(name).expect_err("it is refused");
            assert!(error.contains(reason), "{error}");
        }
    }
}
