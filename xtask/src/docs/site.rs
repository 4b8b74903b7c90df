//! A site in a folder: its pages, and where a link in one of them leads.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context as _, Result};

use super::html::Html;
use crate::client;

/// What a folder stands for.
const INDEX: &str = "index.html";

/// Paths stand for themselves below the site's root, with `/` between their parts.
#[derive(Default)]
pub(super) struct Site {
    pub(super) pages: BTreeMap<String, Html>,
    /// Everything that is no page.
    files: BTreeSet<String>,
}

/// Where a link leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// To another site.
    Elsewhere,
    /// To a file of this one, and to a place in it, as written, unless that is empty.
    Here { path: String, place: String },
}

impl Site {
    /// Reads every page below `root`.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut site = Self::default();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            let failed = || format!("Failed to list `{}`", folder.display());
            for entry in fs::read_dir(&folder).with_context(failed)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
                if path.extension().is_some_and(|extension| extension == "html") {
                    let text = fs::read_to_string(&path)
                        .with_context(|| format!("Failed to read `{}`", path.display()))?;
                    site.add(&name, &text);
                } else {
                    site.files.insert(name);
                }
            }
        }
        Ok(site)
    }

    /// Adds a page.
    pub(super) fn add(&mut self, path: &str, text: &str) {
        self.pages.insert(path.to_owned(), Html::parse(text));
    }

    /// Whether a link can lead there.
    pub(super) fn has(&self, path: &str) -> bool {
        self.pages.contains_key(path) || self.files.contains(path)
    }

    /// Where `link` in the page `from` leads; a folder stands for its index.
    pub(super) fn target(&self, from: &str, link: &str) -> Target {
        let (path, place) = link.split_once('#').unwrap_or((link, ""));
        let path = path.split('?').next().unwrap_or_default();
        let scheme = path.split('/').next().unwrap_or_default();
        if scheme.contains(':') || path.starts_with("//") {
            return Target::Elsewhere;
        }
        let place = place.to_owned();
        if path.is_empty() {
            return Target::Here { path: from.to_owned(), place };
        }
        let mut parts: Vec<&str> = from.split('/').collect();
        parts.pop();
        let decoded = client::decode(path);
        for part in decoded.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        let path = parts.join("/");
        let index = if path.is_empty() { INDEX.to_owned() } else { format!("{path}/{INDEX}") };
        Target::Here { path: if self.has(&index) { index } else { path }, place }
    }

    /// The page that a reader of `path` sees, who may be sent on.
    pub(super) fn shown(&self, path: &str) -> String {
        let mut path = path.to_owned();
        // Pages that send on to each other would go on for ever.
        for _ in 0..5 {
            let Some(on) = self.pages.get(&path).and_then(|page| page.redirect.as_ref()) else {
                break;
            };
            if let Target::Here { path: next, .. } = self.target(&path, on) {
                path = next;
            }
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_where_a_browser_would_go() {
        let mut site = Site::default();
        for path in ["index.html", "a/b.html", "a/c d/index.html"] {
            site.add(path, "");
        }
        let here = |path: &str, place: &str| Target::Here {
            path: path.to_owned(),
            place: place.to_owned(),
        };
        for (link, target) in [
            ("b.html", here("a/b.html", "")),
            ("#x", here("a/b.html", "x")),
            ("c%20d/#y%3Cz", here("a/c d/index.html", "y%3Cz")),
            ("../index.html?search=1", here("index.html", "")),
            ("..", here("index.html", "")),
            ("https://example.org/a", Target::Elsewhere),
            ("//example.org/a", Target::Elsewhere),
            ("mailto:me", Target::Elsewhere),
        ] {
            assert_eq!(site.target("a/b.html", link), target, "{link}");
        }
    }
}
