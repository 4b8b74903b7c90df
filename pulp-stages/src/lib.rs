//! The verbs of the sync engine: declarative content, stages, downloads, sync, publish, serve.
