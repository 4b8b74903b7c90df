//! Container registries: mirror, serve and push.

pub mod auth;
pub mod digest;
pub mod errors;
pub mod filter;
pub mod links;
pub mod manifest;
pub mod media_type;
pub mod paging;
pub mod reference;
