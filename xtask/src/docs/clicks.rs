//! How far a page is from where a reader begins.
//!
//! Links count that stand in a page itself: what only a script shows, or only the alphabetical list
//! of all names, finds nobody who does not know the name.

use std::collections::{HashMap, VecDeque};

use super::site::{Site, Target};

/// The most clicks from the first page to any other.
const MOST: usize = 3;
/// Rustdoc's list of a crate's names.
const ALL: &str = "all.html";

/// Those pages of `site` that are `ours` and more than [`MOST`] clicks from `start`, if any.
pub(super) fn far(site: &Site, start: &str, ours: impl Fn(&str) -> bool) -> Vec<String> {
    let clicks = clicks(site, start);
    let readable = site.pages.iter().filter(|(_, html)| html.redirect.is_none());
    readable
        .filter(|(page, _)| ours(page) && !is_list(page))
        .filter_map(|(page, _)| match clicks.get(page) {
            Some(clicks) if *clicks <= MOST => None,
            Some(clicks) => {
                Some(format!("`{page}` is {clicks} clicks from `{start}`, at most {MOST}"))
            }
            None => Some(format!("`{page}` cannot be reached from `{start}`")),
        })
        .collect()
}

fn is_list(page: &str) -> bool {
    page.rsplit('/').next() == Some(ALL)
}

/// The least clicks to each page that can be reached, nearest pages first.
fn clicks(site: &Site, start: &str) -> HashMap<String, usize> {
    let mut clicks = HashMap::from([(start.to_owned(), 0)]);
    let mut next = VecDeque::from([start.to_owned()]);
    while let Some(page) = next.pop_front() {
        let so_far = clicks[&page];
        let Some(html) = site.pages.get(&page).filter(|_| !is_list(&page)) else { continue };
        for link in &html.links {
            let Target::Here { path, .. } = site.target(&page, link) else { continue };
            let path = site.shown(&path);
            if !clicks.contains_key(&path) {
                clicks.insert(path.clone(), so_far + 1);
                next.push_back(path);
            }
        }
    }
    clicks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_four_clicks_away_and_one_that_nothing_leads_to_are_found() {
        let mut site = Site::default();
        for (page, text) in [
            ("index.html", "<a href=1.html><a href=all.html>"),
            ("1.html", "<a href=moved.html>"),
            ("moved.html", "<meta http-equiv=refresh content='0;URL=2.html'>"),
            ("2.html", "<a href=3.html><a href=index.html>"),
            ("3.html", "<a href=4.html>"),
            ("4.html", ""),
            ("all.html", "<a href=4.html><a href=alone.html>"),
            ("alone.html", "<a href=index.html>"),
            ("theirs.html", ""),
        ] {
            site.add(page, text);
        }
        assert_eq!(
            far(&site, "index.html", |page| page != "theirs.html"),
            [
                "`4.html` is 4 clicks from `index.html`, at most 3",
                "`alone.html` cannot be reached from `index.html`"
            ]
        );
    }
}
