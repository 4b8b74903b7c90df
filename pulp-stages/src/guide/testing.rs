//! Testing: the kit does most of it.
//!
//! Switch the feature on for tests: `pulp-stages = { …, features = ["testing"] }` among the
//! `dev-dependencies`. Tests on PostgreSQL need `PULP_TEST_POSTGRES`; without a server, run those
//! whose path contains `sqlite::`.
//!
//! # Conformance
//!
//! A [`Blueprint`](crate::testing::Blueprint) says how an upstream is written that offers a given set
//! of files. [`conformance!`](crate::conformance) turns it into sixteen tests, each on both databases: first
//! and unchanged syncs, additive and mirror, every policy, corrupt bytes, broken transfers, dead
//! servers, cancellation in every stage, resumption, serving, repair, reclaim, cleanup, memory. The
//! [module](crate::testing::conformance) has the example.
//!
//! # What is special about your type
//!
//! [`Lab`](crate::testing::Lab) is an installation with an upstream that
//! [misbehaves](crate::testing::Fault) on request:
//!
//! ```
//! use pulp_stages::testing::{Fault, Upstream};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let upstream = Upstream::start().await.file("NOTES", "…");
//! upstream.script("NOTES", [Fault::HalfBody, Fault::Status(503)]);
//! // … a sync that retries; then assert what crossed the socket:
//! assert_eq!(upstream.requests_for("NOTES").len(), 0);
//! # }
//! ```
//!
//! Assert what a user can see (version, files, requests, messages), not what happened inside. A
//! message is part of the behaviour: [`report`](crate::testing::report) gives it with its causes.
//!
//! # A stage alone
//!
//! [`run_stage`](crate::testing::run_stage) feeds one stage and keeps what it puts, without database,
//! store and network; a first stage is given nothing. Handles resolve as soon as a unit is put.
//!
//! # Parsers
//!
//! Parsers are plain functions over readers: test them without the framework, property-test them with
//! bytes of any kind. They must neither panic nor allocate by what a length field claims.
