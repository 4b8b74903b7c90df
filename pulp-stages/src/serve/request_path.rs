//! The path of a request, decoded once and checked: the only form in which a client's path enters.
//!
//! Comes before [`super::resolve`], which looks it up in the database. Nothing of it ever touches
//! the file system: artifacts are stored by digest.

use percent_encoding::percent_decode_str;

/// A decoded request path below `/pulp/content/`: segments without empty, `.` or `..` ones, no
/// control characters; a trailing slash is kept apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RequestPath {
    /// Without leading and trailing slash; empty at the top.
    path: String,
    folder: bool,
}

/// Why a path is refused; the text is shown to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(super) enum BadPath {
    #[error("The path is not valid percent-encoded UTF-8")]
    Encoding,
    #[error("The path holds an encoded slash or a control character")]
    Character,
    #[error("The path holds an empty, `.` or `..` segment")]
    Segment,
}

impl RequestPath {
    /// Decodes `raw`, the part of the request's path after `/pulp/content/`.
    pub(super) fn parse(raw: &str) -> Result<Self, BadPath> {
        if raw.is_empty() {
            return Ok(Self { path: String::new(), folder: true });
        }
        let (raw, folder) = match raw.strip_suffix('/') {
            Some(raw) => (raw, true),
            None => (raw, false),
        };
        let mut path = String::with_capacity(raw.len());
        for segment in raw.split('/') {
            let segment =
                percent_decode_str(segment).decode_utf8().map_err(|_| BadPath::Encoding)?;
            if matches!(&*segment, "" | "." | "..") {
                return Err(BadPath::Segment);
            }
            if segment.contains(|c: char| c == '/' || c.is_control()) {
                return Err(BadPath::Character);
            }
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(&segment);
        }
        Ok(Self { path, folder })
    }

    /// The path without slashes at its ends.
    pub(super) fn as_str(&self) -> &str {
        &self.path
    }

    /// Whether the request asked for a folder: a trailing slash, or the top itself.
    pub(super) fn is_folder(&self) -> bool {
        self.folder
    }

    /// What is left of the path below `base`, if `base` is the path or a folder above it.
    pub(super) fn below<'a>(&'a self, base: &str) -> Option<&'a str> {
        let rest = self.path.strip_prefix(base)?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
    }

    /// The path itself and every folder above it, longest first; never the empty path.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = &str> {
        let whole = (!self.path.is_empty()).then_some(self.path.as_str());
        std::iter::successors(whole, |path| path.rsplit_once('/').map(|(parent, _)| parent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(raw: &str) -> (String, bool) {
        let path = RequestPath::parse(raw).expect(raw);
        (path.as_str().to_owned(), path.is_folder())
    }

    #[test]
    fn names_are_decoded_once() {
        assert_eq!(parsed("a%20b,c/%C3%A9+%2525.txt"), ("a b,c/é+%25.txt".to_owned(), false));
        assert_eq!(parsed("a/b/"), ("a/b".to_owned(), true));
        assert_eq!(parsed(""), (String::new(), true));
    }

    #[test]
    fn attempts_to_leave_are_refused_in_every_spelling() {
        for raw in [
            "../x",
            "a/../../x",
            "%2e%2e/x",
            ".%2E/x",
            "a/./b",
            "a//b",
            "/",
            "a//",
            "..%2fx",
            "a%2Fb",
            "a%00b",
            "a%0Ab",
            "%FF",
            "a/%c0%ae%c0%ae/b",
        ] {
            assert!(RequestPath::parse(raw).is_err(), "{raw} was taken");
        }
    }

    #[test]
    fn prefixes_end_at_slashes_only() {
        let path = RequestPath::parse("a/bc/d").expect("valid");
        assert_eq!(path.prefixes().collect::<Vec<_>>(), ["a/bc/d", "a/bc", "a"]);
        assert_eq!(path.below("a/bc"), Some("d"));
        assert_eq!(path.below("a/b"), None);
        assert_eq!(path.below("a/bc/d"), Some(""));
    }
}
