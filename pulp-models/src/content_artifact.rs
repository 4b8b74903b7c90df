//! Content artifacts: the files of a unit, each with its bytes or still without.
//!
//! A row without an artifact is content that was synced `on_demand`: [`crate::remote_artifact`]
//! says where its bytes are. Rows are written after their content and their artifact.

use std::collections::HashMap;

use diesel::prelude::*;

use crate::{
    ContentId, RelativePath, Sha256,
    db::{Connection, DbError, dialect, on},
    schema::{artifact, content_artifact},
};

/// A content artifact to be written.
#[derive(Debug, Clone)]
pub struct NewContentArtifact {
    /// Whose file it is.
    pub content: ContentId,
    /// Where it lies in a repository.
    pub relative_path: RelativePath,
    /// Its bytes, if they are in the store.
    pub artifact: Option<Sha256>,
}

/// One file of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentArtifact {
    /// Where it lies in a repository.
    pub relative_path: RelativePath,
    /// Its bytes, if they are in the store.
    pub artifact: Option<Sha256>,
    /// Their length, if they are in the store.
    pub size: Option<u64>,
}

/// The files of these units, sorted by path. A unit without files is absent from the map.
pub fn load(
    conn: &mut Connection,
    contents: &[ContentId],
) -> Result<HashMap<ContentId, Vec<ContentArtifact>>, DbError> {
    let mut contents = contents.to_vec();
    contents.sort_unstable();
    contents.dedup();
    let mut files: HashMap<ContentId, Vec<ContentArtifact>> =
        HashMap::with_capacity(contents.len());
    for chunk in contents.chunks(dialect::KEYS_PER_QUERY) {
        let rows: Vec<(ContentId, RelativePath, Option<Sha256>, Option<i64>)> = on!(conn, c => content_artifact::table
                .left_join(artifact::table.on(
                    content_artifact::sha256.eq(artifact::sha256.nullable()),
                ))
                .filter(content_artifact::content_id.eq_any(chunk))
                .order((content_artifact::content_id, content_artifact::relative_path))
                .select((
                    content_artifact::content_id,
                    content_artifact::relative_path,
                    content_artifact::sha256,
                    artifact::size.nullable(),
                ))
                .load(c))?;
        for (content, relative_path, artifact, size) in rows {
            let size = size.map(i64::unsigned_abs);
            files.entry(content).or_default().push(ContentArtifact {
                relative_path,
                artifact,
                size,
            });
        }
    }
    Ok(files)
}

/// Writes content artifacts. Where a row exists, an artifact given here replaces the one that is
/// there; none given leaves it alone, so bytes once stored are never forgotten.
pub fn upsert(conn: &mut Connection, batch: &[NewContentArtifact]) -> Result<(), DbError> {
    let mut rows: Vec<&NewContentArtifact> = batch.iter().collect();
    // Of two rows with one key the one with an artifact comes first, and stays.
    rows.sort_by(|a, b| {
        (a.content, &a.relative_path, b.artifact).cmp(&(b.content, &b.relative_path, a.artifact))
    });
    rows.dedup_by(|b, a| (a.content, &a.relative_path) == (b.content, &b.relative_path));
    dialect::upsert_content_artifacts(conn, &rows)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Key,
        artifact::{NewArtifact, insert_artifacts},
        both_databases,
        content::{self, NewContent},
        testing::TestDatabase,
    };

    both_databases! {
        async fn bytes_once_stored_are_never_forgotten(db: TestDatabase) {
            db.write(|conn| {
                let natural_key = Key::of("file.file").finish();
                let new = NewContent {
                    type_name: "file.file".into(),
                    natural_key,
                    repo_key: None,
                    metadata: "{}".into(),
                    raw: None,
                };
                let content = content::insert(conn, &[new])?[&natural_key].0;
                let row = |path: &str, artifact| NewContentArtifact {
                    content,
                    relative_path: RelativePath::new(path).expect("safe"),
                    artifact,
                };
                let (one, two) = (Sha256::of(b"one"), Sha256::of(b"two"));
                let sha256 = one;
                insert_artifacts(conn, &[NewArtifact { sha256, size: 3, digests: one.into() }])?;
                let mut after = |batch: &[NewContentArtifact]| {
                    upsert(conn, batch)?;
                    let files = load(conn, &[content, ContentId::new()])?.remove(&content);
                    let files = files.expect("it has files");
                    assert_eq!(files[0].relative_path.as_str(), "a");
                    Ok::<_, DbError>((files.len(), files[0].artifact, files[0].size))
                };
                assert_eq!(after(&[row("b", None), row("a", None)])?, (2, None, None));
                // Two in one batch: the one with bytes counts.
                let batch = [row("a", Some(one)), row("a", None)];
                assert_eq!(after(&batch)?, (2, Some(one), Some(3)));
                assert_eq!(after(&[row("a", None)])?, (2, Some(one), Some(3)));
                assert_eq!(after(&[row("a", Some(two))])?, (2, Some(two), None));
                Ok(())
            })
            .await
            .expect("done");
        }
    }
}
