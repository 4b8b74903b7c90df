//! `cargo xtask new-plugin NAME`: a crate for a repository type, complete and registered.
//!
//! What is written lies in `xtask/template`: a working plugin with a format of its own, and its
//! tests. Everything is checked and prepared before the first change, so a refusal leaves nothing.

pub(crate) mod trial;

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail, ensure};

use crate::run;

/// The crate's files: path, and text with the name's placeholders.
const FILES: [(&str, &str); 4] = [
    ("Cargo.toml", include_str!("../template/Cargo.toml.in")),
    ("src/lib.rs", include_str!("../template/lib.rs")),
    ("src/list.rs", include_str!("../template/list.rs")),
    ("tests/conformance.rs", include_str!("../template/conformance.rs")),
];

/// What the program's own commands are called.
const COMMANDS: &[&str] = &[
    "mirror",
    "apply",
    "sync",
    "serve",
    "task",
    "orphan",
    "check",
    "backup",
    "secret",
    "status",
    "settings",
    "completion",
    "help",
    "plugin",
    "pulp",
];
/// Words of Rust, those that it keeps for later included.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];
/// Longest name in bytes.
const LONGEST: usize = 30;

/// The name of a repository type.
pub(crate) struct Name(String);

impl Name {
    /// Reads a name, or says what one may be.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let fits = text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && !text.ends_with('-')
            && !text.contains("--");
        ensure!(
            fits,
            "`{text}` is no name: lower-case letters, digits and single dashes, a letter first"
        );
        ensure!(text.len() <= LONGEST, "`{text}` is longer than {LONGEST} characters");
        ensure!(!text.starts_with("plugin-"), "`{text}`: leave out `plugin-`, it is added");
        ensure!(
            !COMMANDS.contains(&text),
            "`{text}` is a word of the program's command line already"
        );
        ensure!(!KEYWORDS.contains(&text), "`{text}` is a word of Rust");
        let name = Self(text.to_owned());
        let hidden = name.type_name();
        let mut words = FILES.iter().flat_map(|(_, text)| text.split(|c| !is_of_name(c)));
        ensure!(
            !words.any(|word| word == hidden),
            "`{text}` is no good name: the crate needs another `{hidden}`"
        );
        Ok(name)
    }

    fn package(&self) -> String {
        format!("plugin-{}", self.0)
    }

    fn identifier(&self) -> String {
        self.0.replace('-', "_")
    }

    /// As a type is named: `rpm-md` is `RpmMd`.
    fn type_name(&self) -> String {
        let capital = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
        self.0.split('-').map(capital).collect()
    }

    fn fill(&self, template: &str) -> String {
        template
            .replace("__name__", &self.0)
            .replace("__ident__", &self.identifier())
            .replace("__Name__", &self.type_name())
    }
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// As [`write`], and with the lines broken as the house has them, however long the name is.
pub(crate) fn create(root: &Path, name: &Name) -> Result<()> {
    write(root, name)?;
    run::shown(run::cargo(["fmt", "--package", &name.package()]).current_dir(root))
        .context("The plugin is there, but was not formatted")
}

/// Writes the crate into the workspace at `root` and registers it there.
fn write(root: &Path, name: &Name) -> Result<()> {
    let folder = root.join(name.package());
    let package = name.package();
    ensure!(!folder.exists(), "`{package}/` exists already: take another name, or remove it");
    let (manifest, main) = (root.join("Cargo.toml"), root.join("src/main.rs"));
    let read = |path: &Path| {
        fs::read_to_string(path).with_context(|| format!("Failed to read `{}`", path.display()))
    };
    let (old_manifest, old_main) = (read(&manifest)?, read(&main)?);
    let (new_manifest, new_main) = (registered(&old_manifest, name)?, composed(&old_main, name)?);

    let staged = tempfile::Builder::new().prefix(".new-plugin-").tempdir_in(root)?;
    for (path, text) in FILES {
        let path = staged.path().join(path);
        fs::create_dir_all(path.parent().context("A file without folder")?)?;
        fs::write(&path, name.fill(text))?;
    }
    fs::rename(staged.path(), &folder)
        .with_context(|| format!("Failed to make `{}`", folder.display()))?;
    // It has another name now, and nothing is left to remove.
    let _ = staged.keep();
    let registering = replace(&main, &new_main).and_then(|()| replace(&manifest, &new_manifest));
    if let Err(error) = registering {
        let undone = fs::remove_dir_all(&folder).map_err(anyhow::Error::new);
        undone.and_then(|()| replace(&main, &old_main)).context("Failed to undo the beginning")?;
        return Err(error);
    }
    Ok(())
}

/// Puts `text` in the place of a file, whole or not at all.
fn replace(path: &Path, text: &str) -> Result<()> {
    let beside = path.with_extension("new");
    fs::write(&beside, text)
        .and_then(|()| fs::rename(&beside, path))
        .with_context(|| format!("Failed to write `{}`", path.display()))
}

