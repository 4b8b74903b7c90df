//! The guide: how to add a repository type.
//!
//! Read it in order the first time; each chapter stands alone afterwards. Every example is compiled
//! and run with the tests.
//!
//! | Chapter | After it you can |
//! |---|---|
//! | [`first_plugin`] | write a repository type: sync, mirror, policies, publish, serve, commands |
//! | [`parsers`] | feed the line from any parser: one that is asked, or one that calls back |
//! | [`on_demand`] | say which files wait for their first reader, and which cannot |
//! | [`discovery`] | read an upstream of several levels, with futures, in full batches |
//! | [`kept_indices`] | keep upstream's own index as a unit, and publish it as it is |
//! | [`custom_stages`] | put stages of your own into the line, at the right place, without harm |
//! | [`publishing`] | write metadata of your own and publish files elsewhere |
//! | [`own_routes`] | speak a protocol of your own beside `/pulp/content/` |
//! | [`testing`] | prove all of it: conformance, faults, single stages |
//! | [`performance`] | read a profile and know which stage is the slow one |
//!
//! `cargo xtask new-plugin NAME` writes what the first chapter explains, as a crate that is
//! registered and tested.
//!
//! # The line and its words
//!
//! A *remote* is where content comes from; a *repository* holds *versions*, each an immutable set of
//! *content* units. A unit is a typed value of yours with any number of files, its *artifacts*. A
//! *publication* maps paths to artifacts; a *distribution* serves one under a base path.
//!
//! A sync is an assembly line. Your *first stage* reads upstream and puts units into it; the stages
//! of the framework find out what is known, download, verify, store, write rows, and at the end make
//! a new version, whole or not at all:
//!
//! ```text
//! first stage ─▶ QueryExistingContents ─▶ QueryExistingArtifacts ─▶ ArtifactDownloader
//!    (yours)                                                                │
//!      ┌─ RemoteArtifactSaver ◀─ ContentSaver ◀─ ArtifactSaver ◀────────────┘
//!      └─▶ ResolveContentFutures ─▶ ContentAssociation ─▶ ContentUnassociation (mirror) ─▶ version
//! ```
//!
//! A unit is in one place at a time. Between two stages is one bounded queue, so the slowest sets
//! the pace and memory does not grow with the repository. Stages that ask the database take units
//! in *batches*. The first error ends all of them, and nothing of the run is visible; what was
//! verified and stored stays, and the next sync finds it.
//!
//! Two keys say what a unit is. Its *natural key* is its identity in the whole installation: the
//! same file mirrored twice is one row. Its *repository key* is a place that only one unit of a
//! version may take, such as a path: a new unit there replaces the old one.

pub mod custom_stages;
pub mod discovery;
pub mod first_plugin;
pub mod kept_indices;
pub mod on_demand;
pub mod own_routes;
pub mod parsers;
pub mod performance;
pub mod publishing;
pub mod testing;
