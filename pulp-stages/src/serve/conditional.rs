//! Preconditions (RFC 9110 §13): whether the client already has what it asks for.
//!
//! Knows the validators of one representation (a strong `ETag`, a `Last-Modified` of whole seconds)
//! and the request's headers; knows nothing of bodies. Comes before [`super::range`].

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue, header};

/// What identifies the state of a representation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Validators {
    /// Strong, quotes included. `None` while no digest is known.
    pub(super) etag: Option<HeaderValue>,
    /// When it became visible, in whole seconds.
    modified: Option<SystemTime>,
    /// Whether that is long enough ago that nothing else became visible at the same time.
    settled: bool,
}

/// After so long nothing becomes visible any more whose time is now: dates count seconds, and a
/// transaction takes a moment to be seen.
const SETTLES: Duration = Duration::from_secs(2);

/// What the preconditions of a request demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Answer as if there were no conditions.
    Proceed,
    /// The client has it: 304.
    NotModified,
    /// The client wanted another state of it: 412.
    Failed,
}

impl Validators {
    /// Validators from parts; fractions of a second are dropped, since HTTP dates have none.
    pub(super) fn new(etag: Option<HeaderValue>, modified: Option<SystemTime>) -> Self {
        let modified = modified.map(whole_seconds);
        let settled = modified.is_some_and(|modified| modified + SETTLES <= SystemTime::now());
        Self { etag, modified, settled }
    }

    /// What clients are told and ask with later. Of what is brand new it is a second less, so that
    /// a client that comes back gets what may have replaced it within that second (RFC 9110 §8.8.2.2
    /// calls such a date weak; apt knows no entity tags).
    pub(super) fn last_modified(&self) -> Option<SystemTime> {
        let less = Duration::from_secs(u64::from(!self.settled));
        self.modified.map(|modified| modified - less)
    }

    /// Evaluates everything but `If-Range`, in the order of RFC 9110 §13.2.2. For GET and HEAD.
    pub(super) fn check(&self, request: &HeaderMap) -> Verdict {
        if request.contains_key(header::IF_MATCH) {
            if !self.listed(request, &header::IF_MATCH, Comparison::Strong) {
                return Verdict::Failed;
            }
        } else if let Some(since) = date(request, &header::IF_UNMODIFIED_SINCE)
            && self.modified.is_some_and(|modified| modified > since)
        {
            return Verdict::Failed;
        }
        if request.contains_key(header::IF_NONE_MATCH) {
            if self.listed(request, &header::IF_NONE_MATCH, Comparison::Weak) {
                return Verdict::NotModified;
            }
        } else if let Some(since) = date(request, &header::IF_MODIFIED_SINCE)
            && self.settled
            && self.modified.is_some_and(|modified| modified <= since)
        {
            return Verdict::NotModified;
        }
        Verdict::Proceed
    }

    /// Whether `Range` counts: there is no `If-Range`, or it names this very state (§13.1.5).
    pub(super) fn allow_range(&self, request: &HeaderMap) -> bool {
        let Some(condition) = request.get(header::IF_RANGE) else { return true };
        let text = condition.as_bytes();
        if text.starts_with(b"\"") || text.starts_with(b"W/") {
            return self.etag.as_ref().is_some_and(|etag| etag.as_bytes() == text);
        }
        let since = condition.to_str().ok().and_then(|text| httpdate::parse_http_date(text).ok());
        self.settled && since.is_some() && since == self.modified
    }

