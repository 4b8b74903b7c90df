//! `cargo xtask tidy`: the rules of the house that no compiler checks.
//!
//! Each rule is one function from what is there to a list of violations, so that it can be tried
//! on a few lines; reading the tree is done once, beside them.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result, bail};

use crate::{report::Report, run};

/// Longest file of Rust in lines.
const LONGEST: usize = 400;

/// Longer files, each with its reason. A file that is short again must leave the list.
const LONGER: &[(&str, &str)] = &[(
    "pulp-models/src/db/dialect/inserts.rs",
    "one bulk insert per table, each in the words of both databases: apart they would hide from each other",
)];

/// Endings of text files that are read.
const TEXT: &[&str] = &["rs", "toml", "md", "sql", "yaml", "yml", "sh", "json", "snap"];

/// Which crates of the workspace a crate may import; a name that ends in a dash stands for all that
/// begin so. Plugins never import each other.
const FLOORS: &[(&str, &[&str])] = &[
    ("pulp-models", &[]),
    ("pulp-stages", &["pulp-models"]),
    ("plugin-", &["pulp-models", "pulp-stages"]),
    ("pulp", &["pulp-models", "pulp-stages", "plugin-"]),
    ("xtask", &[]),
];

/// What the lowest floor must not know: HTTP clients and web servers.
const NOT_IN_MODELS: &[&str] = &["reqwest", "axum", "hyper", "http", "tower"];

/// From a file's path and text to what is wrong with it.
type Rule = fn(&str, &str) -> Vec<String>;

/// Runs every rule; one line of the report each.
pub(crate) fn run(report: &Report) {
    report.check("tidy: arrows point down", || floors().and_then(|found| none(&found)));
    let files = match read_tree(run::root()) {
        Ok(files) => files,
        Err(error) => return report.failed("tidy", &error),
    };
    let rule = |name: &str, rule: Rule| {
        let found: Vec<_> = files.iter().flat_map(|(path, text)| rule(path, text)).collect();
        report.check(&format!("tidy: {name}"), || none(&found));
    };
    rule("files say what they own", opening);
    rule("files are short", length);
    rule("no lint is allowed, no test ignored", attributes);
    rule("nothing of one machine", machine);
}

/// An error that lists the violations, if there are any.
fn none(violations: &[String]) -> Result<()> {
    if violations.is_empty() { Ok(()) } else { bail!("\n{}", violations.join("\n")) }
}

/// Asks cargo which crate imports which.
fn floors() -> Result<Vec<String>> {
    let metadata = run::metadata()?;
    let mut imports = BTreeMap::new();
    for package in metadata["packages"].as_array().context("No packages")? {
        let name = package["name"].as_str().context("A package without name")?;
        let used = package["dependencies"].as_array().context("A package without dependencies")?;
        let used = used.iter().filter_map(|used| used["name"].as_str()).map(str::to_owned);
        imports.insert(name.to_owned(), used.collect::<Vec<_>>());
    }
    Ok(arrows_up(&imports))
}

fn arrows_up(imports: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut found = Vec::new();
    for (name, used) in imports {
        let Some((_, allowed)) = FLOORS.iter().find(|(known, _)| stands_for(known, name)) else {
            // Examples stand above the root package: they may import anything but xtask.
            found.extend(
                used.iter()
                    .filter(|used| *used == "xtask")
                    .map(|_| format!("`{name}` imports `xtask`, which is a tool and no library")),
            );
            continue;
        };
        for used in used {
            let ours = imports.contains_key(used) && used != name;
            if ours && !allowed.iter().any(|allowed| stands_for(allowed, used)) {
                found.push(format!("`{name}` imports `{used}`, which is not below it"));
            }
            if name == "pulp-models" && NOT_IN_MODELS.contains(&used.as_str()) {
                found.push(format!("`{name}` imports `{used}`, but must know no HTTP"));
            }
        }
    }
    found
}

fn stands_for(floor: &str, name: &str) -> bool {
    floor == name || floor.ends_with('-') && name.starts_with(floor)
}

/// Every text file below `root` with its path, generated and hidden folders of tools left out.
fn read_tree(root: &Path) -> Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)
            .with_context(|| format!("Failed to list `{}`", folder.display()))?
        {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                if !matches!(name.as_str(), "target" | ".git") {
                    folders.push(path);
                }
            } else if is_text(&path) {
                let text = fs::read_to_string(&path)
                    .with_context(|| format!("Failed to read `{}`", path.display()))?;
                let shown = path.strip_prefix(root).unwrap_or(&path).to_string_lossy();
                files.push((shown.replace('\\', "/"), text));
            }
        }
    }
    files.sort();
    Ok(files)
}

