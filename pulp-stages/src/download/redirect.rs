//! Where a redirect leads, whether to go there, and what to take along (RFC 9110, 15.4).

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use pulp_models::RemoteUrl;
use url::Url;

use super::{
    DownloadError,
    client::same_origin,
    error::{Location, RedirectProblem},
};

/// How many redirects in a row are followed.
pub const MAX_REDIRECTS: usize = 10;

/// Of the headers of one request, those that go along to another origin: they say what is wanted, not
/// by whom.
const TRAVELLING: [HeaderName; 6] = [
    header::ACCEPT,
    header::RANGE,
    header::IF_RANGE,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::CACHE_CONTROL,
];

/// One request on its way, from hop to hop.
#[derive(Debug, Clone)]
pub(super) struct Hop {
    pub(super) method: Method,
    /// Without user name, password and fragment.
    pub(super) url: Url,
    /// What was asked for with this one request; the client's own headers come on top.
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
    /// Whether `https` may lead to `http`.
    pub(super) may_downgrade: bool,
    visited: Vec<Url>,
}

impl Hop {
    pub(super) fn first(
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: Option<Bytes>,
        may_downgrade: bool,
    ) -> Self {
        Self { method, url: anonymous(url), headers, body, may_downgrade, visited: Vec::new() }
    }

    /// The URL that was asked first, if this is not it.
    pub(super) fn redirected_from(&self) -> Option<&Url> {
        self.visited.first()
    }

    /// Becomes the hop that an answer with this status and these headers leads to; false if that
    /// answer is final.
    pub(super) fn advance(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<bool, DownloadError> {
        let Some(location) = headers.get(header::LOCATION).filter(|_| leads_on(status)) else {
            return Ok(false);
        };
        let target = std::str::from_utf8(location.as_bytes())
            .ok()
            .and_then(|location| self.url.join(location).ok());
        let Some(target) = target.map(anonymous) else {
            return Err(self.problem(None, RedirectProblem::Invalid));
        };
        if let Some(problem) = self.objection(&target) {
            return Err(self.problem(Some(target), problem));
        }
        if !same_origin(&target, &self.url) {
            let kept = TRAVELLING.into_iter().filter_map(|name| {
                let value = self.headers.remove(&name)?;
                Some((name, value))
            });
            self.headers = kept.collect();
        }
        let becomes_get = match status {
            StatusCode::SEE_OTHER => self.method != Method::HEAD,
            // As every browser does, and RFC 9110 allows.
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
            _ => false,
        };
        if becomes_get {
            self.method = Method::GET;
            self.body = None;
            self.headers.remove(header::CONTENT_TYPE);
        }
        self.visited.push(std::mem::replace(&mut self.url, target));
        Ok(true)
    }

    fn objection(&self, target: &Url) -> Option<RedirectProblem> {
        if !matches!(target.scheme(), "http" | "https") {
            Some(RedirectProblem::Scheme)
        } else if self.url.scheme() == "https" && target.scheme() == "http" && !self.may_downgrade {
            Some(RedirectProblem::Downgrade)
        } else if self.url == *target || self.visited.contains(target) {
            Some(RedirectProblem::Loop)
        } else if self.visited.len() >= MAX_REDIRECTS {
            Some(RedirectProblem::TooMany)
        } else {
            None
        }
    }

    fn problem(&self, location: Option<Url>, reason: RedirectProblem) -> DownloadError {
        DownloadError::Redirect {
            url: RemoteUrl::from_url(self.url.clone()).into(),
            location: Location(location.map(|url| RemoteUrl::from_url(url).into())),
            reason,
        }
    }
}

fn leads_on(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Credentials in a URL are no part of what goes over the wire.
fn anonymous(mut url: Url) -> Url {
    if !url.username().is_empty() || url.password().is_some() {
        // Neither fails on a URL that has a host; one without holds no credentials.
        let _ = url.set_username("");
        let _ = url.set_password(None);
    }
    url.set_fragment(None);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(url: &str) -> Hop {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, "Bearer x".parse().expect("valid"));
        headers.insert(header::RANGE, "bytes=3-".parse().expect("valid"));
        Hop::first(Method::GET, url.parse().expect("valid"), headers, None, false)
    }

    fn follow(mut hop: Hop, location: &str) -> Result<Hop, String> {
        let headers = HeaderMap::from_iter([(header::LOCATION, location.parse().expect("valid"))]);
        let moved = hop.advance(StatusCode::FOUND, &headers).map_err(|error| error.to_string())?;
        assert!(moved);
        Ok(hop)
    }

    #[test]
    fn headers_of_the_request_stay_at_their_origin_unless_they_say_what_is_wanted() {
        let near = follow(hop("http://a/x"), "/y").expect("followed");
        assert!(near.headers.contains_key(header::AUTHORIZATION));
        for elsewhere in ["http://b/y", "http://a:81/y", "https://a/y"] {
            let far = follow(hop("http://a/x"), elsewhere).expect("followed");
            assert_eq!(far.headers.keys().collect::<Vec<_>>(), [header::RANGE]);
        }
    }

    #[test]
    fn percent_encoding_is_left_as_it_is() {
        let next = follow(hop("http://a/x"), "b%2Fc%20d?sig=a%2Bb+c").expect("followed");
        assert_eq!(next.url.as_str(), "http://a/b%2Fc%20d?sig=a%2Bb+c");
    }

    #[test]
    fn what_is_refused_says_why_and_shows_no_secret() {
        let error = |from, to| follow(hop(from), to).expect_err("refused");
        insta::assert_snapshot!(
            error("http://a/x", "file:///etc/passwd"),
            @"`http://a/x` redirects to `file:///etc/passwd`, which is neither `http` nor `https`"
        );
        insta::assert_snapshot!(
            error("https://a/x", "http://me:hunter2@a/x?token=hunter2"),
            @"`https://a/x` redirects to `http://a/x?...`, which would give up TLS"
        );
        insta::assert_snapshot!(
            error("http://a/x", "http://a/x"),
            @"`http://a/x` redirects to `http://a/x`, which closes a loop"
        );
    }

    #[test]
    fn the_eleventh_redirect_is_one_too_many() {
        let mut current = hop("http://a/0");
        for step in 1..=10 {
            current = follow(current, &format!("/{step}")).expect("followed");
        }
        assert!(follow(current, "/11").expect_err("refused").contains("eleventh"));
    }

    #[test]
    fn a_post_becomes_a_get_where_browsers_do_so() {
        for (status, method) in [(302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")] {
            let mut start = hop("http://a/x");
            start.method = Method::POST;
            let headers = HeaderMap::from_iter([(header::LOCATION, "/y".parse().expect("valid"))]);
            let status = StatusCode::from_u16(status).expect("valid");
            assert!(start.advance(status, &headers).expect("allowed"));
            assert_eq!(start.method.as_str(), method);
        }
    }
}
