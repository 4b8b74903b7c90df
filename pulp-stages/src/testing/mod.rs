//! The test kit: upstreams that misbehave on request, a line for a single stage, an installation to
//! try things on, inputs for parsers, and [`conformance`]: what every repository type must do.
//!
//! Everything listens on `127.0.0.1` at a port the system chooses and stops when dropped. What a test
//! asserts with is what really crossed the socket: a log of requests and a count of bytes sent.
//! Compiled only with the feature `testing`, which test targets switch on; mistakes of a test (a
//! header that is none, say) panic.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! use pulp_stages::testing::{Fault, Upstream};
//!
//! let upstream = Upstream::start()
//!     .await
//!     .file("dists/stable/Release", "Suite: stable\n")
//!     .fault("dists/stable/Release", [Fault::HalfBody, Fault::FlipLastByte, Fault::Status(429)]);
//! let url = upstream.url("dists/stable/Release"); // fails thrice, then answers well
//! # assert!(url.to_string().ends_with("/dists/stable/Release"));
//! assert_eq!(upstream.requests().len(), 0);
//! # }
//! ```

mod answer;
mod body;
pub mod conformance;
mod empty;
mod fault;
mod fuzz;
mod lab;
mod line;
mod listener;
mod proxy;
mod served;
mod tls;
mod upstream;

pub use conformance::{Blueprint, Sample};
pub use empty::{Empty, Nothing};
pub use fault::Fault;
pub use fuzz::fuzz;
pub use lab::{Lab, report};
pub use line::run_stage;
pub use proxy::ForwardProxy;
pub use pulp_models::{both_databases, testing::TestDatabase};
pub use served::{Answer, Served};
pub use tls::{Authority, ClientIdentity};
pub use upstream::{LoggedRequest, Upstream, ValidatorKind};