fn is_text(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    TEXT.contains(&extension.as_ref()) || path.ends_with(".ci/run")
}

fn is_rust(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "rs")
}

fn opening(path: &str, text: &str) -> Vec<String> {
    let missing = is_rust(path) && !text.starts_with("//!");
    missing.then(|| format!("{path}: does not open with `//!`")).into_iter().collect()
}

fn length(path: &str, text: &str) -> Vec<String> {
    if !is_rust(path) || path.ends_with("/schema.rs") {
        return Vec::new();
    }
    let lines = text.lines().count();
    let excused = LONGER.iter().any(|(known, _)| *known == path);
    match (lines > LONGEST, excused) {
        (true, false) => vec![format!("{path}: {lines} lines, at most {LONGEST}")],
        (false, true) => vec![format!("{path}: no longer too long, take it off the list")],
        _ => Vec::new(),
    }
}

fn attributes(path: &str, text: &str) -> Vec<String> {
    let allow = concat!("[al", "low(");
    let ignore = concat!("#[ig", "nore");
    numbered(text)
        .filter(|_| is_rust(path))
        .filter_map(|(number, line)| {
            if line.contains(allow) {
                Some(format!("{path}:{number}: `#[expect(…, reason = \"…\")]` instead of `allow`"))
            } else if line.trim_start().starts_with(ignore) {
                Some(format!("{path}:{number}: a test that is never run"))
            } else {
                None
            }
        })
        .collect()
}

/// Paths and hosts that are true on one machine or in one network only.
fn machine(path: &str, text: &str) -> Vec<String> {
    let folders = [concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/ho", "me/")];
    let hosts = [concat!("crates", ".io"), concat!("pypi", ".org"), concat!("npmjs", ".com")];
    numbered(text)
        .filter_map(|(number, line)| {
            let folder = folders.iter().find(|folder| is_absolute(line, folder));
            let found = folder.or_else(|| hosts.iter().find(|host| line.contains(**host)))?;
            Some(format!("{path}:{number}: `{found}`"))
        })
        .collect()
}

/// Whether `folder` stands in `line` as the beginning of an absolute path.
fn is_absolute(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() || "./_-}~%".contains(before))
    })
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imports(pairs: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
        let owned = |(name, used): &(&str, &[&str])| {
            ((*name).to_owned(), used.iter().map(|used| (*used).to_owned()).collect())
        };
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn arrows_up_and_between_plugins_are_found() {
        let down = [
            ("pulp-models", &["serde"][..]),
            ("pulp-stages", &["pulp-models", "axum"]),
            ("plugin-deb", &["pulp-stages"]),
            ("plugin-file", &["pulp-stages"]),
            ("pulp", &["plugin-deb", "plugin-new"]),
            ("plugin-new", &["pulp-models"]),
            ("xtask", &["serde"]),
        ];
        assert!(arrows_up(&imports(&down)).is_empty());
        for (name, used) in [
            ("pulp-models", "pulp-stages"),
            ("pulp-models", "axum"),
            ("plugin-deb", "plugin-file"),
            ("xtask", "pulp-models"),
        ] {
            let mut all = imports(&down);
            all.insert(name.to_owned(), vec![used.to_owned()]);
            assert_eq!(arrows_up(&all).len(), 1, "{name} → {used}");
        }
    }

    #[test]
    fn each_rule_finds_what_it_forbids_and_nothing_else() {
        let long = "//! a\n".repeat(LONGEST + 1);
        let root = concat!("let home = \"/ro", "ot/x\";");
        let host = concat!("index.crates", ".io");
        let allow = concat!("#![al", "low(dead_code)]");
        let cases: [(Rule, &str, &str, usize); 10] = [
            (opening, "a.rs", "//! Owns.", 0),
            (opening, "a.rs", "use std::fs;", 1),
            (opening, "a.toml", "a = 1", 0),
            (length, "a.rs", &long, 1),
            (length, "x/schema.rs", &long, 0),
            (attributes, "a.rs", allow, 1),
            (attributes, "a.rs", "#[expect(dead_code, reason = \"\")]", 0),
            (machine, "a.md", root, 1),
            (machine, "a.md", "a/root/b and https://host/work/", 0),
            (machine, "a.md", host, 1),
        ];
        for (rule, path, text, count) in cases {
            assert_eq!(rule(path, text).len(), count, "{path}: {text}");
        }
    }
}