    fn listed(
        &self,
        request: &HeaderMap,
        name: &header::HeaderName,
        comparison: Comparison,
    ) -> bool {
        let own = self.etag.as_ref().and_then(|etag| etag.to_str().ok());
        request.get_all(name).iter().filter_map(|value| value.to_str().ok()).any(|value| {
            value.trim() == "*" || own.is_some_and(|own| lists(value, own, comparison))
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// Whether the list of entity tags `value` has `own`. Ours hold neither commas nor quotes inside,
/// so a split at commas cannot join or invent a tag that equals ours.
fn lists(value: &str, own: &str, comparison: Comparison) -> bool {
    value.split(',').map(str::trim).any(|tag| match tag.strip_prefix("W/") {
        Some(weak) => comparison == Comparison::Weak && weak == own,
        None => tag == own,
    })
}

fn date(request: &HeaderMap, name: &header::HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(request.get(name)?.to_str().ok()?).ok()
}

fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETAG: &str = "\"sha256:aa\"";
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn validators() -> Validators {
        let modified = httpdate::parse_http_date(DATE).expect("a date");
        Validators::new(
            Some(HeaderValue::from_static(ETAG)),
            Some(modified + Duration::from_millis(900)),
        )
    }

    fn request(headers: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect()
    }

    fn verdict(headers: &[(header::HeaderName, &'static str)]) -> Verdict {
        validators().check(&request(headers))
    }

    #[test]
    fn a_known_entity_tag_is_not_modified() {
        for value in [ETAG, "*", "\"x\", \"sha256:aa\"", "W/\"sha256:aa\""] {
            assert_eq!(verdict(&[(header::IF_NONE_MATCH, value)]), Verdict::NotModified, "{value}");
        }
        for value in ["\"x\"", "sha256:aa", "\"sha256:aab\""] {
            assert_eq!(verdict(&[(header::IF_NONE_MATCH, value)]), Verdict::Proceed, "{value}");
        }
    }

    #[test]
    fn dates_count_only_without_entity_tags_and_only_if_valid() {
        let since = header::IF_MODIFIED_SINCE;
        assert_eq!(verdict(&[(since.clone(), DATE)]), Verdict::NotModified);
        assert_eq!(verdict(&[(since.clone(), LATER)]), Verdict::NotModified);
        assert_eq!(verdict(&[(since.clone(), EARLIER)]), Verdict::Proceed);
        assert_eq!(verdict(&[(since.clone(), "yesterday")]), Verdict::Proceed);
        let both = [(header::IF_NONE_MATCH, "\"x\""), (since, LATER)];
        assert_eq!(verdict(&both), Verdict::Proceed);
    }

    #[test]
    fn what_replaces_something_within_a_second_is_sent() {
        let now = SystemTime::now();
        let new = Validators::new(None, Some(now));
        let told = httpdate::fmt_http_date(new.last_modified().expect("a date"));
        assert!(new.last_modified() < Some(whole_seconds(now)));
        for date in [told, httpdate::fmt_http_date(now)] {
            let date = HeaderValue::try_from(date).expect("a header");
            let since = HeaderMap::from_iter([(header::IF_MODIFIED_SINCE, date.clone())]);
            assert_eq!(new.check(&since), Verdict::Proceed);
            let resumed = HeaderMap::from_iter([(header::IF_RANGE, date)]);
            assert!(!new.allow_range(&resumed));
        }
        let old = Validators::new(None, Some(now - SETTLES - Duration::from_secs(1)));
        let told = httpdate::fmt_http_date(old.last_modified().expect("a date"));
        let told = HeaderValue::try_from(told).expect("a header");
        let since = HeaderMap::from_iter([(header::IF_MODIFIED_SINCE, told)]);
        assert_eq!(old.check(&since), Verdict::NotModified);
    }

    #[test]
    fn demands_for_another_state_fail() {
        assert_eq!(verdict(&[(header::IF_MATCH, "\"x\"")]), Verdict::Failed);
        assert_eq!(verdict(&[(header::IF_MATCH, "W/\"sha256:aa\"")]), Verdict::Failed);
        assert_eq!(verdict(&[(header::IF_MATCH, ETAG)]), Verdict::Proceed);
        assert_eq!(verdict(&[(header::IF_UNMODIFIED_SINCE, EARLIER)]), Verdict::Failed);
        assert_eq!(verdict(&[(header::IF_UNMODIFIED_SINCE, DATE)]), Verdict::Proceed);
    }

    #[test]
    fn a_range_counts_only_for_the_state_it_was_begun_with() {
        for (value, allowed) in [
            (ETAG, true),
            ("\"x\"", false),
            ("W/\"sha256:aa\"", false),
            (DATE, true),
            (LATER, false),
            ("yesterday", false),
        ] {
            let request = request(&[(header::IF_RANGE, value)]);
            assert_eq!(validators().allow_range(&request), allowed, "{value}");
        }
        assert!(validators().allow_range(&HeaderMap::new()));
    }
}
