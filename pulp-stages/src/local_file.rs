//! A local file on its way into the store: what upload commands do with each of theirs.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use pulp_models::{
    Expected,
    store::{ArtifactStore, Verified},
};
use tokio::{fs::File, io::AsyncReadExt as _};

/// Bytes that are read at a time.
const CHUNK: usize = 256 << 10;

/// A local file that cannot be taken up.
#[derive(Debug, thiserror::Error)]
#[error("Failed to take up `{}`", path.display())]
pub struct LocalFileError {
    path: PathBuf,
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// Reads the file at `path`, which must be what is `expected`. A large one is copied to where the
/// store keeps its temporary files, and from there moves into the store; the original stays.
/// Cancel-safe: a copy that is begun goes away.
pub async fn take_up(
    store: &ArtifactStore,
    path: &Path,
    expected: &Expected,
) -> Result<Verified, LocalFileError> {
    let copied = async {
        let mut file = File::open(path).await?;
        let mut verifier = store.verifier(expected, &[]);
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            if file.read_buf(&mut chunk).await? == 0 {
                return Ok(verifier.finish().await?);
            }
            verifier.push(Bytes::from(chunk)).await?;
        }
    };
    let copied: Result<Verified, Box<dyn std::error::Error + Send + Sync>> = copied.await;
    copied.map_err(|source| LocalFileError { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_taken_up_if_it_is_what_was_expected() {
        let home = tempfile::tempdir().expect("a folder");
        let store = ArtifactStore::open(home.path()).await.expect("a store");
        let path = home.path().join("file");
        std::fs::write(&path, vec![7; CHUNK + 1]).expect("written");
        let length = CHUNK as u64 + 1;
        let taken = take_up(&store, &path, &Expected::default()).await.expect("taken up");
        assert_eq!(taken.size(), length);
        let other = Expected { size: Some(length + 1), ..Expected::default() };
        let refused = take_up(&store, &path, &other).await.expect_err("too short");
        assert!(refused.to_string().contains(&path.display().to_string()), "{refused}");
        let absent = take_up(&store, &path.join("x"), &Expected::default()).await;
        assert!(absent.is_err());
        assert!(path.exists());
    }
}
