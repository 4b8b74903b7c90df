//! Going on where a broken transfer stopped: conditions of the request, and whether the answer is the
//! rest of the same file (RFC 9110, 13.1.5 and 14).

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};

/// What tells one state of a file from another, as its server named it.
///
/// To be kept by whoever wants to ask again later:
/// [`fetch_if_changed`](super::Downloader::fetch_if_changed).
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Validators {
    /// `ETag`, with its quotes and its `W/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// `Last-Modified`, as the server wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
}

impl Validators {
    /// Those in an answer's headers.
    pub fn of(headers: &HeaderMap) -> Self {
        let text = |name| Some(headers.get(name)?.to_str().ok()?.to_owned());
        Self { etag: text(header::ETAG), last_modified: text(header::LAST_MODIFIED) }
    }

    /// Whether there is none, so that nothing can be asked conditionally.
    pub fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }

    /// Makes a request conditional: the answer may be 304.
    pub(super) fn ask_if_changed(&self, headers: &mut HeaderMap) {
        let mut set = |name, text: &Option<String>| {
            if let Some(Ok(value)) = text.as_deref().map(HeaderValue::try_from) {
                headers.insert(name, value);
            }
        };
        set(header::IF_NONE_MATCH, &self.etag);
        set(header::IF_MODIFIED_SINCE, &self.last_modified);
    }
}

/// What must still hold for the rest of a file to fit its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Anchor {
    /// A strong validator; `None` if the digest alone has to tell.
    if_range: Option<HeaderValue>,
}

impl Anchor {
    /// Taken from the head of the answer whose body broke off. `checked` says whether a digest is
    /// expected: then a file without validators may be resumed too. `None`: start again.
    pub(super) fn of(headers: &HeaderMap, checked: bool) -> Option<Self> {
        let none = headers.get(header::ACCEPT_RANGES).is_some_and(|value| value == "none");
        // An encoding may differ between answers even if the file does not.
        if none || headers.contains_key(header::CONTENT_ENCODING) {
            return None;
        }
        let if_range = strong_etag(headers).or_else(|| strong_date(headers)).cloned();
        (if_range.is_some() || checked).then_some(Self { if_range })
    }

    /// Asks for everything from byte `from`, if the file is still the same.
    pub(super) fn ask_for_rest(&self, from: u64, headers: &mut HeaderMap) {
        let range = format!("bytes={from}-");
        headers.insert(header::RANGE, range.try_into().expect("digits are allowed in HTTP"));
        if let Some(value) = &self.if_range {
            headers.insert(header::IF_RANGE, value.clone());
        }
    }

    /// What an answer to that means.
    pub(super) fn judge(
        &self,
        from: u64,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<Answer, &'static str> {
        if status == StatusCode::RANGE_NOT_SATISFIABLE {
            return Err("the range was refused");
        }
        if status != StatusCode::PARTIAL_CONTENT {
            return Ok(Answer::FromTheStart);
        }
        if range_start(headers) != Some(from) {
            return Err("another range was sent");
        }
        let same = match (&self.if_range, strong_etag(headers)) {
            (Some(ours), Some(theirs)) if ours.as_bytes().starts_with(b"\"") => ours == theirs,
            _ => true,
        };
        if same { Ok(Answer::Rest) } else { Err("the file has changed") }
    }
}

/// A body is either of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The rest that was asked for.
    Rest,
    /// The whole file, maybe another one than before; or no file at all, as the status says.
    FromTheStart,
}

fn strong_etag(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get(header::ETAG).filter(|etag| etag.as_bytes().starts_with(b"\""))
}

/// `Last-Modified` where it is a strong validator: at least a second older than the answer
/// (RFC 9110, 8.8.2.2).
fn strong_date(headers: &HeaderMap) -> Option<&HeaderValue> {
    let date = |name| httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok();
    let age = date(header::DATE)?.duration_since(date(header::LAST_MODIFIED)?).ok()?;
    headers.get(header::LAST_MODIFIED).filter(|_| age >= Duration::from_secs(1))
}

/// `first-pos` of `Content-Range`.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.trim().strip_prefix("bytes")?.trim_start().split('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().expect("name"), value.parse().expect("value")))
            .collect()
    }

    fn if_range(pairs: &[(&'static str, &str)], checked: bool) -> Option<HeaderMap> {
        let mut request = HeaderMap::new();
        Anchor::of(&headers(pairs), checked)?.ask_for_rest(5, &mut request);
        Some(request)
    }

    const DATE: (&str, &str) = ("date", "Sat, 03 Jan 2026 10:00:00 GMT");

    #[test]
    fn only_strong_validators_anchor_a_range() {
        let strong = if_range(&[("etag", "\"a\""), DATE], false).expect("an anchor");
        assert_eq!(strong["if-range"], "\"a\"");
        assert_eq!(strong["range"], "bytes=5-");
        assert_eq!(if_range(&[("etag", "W/\"a\"")], false), None);
        let old = ("last-modified", "Sat, 03 Jan 2026 09:59:59 GMT");
        assert_eq!(if_range(&[old, DATE], false).expect("an anchor")["if-range"], old.1);
        assert_eq!(if_range(&[("last-modified", DATE.1), DATE], false), None);
        assert_eq!(if_range(&[old], false), None);
    }

    #[test]
    fn a_digest_makes_up_for_missing_validators_but_not_for_encodings() {
        let bare = if_range(&[("etag", "W/\"a\"")], true).expect("an anchor");
        assert!(!bare.contains_key("if-range"));
        assert_eq!(if_range(&[("etag", "\"a\""), ("content-encoding", "gzip")], true), None);
        assert_eq!(if_range(&[("etag", "\"a\""), ("accept-ranges", "none")], true), None);
    }

    #[test]
    fn only_the_very_range_of_the_very_file_is_taken() {
        let anchor = Anchor::of(&headers(&[("etag", "\"a\"")]), false).expect("an anchor");
        let judge = |status: u16, pairs: &[(&'static str, &str)]| {
            let status = StatusCode::from_u16(status).expect("valid");
            anchor.judge(5, status, &headers(pairs))
        };
        let range = ("content-range", "bytes 5-9/10");
        assert_eq!(judge(206, &[range, ("etag", "\"a\"")]), Ok(Answer::Rest));
        assert_eq!(judge(206, &[range]), Ok(Answer::Rest));
        assert_eq!(judge(200, &[("etag", "\"b\"")]), Ok(Answer::FromTheStart));
        assert!(judge(206, &[range, ("etag", "\"b\"")]).is_err());
        assert!(judge(206, &[("content-range", "bytes 4-9/10")]).is_err());
        assert!(judge(206, &[]).is_err());
        assert!(judge(416, &[("content-range", "bytes */4")]).is_err());
    }
}
