//! Container registries: mirror, serve and push.

pub mod content;
pub mod digest;
pub mod manifest;
pub mod media_type;
pub mod reference;

pub mod auth;
pub mod client;
pub mod filter;
pub mod links;

pub mod errors;
pub mod paging;
