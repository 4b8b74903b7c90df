//! Links that lead nowhere: to a page that is not there, or to a place that the page has not.

use super::site::{Site, Target};
use crate::client;

/// Links that other crates' documentation brings along, each with where from.
const THEIRS: &[(&str, &str)] = &[(
    "dispatcher#setting-the-default-subscriber",
    "of `tracing`'s trait `WithSubscriber`, which every type has",
)];

/// Rustdoc asks for these scripts of each trait, and writes them if another crate implements it.
const OPTIONAL: &str = "trait.impl/";

/// What is wrong with the links of those pages of `site` that are `ours`.
pub(super) fn broken(site: &Site, ours: impl Fn(&str) -> bool) -> Vec<String> {
    let mut broken = Vec::new();
    for (page, html) in site.pages.iter().filter(|(page, _)| ours(page)) {
        let all = html.links.iter().chain(&html.needs).chain(&html.redirect);
        for link in all.filter(|link| !THEIRS.iter().any(|(known, _)| known == link)) {
            let Target::Here { path, place } = site.target(page, link) else { continue };
            if path.starts_with(OPTIONAL) {
                continue;
            }
            if !site.has(&path) {
                broken.push(format!("`{page}` links to `{link}`: `{path}` is not there"));
            } else if !has_place(site, &site.shown(&path), &place) {
                broken.push(format!("`{page}` links to `{link}`: `{path}` has no `{place}`"));
            }
        }
    }
    broken
}

/// Whether the page has the place, as browsers look for it: as written, then decoded. Of a page of
/// source, lines may be meant: `10-20`.
fn has_place(site: &Site, path: &str, place: &str) -> bool {
    let Some(page) = site.pages.get(path) else { return true };
    let is_line = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_known = place.is_empty() || page.ids.contains(place);
    match place.split_once('-') {
        _ if is_known || page.ids.contains(&client::decode(place)) => true,
        Some((first, last)) if is_line(first) && is_line(last) => {
            page.ids.contains(first) && page.ids.contains(last)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let mut site = Site::default();
        site.add("index.html", text);
        site.add("a/b.html", "<h1 id=top><i id=1><i id=2><i id=x%3Cy><i id='a b'>");
        site.add("moved.html", "<meta http-equiv=refresh content='0;URL=a/b.html'>");
        site.add("other.html", "<a href=nowhere>");
        broken(&site, |page| page == "index.html")
    }

    #[test]
    fn links_to_what_is_there_are_no_error() {
        let good = "<i id=x><a href=a/b.html><a href=a/b.html#top><a href='#x'><a href=a/b.html#1-2>\
                    <a href=moved.html#top><a href=a/b.html#x%3Cy><a href=a/b.html#a%20b>\
                    <a href=https://example.org/none>";
        assert_eq!(found(good), [""; 0]);
    }

    #[test]
    fn a_link_to_a_page_that_is_not_there_is_found() {
        assert_eq!(
            found("<a href=a/c.html>"),
            ["`index.html` links to `a/c.html`: `a/c.html` is not there"]
        );
        assert_eq!(found("<script src=x.js></script><link href=x.css>").len(), 2);
        assert_eq!(found("<meta http-equiv=refresh content='0;URL=x.html'>").len(), 1);
    }

    #[test]
    fn a_link_to_a_place_that_is_not_there_is_found() {
        for link in ["a/b.html#bottom", "moved.html#bottom", "a/b.html#1-3", "#top"] {
            let found = found(&format!("<a href={link}>"));
            assert_eq!(found.len(), 1, "{link}");
            assert!(found[0].contains("has no `"), "{found:?}");
        }
    }
}
