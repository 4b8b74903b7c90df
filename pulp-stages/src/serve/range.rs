//! The `Range` header (RFC 9110 §14): which part of a representation a request asks for.
//!
//! Pure text and numbers. [`super::conditional`] decides before whether the header counts at all
//! (`If-Range`); [`super::response`] turns the outcome into a status and headers.

use std::ops::Range;

use http::HeaderValue;

/// What a `Range` header means for a representation of known length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Selection {
    /// No range, one in another unit, or several at once: the whole representation is sent, as RFC
    /// 9110 §14.2 permits.
    Whole,
    /// These bytes: not empty, within the representation.
    Part(Range<u64>),
    /// Outside the representation, or malformed: 416.
    Unsatisfiable,
}

/// Reads `header` for a representation of `length` bytes.
pub(super) fn select(header: Option<&HeaderValue>, length: u64) -> Selection {
    let Some(header) = header else { return Selection::Whole };
    let Some(set) = header.to_str().ok().and_then(byte_ranges) else { return Selection::Whole };
    if set.contains(',') {
        return Selection::Whole;
    }
    let Some(spec) = Spec::parse(set.trim()) else { return Selection::Unsatisfiable };
    spec.within(length)
}

/// The range set, if the unit is `bytes`.
fn byte_ranges(header: &str) -> Option<&str> {
    let (unit, set) = header.split_once('=')?;
    unit.trim().eq_ignore_ascii_case("bytes").then_some(set)
}

enum Spec {
    /// `first-` or `first-last`, both inclusive.
    From(u64, Option<u64>),
    /// `-length`.
    Last(u64),
}

impl Spec {
    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-')?;
        match (first, last) {
            ("", last) => number(last).map(Self::Last),
            (first, "") => number(first).map(|first| Self::From(first, None)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::From(first, Some(last)))
            }
        }
    }

    fn within(&self, length: u64) -> Selection {
        match *self {
            Self::From(first, _) if first >= length => Selection::Unsatisfiable,
            Self::From(first, last) => {
                let end = last.map_or(length, |last| last.saturating_add(1).min(length));
                Selection::Part(first..end)
            }
            Self::Last(0) => Selection::Unsatisfiable,
            // The suffix of nothing is satisfiable, but no `Content-Range` can say so.
            Self::Last(_) if length == 0 => Selection::Whole,
            Self::Last(count) => Selection::Part(length.saturating_sub(count)..length),
        }
    }
}

/// Digits only: `parse` alone would take a `+`. A number too large to hold is as good as the
/// largest one.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(header: &str, length: u64) -> Selection {
        select(Some(&HeaderValue::from_str(header).expect("a header")), length)
    }

    #[test]
    fn single_ranges_are_bounded_open_or_suffixes() {
        assert_eq!(of("bytes=0-0", 10), Selection::Part(0..1));
        assert_eq!(of("bytes=2-5", 10), Selection::Part(2..6));
        assert_eq!(of("bytes=7-", 10), Selection::Part(7..10));
        assert_eq!(of("bytes=-3", 10), Selection::Part(7..10));
        assert_eq!(of("Bytes= 2-5 ", 10), Selection::Part(2..6));
    }

    #[test]
    fn ends_are_clipped_to_the_representation() {
        assert_eq!(of("bytes=8-99", 10), Selection::Part(8..10));
        assert_eq!(of("bytes=-99", 10), Selection::Part(0..10));
        assert_eq!(of("bytes=0-99999999999999999999999", 10), Selection::Part(0..10));
    }

    #[test]
    fn what_lies_outside_or_makes_no_sense_is_unsatisfiable() {
        for header in [
            "bytes=10-",
            "bytes=10-11",
            "bytes=-0",
            "bytes=5-2",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=1",
            "bytes=99999999999999999999999-",
        ] {
            assert_eq!(of(header, 10), Selection::Unsatisfiable, "{header}");
        }
        assert_eq!(of("bytes=0-", 0), Selection::Unsatisfiable);
    }

    #[test]
    fn several_ranges_and_other_units_get_everything() {
        for header in ["bytes=0-1,3-4", "lines=1-2", "nonsense", "bytes"] {
            assert_eq!(of(header, 10), Selection::Whole, "{header}");
        }
        assert_eq!(of("bytes=-5", 0), Selection::Whole);
        assert_eq!(select(None, 10), Selection::Whole);
    }
}
