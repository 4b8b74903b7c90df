//! What a page of HTML links to, and what in it can be linked to.
//!
//! No browser: tags and their attributes are enough. Knows no paths and no other page.

use std::collections::HashSet;

/// What matters of a page.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Html {
    /// Names of places in it.
    pub(super) ids: HashSet<String>,
    /// Where its links lead, as written.
    pub(super) links: Vec<String>,
    /// What it needs to be shown: styles, scripts, pictures.
    pub(super) needs: Vec<String>,
    /// Where it sends a reader at once.
    pub(super) redirect: Option<String>,
}

impl Html {
    /// Reads a page.
    pub(super) fn parse(text: &str) -> Self {
        let mut html = Self::default();
        let mut rest = text;
        while let Some(at) = rest.find('<') {
            rest = &rest[at + 1..];
            if let Some(comment) = rest.strip_prefix("!--") {
                rest = after(comment, "-->");
                continue;
            }
            let (tag, behind) = Tag::parse(rest);
            html.learn(&tag);
            rest = match tag.name.as_str() {
                name @ ("script" | "style") => after(behind, &format!("</{name}")),
                _ => behind,
            };
        }
        html
    }

    fn learn(&mut self, tag: &Tag) {
        let of = |name: &str| tag.attributes.iter().find(|(known, _)| known == name);
        self.ids.extend(of("id").map(|(_, id)| id.clone()));
        if let Some((_, link)) = of("href") {
            if tag.name == "a" { &mut self.links } else { &mut self.needs }.push(link.clone());
        }
        self.needs.extend(of("src").map(|(_, source)| source.clone()));
        if tag.name == "meta" && of("http-equiv").is_some_and(|(_, what)| what == "refresh") {
            let content = of("content").and_then(|(_, content)| content.split_once("URL="));
            self.redirect = content.map(|(_, url)| url.to_owned());
        }
    }
}

/// A tag that begins an element.
#[derive(Default)]
struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
}

impl Tag {
    /// Reads what stands behind a `<`; also returns what stands behind the tag.
    fn parse(text: &str) -> (Self, &str) {
        let is_end = |c: char| c.is_ascii_whitespace() || c == '>';
        let (name, mut rest) = text.split_at(text.find(is_end).unwrap_or(text.len()));
        let mut tag = Self { name: name.to_ascii_lowercase(), attributes: Vec::new() };
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
            if let Some(behind) = rest.strip_prefix('>') {
                return (tag, behind);
            }
            let end = rest.find(|c| is_end(c) || c == '=' || c == '/').unwrap_or(rest.len());
            if rest.is_empty() || end == 0 && !rest.starts_with('=') {
                return (tag, rest);
            }
            let name = rest[..end].to_ascii_lowercase();
            let Some(value) = rest[end..].strip_prefix('=') else {
                rest = &rest[end..];
                tag.attributes.push((name, String::new()));
                continue;
            };
            let (value, behind) = match value.chars().next() {
                Some(quote @ ('"' | '\'')) => value[1..].split_once(quote).unwrap_or((value, "")),
                _ => value.split_at(value.find(is_end).unwrap_or(value.len())),
            };
            tag.attributes.push((name, unescape(value)));
            rest = behind;
        }
    }
}

/// `text` behind the first `end`.
fn after<'a>(text: &'a str, end: &str) -> &'a str {
    text.split_once(end).map_or("", |(_, behind)| behind)
}

/// Text in the words of HTML.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Undoes [`escape`].
fn unescape(text: &str) -> String {
    let plain = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    plain.iter().fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_places_are_found_however_they_are_quoted() {
        let html = Html::parse(
            "<!DOCTYPE html><link rel=stylesheet href=\"a.css\"><script src=b.js>if (1<2) \
             {'<a href=no>'}</script><!-- <a href=no> --><h1 id=top>1 < 2</h1>\
             <A class='x' HREF='c d.html#e&amp;f' hidden>x</A><br/><section id=\"s-1\"><a href=/g/>",
        );
        assert_eq!(html.links, ["c d.html#e&f", "/g/"]);
        assert_eq!(html.needs, ["a.css", "b.js"]);
        assert_eq!(html.ids, ["top", "s-1"].map(String::from).into());
        assert_eq!(html.redirect, None);
    }

    #[test]
    fn a_page_that_sends_on_says_where_to() {
        let html = Html::parse("<meta http-equiv=\"refresh\" content=\"0;URL=../x.html\">");
        assert_eq!(html.redirect.as_deref(), Some("../x.html"));
    }

    #[test]
    fn what_is_cut_off_or_odd_comes_to_an_end() {
        for text in ["<", "<a", "<a href", "<a href=", "<a href=\"x", "<a =x>", "<!--", "<script>"]
        {
            Html::parse(text);
        }
    }

    #[test]
    fn what_is_escaped_is_text() {
        let text = "<a href=\"x\"> & 'more' &lt;";
        let escaped = escape(text);
        assert_eq!(escaped, "&lt;a href=&quot;x&quot;&gt; &amp; 'more' &amp;lt;");
        assert_eq!(unescape(&escaped), text);
    }
}
