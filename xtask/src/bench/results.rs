//! What was measured: samples of cases and contenders, and their medians.

use serde::{Deserialize, Serialize};

use super::measure::Sample;

/// Everything of one run of the bench, as it is written to `bench.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Results {
    /// Of this tree; ends in `+` if files differ from it.
    pub(super) revision: String,
    /// Seconds since the epoch.
    pub(super) started: u64,
    pub(super) processors: usize,
    pub(super) database: String,
    pub(super) rounds: usize,
    pub(super) cases: Vec<Measured>,
}

/// One case.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Measured {
    pub(super) name: String,
    pub(super) about: String,
    /// Files, packages, tags or requests that a run handles.
    pub(super) units: u64,
    /// This tree first.
    pub(super) contenders: Vec<Contestant>,
}

/// One contender in one case.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Contestant {
    pub(super) name: String,
    /// In the order in which they were taken; none after a run that failed.
    pub(super) samples: Vec<Sample>,
    pub(super) median: Sample,
    /// What went wrong, if something did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) failure: Option<String>,
}

impl Results {
    /// Whatever went wrong: in which case, with whom, and how.
    pub(super) fn failures(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.cases.iter().flat_map(|case| {
            case.contenders.iter().filter_map(|contestant| {
                Some((&*case.name, &*contestant.name, contestant.failure.as_deref()?))
            })
        })
    }
}

impl Contestant {
    pub(super) fn new(name: String, samples: Vec<Sample>, failure: Option<String>) -> Self {
        let median = Sample {
            wall: median(samples.iter().map(|sample| sample.wall)).unwrap_or_default(),
            cpu: median(samples.iter().filter_map(|sample| sample.cpu)),
            peak: median(samples.iter().filter_map(|sample| sample.peak)),
            requests: median(samples.iter().filter_map(|sample| sample.requests)),
            server_cpu: median(samples.iter().filter_map(|sample| sample.server_cpu)),
            rate: median(samples.iter().filter_map(|sample| sample.rate)),
            throughput: median(samples.iter().filter_map(|sample| sample.throughput)),
        };
        Self { name, samples, median, failure }
    }
}

/// The middle one; of an even number, the lower of the two in the middle.
fn median<T: PartialOrd>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut values: Vec<T> = values.collect();
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    let middle = values.len().checked_sub(1)? / 2;
    Some(values.swap_remove(middle))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_a_value_that_was_measured() {
        assert_eq!(median([3, 1, 2].into_iter()), Some(2));
        assert_eq!(median([4, 3, 1, 2].into_iter()), Some(2));
        assert_eq!(median(std::iter::empty::<u8>()), None);
        let samples = [2.0, 9.0, 1.0].map(|wall| Sample { wall, ..Sample::default() });
        let contestant = Contestant::new("x".into(), samples.into(), None);
        assert!((contestant.median.wall - 2.0).abs() < 1e-9);
        assert_eq!(contestant.median.cpu, None);
    }
}
