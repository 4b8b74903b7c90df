//! When a release file is refused although a trusted key has signed it: too old, or older than the
//! one before.

use pulp_models::RemoteUrl;
use pulp_stages::sync::SyncError;

use crate::{openpgp::day, options::DebRemoteOptions, release::Release};

/// What the dates of a release file say against it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DateProblem {
    /// `Valid-Until` has passed.
    #[error("The release file was valid until {0}")]
    Expired(String),
    /// The last one was newer.
    #[error("The release file is of {date}, the last one was of {last}")]
    Older {
        /// This one's day.
        date: String,
        /// The day of the one that was mirrored before.
        last: String,
    },
}

/// What is said of a release file from `url` that is dated after `now`. apt takes none that is more
/// than ten seconds ahead (`Acquire::Max-FutureTime`).
pub fn future_date(url: &RemoteUrl, release: &Release, now: i64) -> Option<String> {
    let date = release.date.filter(|date| *date > now.saturating_add(10))?;
    let date = day(date);
    Some(format!("`{url}` is dated {date}, which is still to come: apt refuses it until then"))
}

/// Refuses the release file from `url` after its `Valid-Until`, and one older than `last`, the date
/// of the one that was mirrored before. The options may allow either.
pub fn check_dates(
    url: &RemoteUrl,
    release: &Release,
    last: Option<i64>,
    options: &DebRemoteOptions,
    now: i64,
) -> Result<(), SyncError> {
    if let Some(end) = release.valid_until
        && end < now
        && !options.allow_expired
    {
        return Err(SyncError::upstream(url, DateProblem::Expired(day(end))).with_hint(
            "upstream may be an old mirror; `--allow-expired` accepts it, until `pulp deb remote \
             update --unset allow-expired`",
        ));
    }
    if let (Some(date), Some(last)) = (release.date, last)
        && date < last
        && !options.allow_downgrade
    {
        let problem = DateProblem::Older { date: day(date), last: day(last) };
        return Err(SyncError::upstream(url, problem).with_hint(
            "upstream went back in time; `--allow-downgrade` accepts it, until `pulp deb remote \
             update --unset allow-downgrade`",
        ));
    }
    Ok(())
}
