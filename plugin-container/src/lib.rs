//! Container registries: mirror, serve and push.
//!
//! A repository is what a registry calls by one name: blobs, manifests, tags. [`survey`] finds out
//! what upstream's tags name, `first_stage` reads manifests down to blobs, and the framework does
//! the rest of a sync; `routes` serves the result under `/v2/` as the OCI distribution
//! specification says, to whom [`access`] allows; [`pull_through`] syncs what clients ask for first.

pub mod content;
pub mod options;
mod plugin;

pub mod digest;
pub mod manifest;
pub mod media_type;
pub mod reference;
mod upstream;

pub mod auth;
pub mod client;
pub mod filter;
pub mod links;
pub mod transport;
mod layout;
mod export;

mod first_stage;
pub mod survey;
mod tree;
mod signing;

pub mod access;
pub mod pull_through;
pub mod errors;
pub mod paging;
mod routes;

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod testing;

pub use plugin::Container;

/// The plugin's name on the command line and in the database.
pub const NAME: &str = "container";
