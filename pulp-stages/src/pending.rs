//! Old names of rows of `pulp-models`.

pub use pulp_models::{ContentId, RemoteId, content::StoredContent};
