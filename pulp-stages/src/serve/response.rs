//! From a representation and a request's headers to status and headers of the response.
//!
//! Decides *what* is sent (everything, a part, nothing but a status); the bytes come from
//! [`super::stored`] or [`super::fill`].

use std::{ops::Range, time::SystemTime};

use axum::{body::Body, response::Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, response::Parts};
use pulp_models::{Algorithm, Digests, Timestamp};

use super::{
    conditional::{Validators, Verdict},
    range::{self, Selection},
};

/// What a plugin knows better about a response than its path tells.
#[derive(Debug, Clone, Default)]
pub struct ResponseOptions {
    /// Default: told by the path's extension.
    pub content_type: Option<HeaderValue>,
    /// A strong entity tag, quotes included. Default: made of the strongest digest that is known.
    pub etag: Option<HeaderValue>,
    /// Further headers, also on 304, 206 and HEAD.
    pub headers: HeaderMap,
}

/// What is known of the bytes before any of them is sent.
#[derive(Debug)]
pub(super) struct Representation {
    pub(super) validators: Validators,
    pub(super) content_type: HeaderValue,
    /// In bytes; `None` if nobody said, then the body is sent without a length.
    pub(super) size: Option<u64>,
    pub(super) headers: HeaderMap,
}

/// What is to be done for a request.
#[derive(Debug)]
pub(super) enum Plan {
    /// Nothing more: HEAD, 304, 412, 416.
    Answer(Response),
    /// A body is to be sent after this head: these bytes of it, or all of it if the size is unknown.
    Send(Parts, Option<Range<u64>>),
}

impl Representation {
    /// Decides about a GET or HEAD request.
    pub(super) fn plan(&self, method: &Method, request: &HeaderMap) -> Plan {
        match self.validators.check(request) {
            Verdict::Proceed => {}
            Verdict::NotModified => return self.answer(StatusCode::NOT_MODIFIED),
            Verdict::Failed => return self.answer(StatusCode::PRECONDITION_FAILED),
        }
        let Some(size) = self.size else {
            return self.send(method, StatusCode::OK, None);
        };
        // RFC 9110 §14.2: `Range` means something for GET only.
        let ranged = method == Method::GET && self.validators.allow_range(request);
        let header = request.get(header::RANGE).filter(|_| ranged);
        match range::select(header, size) {
            Selection::Whole => self.send(method, StatusCode::OK, Some(0..size)),
            Selection::Part(range) => self.send(method, StatusCode::PARTIAL_CONTENT, Some(range)),
            Selection::Unsatisfiable => self.answer(StatusCode::RANGE_NOT_SATISFIABLE),
        }
    }

    fn answer(&self, status: StatusCode) -> Plan {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        self.describe(response.headers_mut());
        if status == StatusCode::RANGE_NOT_SATISFIABLE {
            let range = format!("bytes */{}", self.size.unwrap_or_default());
            insert(response.headers_mut(), header::CONTENT_RANGE, range);
        }
        Plan::Answer(response)
    }

    fn send(&self, method: &Method, status: StatusCode, range: Option<Range<u64>>) -> Plan {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        self.describe(headers);
        headers.insert(header::CONTENT_TYPE, self.content_type.clone());
        if let Some(range) = &range {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
        }
        if status == StatusCode::PARTIAL_CONTENT
            && let (Some(range), Some(size)) = (&range, self.size)
        {
            let text = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            insert(headers, header::CONTENT_RANGE, text);
        }
        if method == Method::HEAD {
            return Plan::Answer(response);
        }
        Plan::Send(response.into_parts().0, range)
    }