/// The workspace's manifest with the new crate as member and dependency.
fn registered(manifest: &str, name: &Name) -> Result<String> {
    let package = name.package();
    let member = "\"xtask\"]";
    ensure!(
        manifest.matches(member).count() == 1,
        "`Cargo.toml` does not end its members so: {member}"
    );
    let manifest = manifest.replacen(member, &format!("\"{package}\", {member}"), 1);
    let manifest = after_last(&manifest, "plugin-", " = { path = ", |_| {
        format!("{package} = {{ path = \"{package}\" }}")
    })?;
    after_last(&manifest, "plugin-", ".workspace = true", |_| format!("{package}.workspace = true"))
}

/// The program with the new plugin.
fn composed(main: &str, name: &Name) -> Result<String> {
    let plugin = format!(".plugin(plugin_{}::{})", name.identifier(), name.type_name());
    after_last(main, "        .plugin(", "", |last| {
        let indent = &last[..last.len() - last.trim_start().len()];
        format!("{indent}{plugin}")
    })
}

/// `text` with a line after the last one that begins and goes on so.
fn after_last(
    text: &str,
    begin: &str,
    within: &str,
    line: impl FnOnce(&str) -> String,
) -> Result<String> {
    let mut lines: Vec<&str> = text.lines().collect();
    let Some(at) = lines.iter().rposition(|line| line.starts_with(begin) && line.contains(within))
    else {
        bail!("No line begins with `{begin}` to register the plugin after");
    };
    let new = line(lines[at]);
    lines.insert(at + 1, &new);
    Ok(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "members = [\"plugin-file\", \"xtask\"]\n\
                            plugin-file = { path = \"plugin-file\" }\n\n[dependencies]\n\
                            plugin-file.workspace = true\ntokio.workspace = true\n";
    const MAIN: &str =
        "fn main() {\n    App::new()\n        .plugin(plugin_file::File)\n        .run()\n}\n";

    fn workspace() -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir(root.path().join("src")).expect("a folder");
        fs::write(root.path().join("Cargo.toml"), MANIFEST).expect("written");
        fs::write(root.path().join("src/main.rs"), MAIN).expect("written");
        root
    }

    fn read(root: &tempfile::TempDir, path: &str) -> String {
        fs::read_to_string(root.path().join(path)).expect("it is there")
    }

    #[test]
    fn a_plugin_is_written_and_registered() {
        let root = workspace();
        write(root.path(), &Name::parse("rpm-md").expect("a name")).expect("written");
        let manifest = read(&root, "Cargo.toml");
        assert!(manifest.contains("[\"plugin-file\", \"plugin-rpm-md\", \"xtask\"]"), "{manifest}");
        assert!(
            manifest.contains("\nplugin-rpm-md = { path = \"plugin-rpm-md\" }\n"),
            "{manifest}"
        );
        assert!(manifest.contains("\nplugin-rpm-md.workspace = true\ntokio"), "{manifest}");
        assert!(read(&root, "src/main.rs").contains("        .plugin(plugin_rpm_md::RpmMd)\n"));
        for (path, _) in FILES {
            let text = read(&root, &format!("plugin-rpm-md/{path}"));
            assert!(!text.contains("__"), "`{path}` has a placeholder left");
        }
    }

    #[test]
    fn a_name_that_cannot_be_is_refused_with_the_reason() {
        let long = "x".repeat(31);
        for (name, reason) in [
            ("", "a letter first"),
            ("Rpm", "lower-case letters"),
            ("rPm", "lower-case letters"),
            ("1x", "a letter first"),
            ("-x", "a letter first"),
            ("a_b", "single dashes"),
            ("a--b", "single dashes"),
            ("a-", "single dashes"),
            ("a/b", "single dashes"),
            ("ä", "lower-case letters"),
            ("a b", "single dashes"),
            ("..", "a letter first"),
            (&long, "longer than 30 characters"),
            ("plugin-x", "leave out `plugin-`"),
            ("sync", "the program's command line"),
            ("match", "a word of Rust"),
            ("self", "a word of Rust"),
            ("bytes", "another `Bytes`"),
            ("option", "another `Option`"),
            ("list", "another `List`"),
        ] {
            let error = Name::parse(name).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.starts_with(&format!("`{name}`")), "{name}: {error}");
            assert!(error.contains(reason), "{name}: {error}");
        }
        for name in ["rpm", "rpm-md", "x", "a1", "lists"] {
            assert!(Name::parse(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_refusal_changes_nothing() {
        let root = workspace();
        fs::create_dir(root.path().join("plugin-file")).expect("a folder");
        let taken = write(root.path(), &Name::parse("file").expect("a name"));
        assert!(taken.expect_err("it exists").to_string().contains("`plugin-file/`"));
        fs::write(root.path().join("src/main.rs"), "fn main() {}\n").expect("written");
        write(root.path(), &Name::parse("new").expect("a name")).expect_err("nowhere to register");
        assert_eq!(read(&root, "Cargo.toml"), MANIFEST);
        let mut left: Vec<_> = fs::read_dir(root.path())
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["Cargo.toml", "plugin-file", "src"]);
    }
}
