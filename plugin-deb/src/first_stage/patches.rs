//! The patches of a mirrored `Packages.diff/Index`: what it names is fetched and declared too.

use std::io::Read as _;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use pulp_stages::{Blame as _, Outbox, StageError};

use super::{DebFirstStage, Stored, index_unit};
use crate::{content::DebContent, diffs::patches, index_reader::ReadError};

/// The longest list of patches in bytes; Debian's have 20 KB.
const MAX_LIST: u64 = 16 << 20;
/// Patches of one list that are fetched at once.
const FETCHES: usize = 4;

impl DebFirstStage {
    /// Mirrors what the list `stored` names. Clients do without patches, so a missing one is a
    /// warning.
    pub(super) async fn mirror_patches(
        &self,
        stored: &Stored,
        output: &Outbox<DebContent>,
    ) -> Result<(), StageError> {
        let file = &stored.source.file;
        let url = self.url.join_path(file);
        let (store, sha256, source) =
            (self.installation.store.clone(), stored.sha256, stored.source.clone());
        let reading = output.scope().spawn_blocking(move || -> Result<Vec<u8>, StageError> {
            let (file, _) = store.open_artifact_blocking(&sha256)?;
            let failed = |error| ReadError::Decompress { file: source.file.clone(), source: error };
            let reader = std::io::BufReader::new(file).take(MAX_LIST);
            let mut decoder =
                source.compression.decoder(reader, source.bound).map_err(failed).at_url(&url)?;
            let mut text = Vec::new();
            decoder.read_to_end(&mut text).map_err(failed).at_url(&url)?;
            Ok(text)
        });
        let listed = match patches(&stored.index, &reading.await??) {
            Ok(listed) => listed,
            Err(problem) => {
                self.warnings.add(format!("`{file}`: {problem}; its patches were left out"));
                return Ok(());
            }
        };
        let fetched: Vec<_> = stream::iter(listed)
            .map(|index| async move {
                let fetcher = &self.gatherer.indices;
                let fetched = fetcher.fetch(&stored.distribution, &index, false, true).await?;
                Ok::<_, StageError>((index, fetched))
            })
            .buffered(FETCHES)
            .try_collect()
            .await?;
        let mut missing = 0;
        for (index, fetched) in fetched {
            if fetched.variants.is_empty() {
                missing += 1;
                continue;
            }
            output.put(index_unit(&stored.distribution, &index, fetched, false, false)?).await?;
        }
        if missing > 0 {
            self.warnings
                .add(format!("`{file}` lists {missing} patches that upstream does not have"));
        }
        Ok(())
    }
}
