//! The metadata of one distribution, gathered whole and from one state of upstream.
//!
//! Upstream may change between the release file and the files that it lists, and a mixture of both
//! states is of no use to anybody. So nothing goes into the line before everything is there; and
//! when a file is absent or another than the one that is listed, the release file is asked for
//! again. If it has changed meanwhile, all begins once more with the new one, once. What is missing
//! then is missing upstream: an error if the sync is pointless without it, else a line among the
//! warnings.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use pulp_stages::{
    progress::Counter,
    sync::{SyncError, Warnings},
};

use super::needs::is_mandatory;
use crate::{
    index_fetch::{FetchedIndex, IndexFetcher, Problem},
    options::DebRemoteOptions,
    selection::{Index, Selection, select},
    upstream::{Distribution, ReleaseFetcher, SignedRelease, check_dates, future_date},
};

/// Listed files of one distribution that are fetched at once (the remote's own limit counts too).
const FETCHES: usize = 8;

/// Of missing files so many are named.
const SHOWN: usize = 5;

/// Gathers the distributions of one remote.
pub(super) struct Gatherer {
    pub(super) releases: ReleaseFetcher,
    pub(super) indices: IndexFetcher,
    pub(super) options: DebRemoteOptions,
    pub(super) warnings: Warnings,
    pub(super) fetched: Counter,
}

/// A distribution's metadata, nothing of it in the line yet.
pub(super) struct Gathered {
    pub(super) signed: SignedRelease,
    pub(super) selection: Selection,
    /// The selected files, at least one variant of each.
    pub(super) files: Vec<(Index, FetchedIndex)>,
    /// What is listed besides and left to the first client that asks for it: apt fails on a listed
    /// file that is absent. Nothing where upstream's list cannot be published.
    pub(super) on_demand: Vec<Index>,
}

/// Why a distribution cannot be mirrored as it was asked for.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("The release file lists no packages of what was asked for")]
    NoPackages,
    #[error("It cannot be had in any compression: {0}")]
    Missing(String),
}

impl Gatherer {
    /// Gathers what the release file lists; see the module.
    pub(super) async fn gather(
        &self,
        distribution: &Distribution,
        signed: SignedRelease,
    ) -> Result<Gathered, SyncError> {
        let before = signed.fingerprint(distribution);
        let mut attempt = self.attempt(distribution, signed).await?;
        if attempt.is_doubtful() {
            let now = self.releases.fetch(distribution).await?;
            if now.fingerprint(distribution) != before {
                self.check_dates(distribution, &now)?;
                self.warnings.add(format!(
                    "`{}` changed upstream while it was read; it was read again from the start",
                    distribution.name
                ));
                attempt = self.attempt(distribution, now).await?;
            }
        }
        self.judge(distribution, attempt)
    }

    /// Refuses a release file by its dates.
    pub(super) fn check_dates(
        &self,
        distribution: &Distribution,
        signed: &SignedRelease,
    ) -> Result<(), SyncError> {
        let releases = &self.releases;
        let last = releases.known.get(&distribution.name).and_then(|release| release.date);
        let url = releases.url_of(distribution, signed.files[0].0);
        if let Some(warning) = future_date(&url, &signed.release, releases.now) {
            self.warnings.add(warning);
        }
        check_dates(&url, &signed.release, last, &self.options, releases.now)
    }

    async fn attempt(
        &self,
        distribution: &Distribution,
        mut signed: SignedRelease,
    ) -> Result<Attempt, SyncError> {
        let incomplete = self.releases.complete(distribution, &mut signed).await?;
        let selection = select(&signed.release, &distribution.name, &self.options.wanted());
        let by_hash = signed.release.acquire_by_hash;
        // Clients choose among the compressions of upstream's indices; ours are made anew.
        let one = self.options.is_filtered();
        let files = stream::iter(selection.indices.clone())
            .map(|index| async move {
                let one = one && is_mandatory(index.family);
                let fetched = self.indices.fetch(distribution, &index, by_hash, one).await?;
                self.fetched.add(1);
                Ok::<_, SyncError>((index, fetched))
            })
            .buffered(FETCHES)
            .try_collect()
            .await?;
        Ok(Attempt { signed, selection, files, incomplete })
    }

