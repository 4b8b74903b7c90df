//! Container registries: mirror, serve and push.

pub mod content;
pub mod digest;
pub mod manifest;
pub mod media_type;
pub mod options;
pub mod reference;

pub mod auth;
pub mod client;
pub mod transport;

pub mod filter;
pub mod first_stage;
pub mod links;
pub mod survey;
mod tree;

pub mod errors;
pub mod paging;

#[cfg(test)]
mod testing;
