//! Repositories of type `__name__`: files that one text lists, a line for each.
//!
//! [`list`] reads the text; here is what the framework has to know. Start with the format and with
//! what a unit of content is; `pulp_stages::guide` says what else a plugin can do.

pub mod list;

use std::io::BufReader;

use async_trait::async_trait;
use pulp_models::{Expected, Key, RelativePath, Sha256};
use pulp_stages::{
    Blame as _, Content, DeclarativeContent, StageError,
    options::NoOptions,
    plugin::{FirstStage, Plugin},
    sync::{SyncContext, SyncError},
};
use serde::{Deserialize, Serialize};

/// A file of a repository. What stands here is what the database keeps of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct __Name__File {
    /// Where it lies.
    pub path: RelativePath,
    /// What it holds.
    pub sha256: Sha256,
    /// Its length in bytes.
    pub size: u64,
}

impl Content for __Name__File {
    type Extra = ();

    fn type_name(&self) -> &'static str {
        "__name__.file"
    }

    /// What the file *is*: equal for equal files in the whole installation.
    fn natural_key(&self) -> Option<Key> {
        let key = Key::of(self.type_name()).path(&self.path);
        Some(key.field(self.sha256.0).finish())
    }

    /// The place that only one file of a repository may take: a changed file replaces the old one.
    fn repo_key(&self) -> Option<Key> {
        Some(Key::of(self.type_name()).path(&self.path).finish())
    }
}

/// The repository type; see the [crate].
#[derive(Debug, Clone, Copy)]
pub struct __Name__;

#[async_trait]
impl Plugin for __Name__ {
    const NAME: &'static str = "__name__";
    const ABOUT: &'static str = "Files that one text lists";
    type Content = __Name__File;
    type RemoteOptions = NoOptions;
    type RepositoryOptions = NoOptions;
    type PublicationOptions = NoOptions;

    async fn first_stage(
        &self,
        context: &SyncContext<Self>,
    ) -> Result<FirstStage<__Name__File>, SyncError> {
        // The remote's URL is that of the list; files lie beside it.
        let url = context.remote.url.clone();
        let text = context.fetch_document(&url).await?;
        // As long as the list has these bytes, there is nothing to do.
        let fingerprint = Key::of("__name__.list").field(text.sha256().0).finish();
        let origin = context.origin();
        let folder = url.parent();
        let files = list::files(BufReader::new(text.reader()));
        let units = files.map(move |file| -> Result<_, StageError> {
            let file = file.at_url(&url)?;
            let expected = Expected { size: Some(file.size), digests: file.sha256.into() };
            let source = folder.join_path(file.path.as_str());
            let artifact = origin.artifact(file.path.clone(), source, expected);
            Ok(DeclarativeContent::new(file, vec![artifact]))
        });
        Ok(FirstStage::parsed("ReadList", Some(fingerprint), units))
    }
}