    /// The headers that every answer about this representation carries.
    fn describe(&self, headers: &mut HeaderMap) {
        if let Some(etag) = &self.validators.etag {
            headers.insert(header::ETAG, etag.clone());
        }
        if let Some(modified) = self.validators.last_modified() {
            insert(headers, header::LAST_MODIFIED, httpdate::fmt_http_date(modified));
        }
        if self.size.is_some() {
            headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        }
        headers.extend(self.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
}

/// The entity tag of bytes with these digests: `"sha256:…"`, or of the strongest other one.
pub(super) fn etag(digests: &Digests) -> Option<HeaderValue> {
    let sha256 = digests.get(Algorithm::Sha256).map(|bytes| (Algorithm::Sha256, bytes));
    let (algorithm, bytes) = sha256.or_else(|| digests.strongest())?;
    let text = format!("\"{algorithm}:{}\"", hex::encode(bytes));
    HeaderValue::try_from(text).ok()
}

/// As HTTP's dates need it; times before 1970 do not occur.
pub(super) fn system_time(time: Timestamp) -> SystemTime {
    let micros = u64::try_from(time.0).unwrap_or_default();
    SystemTime::UNIX_EPOCH + std::time::Duration::from_micros(micros)
}

/// A page for people.
pub(super) fn html(page: String) -> Response {
    text(StatusCode::OK, "text/html; charset=utf-8", page)
}

/// An answer that explains itself.
pub(super) fn explain(status: StatusCode, reason: impl std::fmt::Display) -> Response {
    text(status, "text/plain; charset=utf-8", format!("{reason}\n"))
}

/// A redirect to `location`, an absolute path that is already encoded.
pub(super) fn redirect(location: &str) -> Response {
    let mut response = explain(StatusCode::MOVED_PERMANENTLY, format_args!("Moved to {location}"));
    insert(response.headers_mut(), header::LOCATION, location.to_owned());
    response
}

/// An answer with a text.
pub(super) fn text(status: StatusCode, content_type: &'static str, text: String) -> Response {
    let length = text.len();
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Inserts a value made here; one that HTTP does not allow (it cannot occur) is left out.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn representation(size: Option<u64>) -> Representation {
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        Representation {
            validators: Validators::new(Some(HeaderValue::from_static("\"x\"")), Some(modified)),
            content_type: HeaderValue::from_static("text/plain"),
            size,
            headers: HeaderMap::from_iter([(
                HeaderName::from_static("x-extra"),
                HeaderValue::from_static("1"),
            )]),
        }
    }

    /// Status, headers and range as text.
    fn planned(size: Option<u64>, method: &Method, request: &[(&'static str, &str)]) -> String {
        let request = request.iter().map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::try_from(*value).expect("a value"))
        });
        let (status, headers, range) = match representation(size).plan(method, &request.collect()) {
            Plan::Answer(answer) => (answer.status(), answer.headers().clone(), "none".to_owned()),
            Plan::Send(head, range) => (head.status, head.headers, format!("{range:?}")),
        };
        let mut lines: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().expect("text")))
            .collect();
        lines.sort_unstable();
        format!("{}\n{}\nbody: {range}", status.as_u16(), lines.join("\n"))
    }

    #[test]
    fn a_plain_request_gets_everything_with_its_length() {
        insta::assert_snapshot!(planned(Some(10), &Method::GET, &[]), @r#"
        200
        accept-ranges: bytes
        content-length: 10
        content-type: text/plain
        etag: "x"
        last-modified: Sun, 06 Nov 1994 08:49:37 GMT
        x-extra: 1
        body: Some(0..10)
        "#);
    }

    #[test]
    fn head_is_get_without_the_body() {
        for size in [Some(10), None] {
            let get = planned(size, &Method::GET, &[]);
            let head = planned(size, &Method::HEAD, &[]);
            assert_eq!(head.rsplit_once('\n').map(|(head, _)| head), {
                get.rsplit_once('\n').map(|(head, _)| head)
            });
            assert!(head.ends_with("body: none"), "{head}");
        }
    }

    #[test]
    fn a_range_gets_its_part_and_is_ignored_on_head() {
        let range = [("range", "bytes=2-5")];
        insta::assert_snapshot!(planned(Some(10), &Method::GET, &range), @r#"
        206
        accept-ranges: bytes
        content-length: 4
        content-range: bytes 2-5/10
        content-type: text/plain
        etag: "x"
        last-modified: Sun, 06 Nov 1994 08:49:37 GMT
        x-extra: 1
        body: Some(2..6)
        "#);
        assert!(planned(Some(10), &Method::HEAD, &range).starts_with("200"));
        let other = [("range", "bytes=2-5"), ("if-range", "\"y\"")];
        assert!(planned(Some(10), &Method::GET, &other).starts_with("200"));
    }

    #[test]
    fn without_a_size_there_are_no_lengths_and_no_ranges() {
        insta::assert_snapshot!(planned(None, &Method::GET, &[("range", "bytes=2-5")]), @r#"
        200
        content-type: text/plain
        etag: "x"
        last-modified: Sun, 06 Nov 1994 08:49:37 GMT
        x-extra: 1
        body: None
        "#);
    }

    #[test]
    fn what_needs_no_body_has_neither_length_nor_type() {
        insta::assert_snapshot!(planned(Some(10), &Method::GET, &[("if-none-match", "\"x\"")]), @r#"
        304
        accept-ranges: bytes
        etag: "x"
        last-modified: Sun, 06 Nov 1994 08:49:37 GMT
        x-extra: 1
        body: none
        "#);
        let beyond = planned(Some(10), &Method::GET, &[("range", "bytes=10-")]);
        assert!(
            beyond.starts_with("416") && beyond.contains("content-range: bytes */10"),
            "{beyond}"
        );
    }
}
