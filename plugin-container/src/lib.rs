//! Container registries: mirror, serve and push.

pub mod digest;
pub mod manifest;
pub mod links;
pub mod auth;
pub mod media_type;
pub mod reference;
