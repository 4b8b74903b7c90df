//! The `Link` header by which lists are cut into pages: read from upstream, written for clients.
//!
//! RFC 8288, section 3; distribution-spec, "Listing Tags". A target may be relative or absolute.
//! Registries behind proxies give absolute targets that name a host nobody can reach, and a
//! malicious one could name somebody else's, so only path and query of a target are followed.

use url::Url;

/// Where the next page is: the target of the first link of relation `next` in `lines`, resolved
/// against `page`, but at `page`'s origin. A link without any relation counts, since Pulp and old
/// registries follow it.
///
/// ```
/// use plugin_container::links::next_page;
/// let page = "https://host/v2/a/tags/list".parse().unwrap();
/// let next = next_page(&page, ["<tags/list?last=b>; rel=\"next\""]);
/// assert_eq!(next.unwrap().as_str(), "https://host/v2/a/tags/tags/list?last=b");
/// ```
pub fn next_page<'a>(page: &Url, lines: impl IntoIterator<Item = &'a str>) -> Option<Url> {
    let target = lines.into_iter().flat_map(parse).find(|link| {
        link.relations.is_none_or(|relations| {
            relations.split_ascii_whitespace().any(|relation| relation.eq_ignore_ascii_case("next"))
        })
    })?;
    let resolved = page.join(target.target).ok()?;
    if resolved.cannot_be_a_base() {
        return None;
    }
    let mut next = page.clone();
    next.set_path(resolved.path());
    next.set_query(resolved.query());
    next.set_fragment(None);
    Some(next)
}

/// The value of a `Link` header that leads to `target`, a path with a query.
pub fn to_next(target: &str) -> String {
    format!("<{target}>; rel=\"next\"")
}

struct Link<'a> {
    target: &'a str,
    /// Value of `rel`, unquoted.
    relations: Option<&'a str>,
}

/// The links of one line; what is no link ends the reading.
fn parse(line: &str) -> Vec<Link<'_>> {
    let mut links = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let Some((target, after)) = rest.strip_prefix('<').and_then(|open| open.split_once('>'))
        else {
            return links;
        };
        let mut link = Link { target: target.trim(), relations: None };
        rest = after;
        while let Some(parameter) = rest.trim_start().strip_prefix(';') {
            let (name, value, after) = split_parameter(parameter);
            // RFC 8288: the first `rel` counts, later ones are ignored.
            if name.eq_ignore_ascii_case("rel") && link.relations.is_none() {
                link.relations = Some(value);
            }
            rest = after;
        }
        links.push(link);
    }
}

/// `name [ "=" ( token / quoted-string ) ]` and what follows. Relations hold no escapes, so a
/// quoted string is returned as it stands between its quotes.
fn split_parameter(text: &str) -> (&str, &str, &str) {
    let end = text.find(['=', ';', ',']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let Some(value) = rest.strip_prefix('=') else { return (name.trim(), "", rest) };
    let value = value.trim_start();
    if let Some(quoted) = value.strip_prefix('"') {
        let mut escaped = false;
        let close = quoted.find(|c| {
            let closes = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            closes
        });
        let (inside, after) = quoted.split_at(close.unwrap_or(quoted.len()));
        (name.trim(), inside, after.strip_prefix('"').unwrap_or(after))
    } else {
        let end = value.find([';', ',']).unwrap_or(value.len());
        (name.trim(), value[..end].trim(), &value[end..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &[&str], expected: Option<&str>) {
        let page = "https://host:5000/v2/lab/many/tags/list?n=2".parse().expect("valid");
        let next = next_page(&page, lines.iter().copied());
        assert_eq!(next.as_ref().map(Url::as_str), expected, "{lines:?}");
    }

    #[test]
    fn relative_and_absolute_targets_stay_at_the_origin() {
        let next = Some("https://host:5000/v2/lab/many/tags/list?last=b&n=2");
        for target in [
            "/v2/lab/many/tags/list?last=b&n=2",
            "list?last=b&n=2",
            "https://host:5000/v2/lab/many/tags/list?last=b&n=2",
            "http://internal/v2/lab/many/tags/list?last=b&n=2",
            "//internal/v2/lab/many/tags/list?last=b&n=2",
        ] {
            check(&[&format!("<{target}>; rel=\"next\"")], next);
            check(&[&format!(" , <{target}> ;title=\"a,\\\"b>\" ; rel=next")], next);
        }
        check(&["<?last=b>"], Some("https://host:5000/v2/lab/many/tags/list?last=b"));
    }

    #[test]
    fn the_relation_is_heeded() {
        check(&["</a>; rel=prev, </b>; rel=\"last next\""], Some("https://host:5000/b"));
        check(&["</a>; rel=prev", "</b>; REL=Next"], Some("https://host:5000/b"));
        check(&["</a>; rel=prev; rel=next"], None);
        check(&["", "next", "</a", "<data:x>; rel=next"], None);
    }

    #[test]
    fn what_is_written_is_read_back() {
        check(&[&to_next("/v2/_catalog?n=1")], Some("https://host:5000/v2/_catalog?n=1"));
    }

    proptest::proptest! {
        #[test]
        fn no_line_makes_the_parser_panic(line in "[<>;,=\" \\\\a-z/:é]{0,40}") {
            let page = "https://host/".parse().expect("valid");
            let _ = next_page(&page, [&*line]);
        }
    }
}
