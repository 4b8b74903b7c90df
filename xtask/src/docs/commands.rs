//! The help of every command, as the built program prints it: a page each, and a list of them all.

use std::{fmt::Write as _, fs, path::Path, process::Command};

use anyhow::{Context as _, Result};

use super::{html::escape, page};
use crate::run;

/// Where the pages lie below the site's root.
pub(super) const FOLDER: &str = "commands";
/// The page that lists them.
pub(super) const LIST: &str = "commands/index.html";

/// What a command's help says.
pub(super) struct Help {
    /// `pulp deb repository`.
    pub(super) words: Vec<String>,
    text: String,
}

impl Help {
    /// What the command does, in a line.
    pub(super) fn about(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }

    /// The name of its page.
    pub(super) fn file(&self) -> String {
        self.words.join("-") + ".html"
    }

    /// Its page: the help, in which commands are links.
    fn body(&self) -> String {
        let mut body = String::new();
        for end in 1..self.words.len() {
            let link = format!("{}.html", self.words[..end].join("-"));
            let _ = write!(body, "<a href=\"{link}\">{}</a> ", escape(&self.words[end - 1]));
        }
        let _ = write!(body, "<a href=\"index.html\">(all commands)</a>\n<pre>");
        let inner = subcommands(&self.text);
        for line in self.text.lines() {
            let name = line.split_whitespace().next().unwrap_or_default();
            let listed = line.starts_with("  ") && !line.starts_with("   ");
            if listed && inner.contains(&name) {
                let link = format!("{}-{name}.html", self.words.join("-"));
                let rest = &line[2 + name.len()..];
                let _ = writeln!(body, "  <a href=\"{link}\">{name}</a>{}", escape(rest));
            } else {
                let _ = writeln!(body, "{}", escape(line));
            }
        }
        body + "</pre>\n"
    }
}

/// Asks `program` for the help of all its commands and writes the pages. Returns them, outer ones
/// before those within.
pub(super) fn write(program: &Path, root: &Path) -> Result<Vec<Help>> {
    let folder = root.join(FOLDER);
    if folder.exists() {
        // Of a command that is gone, so must be the page.
        fs::remove_dir_all(&folder)
            .with_context(|| format!("Failed to remove `{}`", folder.display()))?;
    }
    let mut all = Vec::new();
    ask(program, &["pulp".to_owned()], &mut all)?;
    let mut list = "<dl>\n".to_owned();
    for help in &all {
        let title = help.words.join(" ");
        page::write(root, &format!("{FOLDER}/{}", help.file()), &title, &help.body())?;
        list += &page::entry(&help.file(), &title, help.about());
    }
    list += "</dl>\n<p><a href=\"../index.html\">Documentation</a></p>\n";
    page::write(root, LIST, "Commands", &list)?;
    Ok(all)
}

fn ask(program: &Path, words: &[String], all: &mut Vec<Help>) -> Result<()> {
    let mut command = Command::new(program);
    command.args(&words[1..]).arg("--help");
    // What this machine has set would be shown.
    let surroundings = std::env::vars_os().map(|(name, _)| name);
    for name in surroundings.filter(|name| name.to_string_lossy().starts_with("PULP_")) {
        command.env_remove(name);
    }
    let text = run::output_of(&mut command)?;
    let inner: Vec<String> = subcommands(&text).into_iter().map(str::to_owned).collect();
    all.push(Help { words: words.to_vec(), text });
    for name in inner {
        ask(program, &[words, &[name]].concat(), all)?;
    }
    Ok(())
}

/// The commands that a help lists, but for `help` itself.
fn subcommands(help: &str) -> Vec<&str> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = lines.take_while(|line| !line.is_empty());
    // What stands further in goes on with the line before.
    let listed = listed.filter(|line| !line.starts_with("   "));
    let names = listed.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "Does <things>\n\nUsage: pulp [OPTIONS]\n\nCommands:\n  mirror  A command\n  \
                        \x20       of two lines\n  deb     Another\n  help    Help\n\nOptions:\n  -q  x\n";

    #[test]
    fn a_help_names_its_commands() {
        assert_eq!(subcommands(HELP), ["mirror", "deb"]);
        assert!(subcommands("Usage: pulp status\n\nOptions:\n  -q  x\n").is_empty());
    }

    #[test]
    fn a_page_is_the_help_as_text_with_links() {
        let help = Help { words: vec!["pulp".into(), "x".into()], text: HELP.to_owned() };
        assert_eq!((help.about(), help.file().as_str()), ("Does <things>", "pulp-x.html"));
        let body = help.body();
        assert!(body.contains("<a href=\"pulp.html\">pulp</a>"), "{body}");
        assert!(body.contains("Does &lt;things&gt;\n"), "{body}");
        assert!(body.contains("  <a href=\"pulp-x-deb.html\">deb</a>     Another\n"), "{body}");
        assert!(body.contains("\n  -q  x\n"), "{body}");
    }
}
