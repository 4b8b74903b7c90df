//! Plain files: repositories that are lists of files.
//!
//! An upstream is one small document that lists files with their digests: a `PULP_MANIFEST`, a
//! Metalink or a checksum list. [`upstream_format`] tells which, one parser per format turns it
//! into [`entry::Entry`] values, and the framework does the rest.

mod plugin;
pub mod content;
pub mod options;

pub mod entry;
pub mod upstream_format;
pub mod manifest;
pub mod checksums;
pub mod metalink;
pub mod distinct;
mod lines;

mod first_stage;
mod publisher;
mod upload;

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod testing;

pub use entry::{Entry, ParseError, Place, Problem};
pub use plugin::File;
pub use upstream_format::{UpstreamFormat, entries};
