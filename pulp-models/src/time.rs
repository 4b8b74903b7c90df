//! Points in time as both databases hold them: microseconds since the Unix epoch, UTC.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Microseconds since 1970-01-01T00:00:00Z. Displays and serialises as RFC 3339 in UTC.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    diesel::expression::AsExpression,
    diesel::deserialize::FromSqlRow,
)]
#[diesel(sql_type = diesel::sql_types::BigInt)]
pub struct Timestamp(pub i64);

/// A text that is no RFC 3339 point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid time `{text}`")]
pub struct InvalidTime {
    text: String,
}

impl Timestamp {
    /// The system clock's time.
    pub fn now() -> Self {
        Self(jiff::Timestamp::now().as_microsecond())
    }

    /// This time and `seconds` more (fewer when negative), saturating.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }

    /// Whole seconds since the epoch, rounded down.
    pub fn as_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    fn to_jiff(self) -> jiff::Timestamp {
        let limit = if self.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(limit)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_jiff().fmt(f)
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time: jiff::Timestamp =
            text.parse().map_err(|_| InvalidTime { text: text.chars().take(64).collect() })?;
        Ok(Self(time.as_microsecond()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_survives_its_text_and_its_json() {
        let time = Timestamp(1_700_000_000_123_456);
        assert_eq!(time.to_string(), "2023-11-14T22:13:20.123456Z");
        assert_eq!(time.to_string().parse(), Ok(time));
        let json = serde_json::to_string(&time).expect("serialises");
        assert_eq!(serde_json::from_str::<Timestamp>(&json).expect("round trip"), time);
    }

    #[test]
    fn times_beyond_the_calendar_still_display() {
        assert!(Timestamp(i64::MAX).to_string().starts_with("9999-"));
        assert!("yesterday".parse::<Timestamp>().is_err());
    }
}
