//! What every repository type can be asked, on both databases.
//!
//! A plugin describes its upstream once, as a [`Blueprint`], and gets the tests: syncs, additive and
//! as a mirror, all policies, what goes wrong upstream, cancellation in every stage, resumption,
//! publishing, serving, upkeep, memory. A test target of its own is enough:
//!
//! ```text
//! //! The conformance kit, on lists of notes.
//! use pulp_stages::testing::{Blueprint, Sample};
//!
//! struct Notes;
//!
//! impl Blueprint for Notes {
//!     type Plugin = plugin_notes::Notes;
//!     const PLUGIN: Self::Plugin = plugin_notes::Notes;
//!     const URL: &'static str = "NOTES";
//!
//!     fn metadata(samples: &[Sample]) -> Vec<(String, Bytes)> {
//!         let line = |sample: &Sample| format!("{} {}\n", sample.sha256(), sample.name);
//!         vec![("NOTES".to_owned(), samples.iter().map(line).collect::<String>().into())]
//!     }
//! }
//!
//! pulp_stages::conformance!(Notes);
//! ```
//!
//! The kit knows no format. What is special about a type (signatures, tags, own routes) is tested
//! beside it, with the same [`Lab`].

mod bench;
mod edited;
mod faults;
mod interruption;
mod memory;
mod serving;
mod sync;
mod upkeep;

use bytes::Bytes;
use pulp_models::Sha256;
use serde_json::{Value, json};

use super::Lab;
use crate::plugin::Plugin;

pub use faults::{corrupt_bytes, dying_server, truncated_transfers};
pub use interruption::{cancelled_everywhere, killed_and_resumed};
pub use memory::many_units;
pub use serving::{deferred_files, served_publication};
pub use sync::{additive, changed, every_policy, first_and_second, mirror};
pub use upkeep::{cleaned_up, reclaimed, repaired};

/// A file that an upstream offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Its name: lower-case letters and digits.
    pub name: String,
    /// Its bytes.
    pub bytes: Bytes,
}

impl Sample {
    /// A file of a kilobyte that no other name has.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), bytes: format!("{name}\n").repeat(200).into() }
    }

    /// The digest of its bytes.
    pub fn sha256(&self) -> Sha256 {
        Sha256::of(&self.bytes)
    }

    /// Their number.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }
}

/// How an upstream of a repository type is written. Required are the plugin and the metadata; the
/// rest says where a type's files lie if not under their names.
pub trait Blueprint: Send + Sync + 'static {
    /// The plugin that is tested.
    type Plugin: Plugin;
    /// It.
    const PLUGIN: Self::Plugin;
    /// The remote's URL below upstream's root.
    const URL: &'static str = "";
    /// How many units [`many_units`] asks for.
    const UNITS: usize = 10_000;

    /// What upstream has beside the samples' own bytes, by path, when it offers exactly these.
    fn metadata(samples: &[Sample]) -> Vec<(String, Bytes)>;

    /// The remote's options.
    fn options() -> Value {
        json!({})
    }

    /// Where a sample lies within its unit: its relative path, by default its name.
    fn path(sample: &Sample) -> String {
        sample.name.clone()
    }

    /// Where its bytes lie below upstream's root; by default at its path.
    fn source(sample: &Sample) -> String {
        Self::path(sample)
    }

    /// Where clients find it; by default at its path below the distribution's base path.
    fn served(sample: &Sample) -> String {
        let below = Self::PLUGIN.served_below();
        format!("{below}{}/{}", Lab::<Self::Plugin>::BASE_PATH, Self::path(sample))
    }
}

/// Declares the kit's tests for a [`Blueprint`], each on SQLite and on PostgreSQL.
#[macro_export]
macro_rules! conformance {
    ($blueprint:ty) => {
        $crate::testing::both_databases! {
            async fn a_first_sync_has_everything_and_a_second_finds_nothing_new(
                db: $crate::testing::TestDatabase
            ) {
                $crate::testing::conformance::first_and_second::<$blueprint>(db).await;
            }

            async fn an_additive_sync_keeps_what_upstream_removed(
                db: $crate::testing::TestDatabase
            ) {
                $crate::testing::conformance::additive::<$blueprint>(db).await;
            }

            async fn a_mirror_follows_what_upstream_moved_and_deleted(
                db: $crate::testing::TestDatabase
            ) {
                $crate::testing::conformance::mirror::<$blueprint>(db).await;
            }

            async fn a_changed_file_takes_the_place_of_the_old_one(
                db: $crate::testing::TestDatabase
            ) {
                $crate::testing::conformance::changed::<$blueprint>(db).await;
            }

            async fn every_policy_stores_what_it_says(db: $crate::testing::TestDatabase) {
                $crate::testing::conformance::every_policy::<$blueprint>(db).await;
            }

            async fn corrupt_bytes_fail_a_sync_by_name_and_leave_nothing_visible(
                db: $crate::testing::TestDatabase
            ) {
                $crate::testing::conformance::corrupt_bytes::<$blueprint>(db).await;
            }

            async fn a_truncated_transfer_is_resumed_or_fails_the_sync(
                db: $crate::testing::TestDatabase
            ) {
                $crate::testing::conformance::truncated_transfers::<$blueprint>(db).await;
            }

            async fn a_server_that_dies_is_told_and_one_that_returns_is_used(
                db: $crate::testing::TestDatabase
            ) {
                $crate::testing::conformance::dying_server::<$blueprint>(db).await;
            }

            async fn a_sync_cancelled_in_any_stage_leaves_nothing_visible(
                db: $crate::testing::TestDatabase
            ) {
                $crate::testing::conformance::cancelled_everywhere::<$blueprint>(db).await;
            }

            async fn a_killed_sync_is_resumed_with_what_it_had_stored(
                db: $crate::testing::TestDatabase
            ) {
                $crate::testing::conformance::killed_and_resumed::<$blueprint>(db).await;
            }

            async fn a_publication_is_served_whole_and_in_ranges(
                db: $crate::testing::TestDatabase
            ) {
                $crate::testing::conformance::served_publication::<$blueprint>(db).await;
            }

            async fn deferred_files_are_fetched_by_their_first_reader(
                db: $crate::testing::TestDatabase
            ) {
                $crate::testing::conformance::deferred_files::<$blueprint>(db).await;
            }

            async fn damaged_and_missing_files_are_repaired(db: $crate::testing::TestDatabase) {
                $crate::testing::conformance::repaired::<$blueprint>(db).await;
            }

            async fn reclaimed_files_stay_servable(db: $crate::testing::TestDatabase) {
                $crate::testing::conformance::reclaimed::<$blueprint>(db).await;
            }

            async fn what_no_version_has_is_cleaned_up(db: $crate::testing::TestDatabase) {
                $crate::testing::conformance::cleaned_up::<$blueprint>(db).await;
            }

            async fn a_first_stage_does_not_collect_its_units(
                db: $crate::testing::TestDatabase
            ) {
                $crate::testing::conformance::many_units::<$blueprint>(db).await;
            }
        }
    };
}
