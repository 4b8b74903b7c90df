//! A page of our own beside rustdoc's: the frame around a text.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use super::html::escape;

const STYLE: &str = "
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
h1 { line-height: 1.2; }
dt { margin-top: .6rem; }
dd { margin: 0 0 0 1.5rem; }
pre { overflow-x: auto; padding: .8rem; border: 1px solid #8886; border-radius: .3rem; line-height: 1.35; }
dd.modules { font-size: .9rem; }
";

/// Writes the page `path` below `root`. `body` is HTML, the title a text.
pub(super) fn write(root: &Path, path: &str, title: &str, body: &str) -> Result<()> {
    let title = escape(title);
    let text = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n\
         {body}</body>\n</html>\n"
    );
    let path = root.join(path);
    let failed = || format!("Failed to write `{}`", path.display());
    fs::create_dir_all(path.parent().unwrap_or(root)).with_context(failed)?;
    fs::write(&path, text).with_context(failed)
}

/// An entry of a list of definitions: a link, and what is behind it.
pub(super) fn entry(link: &str, name: &str, about: &str) -> String {
    format!(
        "<dt><a href=\"{}\">{}</a></dt><dd>{}</dd>\n",
        escape(link),
        escape(name),
        escape(about)
    )
}
