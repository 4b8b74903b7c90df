//! Lists in pages: what a client's `n` and `last` ask for (distribution-spec, "Listing Tags").
//!
//! Tags and catalog are sorted bytewise; a page begins after `last`, whether or not `last` exists.
//! Unknown parameters are ignored, as mirrors add their own (`ns=`).

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::errors::{ErrorCode, RegistryError};

/// Longest page in names; a client that asks for more, or for nothing in particular in a list that
/// is longer, is led on by `Link`.
pub const MAX_PAGE: usize = 10_000;

const QUERY_VALUE: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'/');

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// At most this many names; 0 gives an empty list.
    pub count: usize,
    /// Only names after this one.
    pub last: Option<String>,
    /// Whether the client named a number itself.
    asked: bool,
}

impl PageRequest {
    /// From the query of a URL, without its `?`.
    pub fn parse(query: Option<&str>) -> Result<Self, RegistryError> {
        let mut request = Self { count: MAX_PAGE, last: None, asked: false };
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match (&*name, value) {
                ("n" | "last", Cow::Borrowed("")) => {}
                ("n", count) => {
                    let count: u64 = count.parse().map_err(|_| {
                        RegistryError::new(
                            ErrorCode::Unsupported,
                            format!("Invalid page size {count:?}: expected a number"),
                        )
                        .with_status(http::StatusCode::BAD_REQUEST)
                    })?;
                    request.count = usize::try_from(count).unwrap_or(MAX_PAGE).min(MAX_PAGE);
                    request.asked = true;
                }
                ("last", last) => request.last = Some(last.into_owned()),
                _ => {}
            }
        }
        Ok(request)
    }

    /// The value of the `Link` header that leads on from a page of this request which ended with
    /// `name` and was not the last.
    pub fn link(&self, path: &str, name: &str) -> String {
        let name = utf8_percent_encode(name, QUERY_VALUE);
        let count = if self.asked { format!("&n={}", self.count) } else { String::new() };
        crate::links::to_next(&format!("{path}?last={name}{count}"))
    }

    /// Cuts the page out of all names, sorted. The second value is `Link`'s, if there is more.
    pub fn cut<'a, T: AsRef<str>>(&self, path: &str, sorted: &'a [T]) -> (&'a [T], Option<String>) {
        let start = match &self.last {
            Some(last) => sorted.partition_point(|name| name.as_ref() <= last.as_str()),
            None => 0,
        };
        let rest = &sorted[start..];
        let page = &rest[..rest.len().min(self.count)];
        let more = page.len() < rest.len();
        let link = page.last().filter(|_| more).map(|last| self.link(path, last.as_ref()));
        (page, link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, expected: &[&str], link: Option<&str>) {
        let request = PageRequest::parse(Some(query)).expect(query);
        let (page, next) = request.cut("/v2/a/tags/list", &["B", "a", "c", "d"]);
        assert_eq!((page, next.as_deref()), (expected, link), "{query}");
    }

    #[test]
    fn pages_follow_each_other_until_there_is_no_more() {
        check("", &["B", "a", "c", "d"], None);
        check("n=2", &["B", "a"], Some("</v2/a/tags/list?last=a&n=2>; rel=\"next\""));
        check("last=a&n=2", &["c", "d"], None);
        check("n=100000000000&ns=x&last=", &["B", "a", "c", "d"], None);
        check("last=b", &["c", "d"], None);
        check("last=zzz", &[], None);
        check("n=0", &[], None);
    }

    #[test]
    fn a_number_that_is_none_is_the_clients_error() {
        for query in ["n=x", "n=-1", "n=1.5"] {
            let error = PageRequest::parse(Some(query)).expect_err(query);
            assert_eq!(error.status(), http::StatusCode::BAD_REQUEST);
        }
    }

    proptest::proptest! {
        #[test]
        fn pages_put_together_are_the_list(size in 1usize..6, names in proptest::collection::btree_set("[a-c/&=é]{1,3}", 0..12)) {
            let names: Vec<_> = names.into_iter().collect();
            let base: url::Url = "http://h/l".parse().expect("valid");
            let mut next = Some(base.join(&format!("?n={size}")).expect("valid"));
            let mut seen = Vec::new();
            while let Some(url) = next {
                let request = PageRequest::parse(url.query()).expect("valid");
                let (page, link) = request.cut("/l", &names);
                seen.extend_from_slice(page);
                next = link.and_then(|link| crate::links::next_page(&base, [&*link]));
            }
            proptest::prop_assert_eq!(seen, names);
        }
    }
}
