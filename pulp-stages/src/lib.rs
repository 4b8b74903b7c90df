//! The verbs of the sync engine: declarative content, stages, downloads, sync, publish, serve.

#[cfg(feature = "testing")]
pub mod testing;
