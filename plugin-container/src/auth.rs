//! auth
pub mod challenge;