    /// Tells what is missing, or fails because of it.
    fn judge(&self, distribution: &Distribution, attempt: Attempt) -> Result<Gathered, SyncError> {
        let Attempt { signed, selection, mut files, incomplete } = attempt;
        for warning in &selection.warnings {
            self.warnings.add(format!("`{}`: {warning}", distribution.name));
        }
        if let Some(reason) = incomplete {
            self.warnings.add(reason);
        }
        let has_packages = selection.indices.iter().any(|index| is_mandatory(index.family));
        if !has_packages && !self.options.ignore_missing_package_indices {
            let url = self.releases.url_of(distribution, signed.files[0].0);
            return Err(SyncError::upstream(&url, Unusable::NoPackages)
                .with_hint("check the components and the architectures"));
        }
        let all_in_each = signed.release.all_in_each_architecture;
        let mut absent = Vec::new();
        for (index, fetched) in &files {
            if fetched.variants.is_empty() && self.is_needed(index, all_in_each) {
                return Err(self.missing(distribution, index, &fetched.problems));
            }
            if let (true, [problem, ..]) = (fetched.variants.is_empty(), &fetched.problems[..])
                && fetched.problems.iter().all(|problem| problem.is_absent)
            {
                // One line for the file, not one for each compression.
                let plain = distribution.path(index.path.as_str());
                absent.push(plain.unwrap_or_else(|_| problem.path.clone()));
                continue;
            }
            for Problem { path, is_absent, reason } in &fetched.problems {
                if *is_absent {
                    absent.push(path.clone());
                } else {
                    self.warnings.add(format!("Left out `{path}`: {reason}"));
                }
            }
        }
        if !absent.is_empty() {
            let shown: Vec<_> = absent.iter().take(SHOWN).map(|path| format!("`{path}`")).collect();
            let more = match absent.len().saturating_sub(SHOWN) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            self.warnings.add(format!(
                "`{}` lists files that upstream does not have: {}{more}",
                distribution.name,
                shown.join(", ")
            ));
        }
        files.retain(|(_, fetched)| !fetched.variants.is_empty());
        let on_demand = self.others(distribution, &signed, &selection);
        Ok(Gathered { signed, selection, files, on_demand })
    }

    /// What clients may ask for and was not selected.
    fn others(
        &self,
        distribution: &Distribution,
        signed: &SignedRelease,
        selection: &Selection,
    ) -> Vec<Index> {
        if self.options.is_filtered() {
            return Vec::new();
        }
        let wanted = self.options.wanted().complete();
        let mut all = select(&signed.release, &distribution.name, &wanted).indices;
        // Both are in the order of their paths.
        all.retain(|index| {
            selection.indices.binary_search_by(|known| known.path.cmp(&index.path)).is_err()
        });
        all
    }

    /// Whether the sync is not what was asked for without this index.
    fn is_needed(&self, index: &Index, all_in_each: bool) -> bool {
        is_mandatory(index.family)
            && !(all_in_each && index.architecture.as_deref() == Some("all"))
            && !self.options.ignore_missing_package_indices
    }

    fn missing(
        &self,
        distribution: &Distribution,
        index: &Index,
        problems: &[Problem],
    ) -> SyncError {
        let reasons: Vec<_> = problems.iter().map(|problem| &*problem.reason).collect();
        let url = self.releases.url_of(distribution, index.path.as_str());
        SyncError::upstream(&url, Unusable::Missing(reasons.join("; "))).with_hint(
            "upstream may be changing, then try again; \
             `--ignore-missing-package-indices` does without",
        )
    }
}

/// What one reading of upstream gave.
struct Attempt {
    signed: SignedRelease,
    selection: Selection,
    files: Vec<(Index, FetchedIndex)>,
    /// Why a file that repeats the release file was left out.
    incomplete: Option<String>,
}

impl Attempt {
    /// Whether it looks as if upstream had changed on the way.
    fn is_doubtful(&self) -> bool {
        self.incomplete.is_some()
            || self.files.iter().any(|(_, fetched)| {
                fetched.variants.is_empty()
                    || fetched.problems.iter().any(|problem| !problem.is_absent)
            })
    }
}
