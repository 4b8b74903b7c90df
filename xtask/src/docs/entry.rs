//! The page where readers begin: the guide's chapters, the crates with their modules, the example,
//! the commands.
//!
//! What is behind a link is told by the first line of its source, which every file has.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{
    Library,
    commands::{self, Help},
    html::{Html, escape},
    page,
};
use crate::run;

/// Its name below the site's root.
pub(super) const PAGE: &str = "index.html";
/// The folder of examples.
const EXAMPLES: &str = "examples";
/// The library that has the guide.
const GUIDED: &str = "pulp_stages";

/// Writes it, and returns its path.
pub(super) fn write(root: &Path, libraries: &[Library], commands: &[Help]) -> Result<PathBuf> {
    let guided = libraries.iter().find(|library| library.name == GUIDED);
    let source = &guided.context("No crate has the guide")?.source;
    let mut body =
        "<p>Mirrors package repositories, keeps every state of them as a version, publishes \
                    and serves any of those. A plugin says what upstream has; the rest is the \
                    framework's.</p>\n"
            .to_owned();
    body += "<h2>Guide: add a repository type</h2>\n<dl>\n";
    let first = format!("{GUIDED}/guide/{PAGE}");
    body += &page::entry(&first, "guide", &opening(&source.with_file_name("guide/mod.rs"))?);
    for chapter in chapters(&read(&root.join(&first))?) {
        let about = opening(&source.with_file_name(format!("guide/{chapter}.rs")))?;
        body += &page::entry(&format!("{GUIDED}/guide/{chapter}/{PAGE}"), &chapter, &about);
    }
    body += "</dl>\n";
    let is_example = |library: &&Library| library.source.starts_with(run::root().join(EXAMPLES));
    let (examples, crates): (Vec<_>, Vec<_>) = libraries.iter().partition(is_example);
    for (title, libraries) in [("Crates", crates), ("Example: somebody else's program", examples)] {
        body.extend(["<h2>", title, "</h2>\n<dl>\n"]);
        for library in libraries {
            body += &described(root, library)?;
        }
        body += "</dl>\n";
    }
    body += "<h2>Commands</h2>\n<dl>\n";
    for help in commands.iter().filter(|help| help.words.len() <= 2) {
        let link = format!("{}/{}", commands::FOLDER, help.file());
        body += &page::entry(&link, &help.words.join(" "), help.about());
    }
    body += &page::entry(commands::LIST, "all commands", "Each with the help it prints");
    body += "</dl>\n";
    page::write(root, PAGE, "pulp", &body)?;
    Ok(root.join(PAGE))
}

/// A crate and its modules.
fn described(root: &Path, library: &Library) -> Result<String> {
    let Library { name, source } = library;
    let mut modules = Vec::new();
    collect(&root.join(name), "", &mut modules)?;
    let link = |module: &String| {
        let path = format!("{name}/{}/{PAGE}", module.replace("::", "/"));
        format!("<a href=\"{path}\">{}</a>", escape(module))
    };
    let links: Vec<String> = modules.iter().map(link).collect();
    let entry = page::entry(&format!("{name}/{PAGE}"), name, &opening(source)?);
    Ok(entry + &format!("<dd class=\"modules\">{}</dd>\n", links.join(" · ")))
}

/// The chapters of the guide in its own order.
fn chapters(guide: &str) -> Vec<String> {
    let suffix = format!("/{PAGE}");
    let mut chapters: Vec<String> = Vec::new();
    for link in Html::parse(guide).links {
        let below = link.strip_suffix(&suffix).filter(|name| !name.contains(['/', '.']));
        if let Some(name) = below.filter(|name| !chapters.iter().any(|known| known == name)) {
            chapters.push(name.to_owned());
        }
    }
    chapters
}

/// The modules that have a page below `folder`, each before those within it.
fn collect(folder: &Path, within: &str, modules: &mut Vec<String>) -> Result<()> {
    let failed = || format!("Failed to list `{}`", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(failed)? {
        let path = entry?.path();
        if path.join(PAGE).is_file() {
            names.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    for name in names {
        let module = format!("{within}{name}");
        modules.push(module.clone());
        collect(&folder.join(name), &format!("{module}::"), modules)?;
    }
    Ok(())
}

/// The sentence that a source file opens with.
fn opening(source: &Path) -> Result<String> {
    let text = read(source)?;
    let lines = text.lines().map_while(|line| line.strip_prefix("//!"));
    let paragraph: Vec<&str> = lines.map(str::trim).take_while(|line| !line.is_empty()).collect();
    Ok(paragraph.join(" ").replace(['`', '[', ']'], ""))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("Failed to read `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chapters_are_named_once_in_the_order_of_the_guide() {
        let guide = "<a href=../index.html><a href=b/index.html><a href=a/index.html>\
                     <a href=b/index.html><a href=c/d/index.html><a href=struct.X.html>";
        assert_eq!(chapters(guide), ["b", "a"]);
    }

    #[test]
    fn a_file_says_in_its_first_paragraph_what_is_in_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lib.rs");
        fs::write(&path, "//! What [`it`]\n//! is.\n//!\n//! More.\n\nmod x;\n").expect("written");
        assert_eq!(opening(&path).expect("read"), "What it is.");
    }
}
