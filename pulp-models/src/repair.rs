//! Repair: which stored files there are to look at, page by page.
//!
//! Comparing a file with its digest is the store's business
//! ([`ArtifactStore::check`](crate::ArtifactStore::check)); where the right bytes may be had tells
//! [`crate::remote_artifact`]; fetching them is done above this crate.

use diesel::prelude::*;

use crate::{
    ContentId, DbError, RelativePath, RepositoryId, Sha256, VersionNumber,
    db::{Connection, on},
    schema::{artifact, content_artifact, repository_content},
};

/// Whose files to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Those of all content.
    Everything,
    /// Those of one version's content.
    Version(RepositoryId, VersionNumber),
}

/// A file whose bytes should be in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    /// Whose file it is.
    pub content: ContentId,
    /// Its path in a repository.
    pub relative_path: RelativePath,
    /// Its bytes. Several files may have the same ones.
    pub sha256: Sha256,
    /// Their length.
    pub size: u64,
}

/// At most `limit` files with stored bytes, sorted by content and path, after the one given.
pub fn page(
    conn: &mut Connection,
    scope: Scope,
    after: Option<(ContentId, RelativePath)>,
    limit: u32,
) -> Result<Vec<StoredFile>, DbError> {
    let rows: Vec<(ContentId, RelativePath, Sha256, i64)> = on!(conn, c => {
        let mut query = content_artifact::table
            .inner_join(artifact::table.on(
                content_artifact::sha256.eq(artifact::sha256.nullable()),
            ))
            .order((content_artifact::content_id, content_artifact::relative_path))
            .limit(limit.into())
            .select((
                content_artifact::content_id,
                content_artifact::relative_path,
                artifact::sha256,
                artifact::size,
            ))
            .into_boxed();
        if let Some((content, path)) = after {
            // The first condition says nothing new, but an index can use it.
            query = query.filter(content_artifact::content_id.ge(content)).filter(
                content_artifact::content_id
                    .gt(content)
                    .or(content_artifact::relative_path.gt(path)),
            );
        }
        if let Scope::Version(repository, number) = scope {
            query = query.filter(content_artifact::content_id.eq_any(
                repository_content::table
                    .filter(repository_content::repository_id.eq(repository))
                    .filter(repository_content::version_added.le(number.0))
                    .filter(
                        repository_content::version_removed
                            .is_null()
                            .or(repository_content::version_removed.gt(number.0)),
                    )
                    .select(repository_content::content_id),
            ));
        }
        query.load(c)
    })?;
    let files = rows.into_iter().map(|(content, relative_path, sha256, size)| StoredFile {
        content,
        relative_path,
        sha256,
        size: size.unsigned_abs(),
    });
    Ok(files.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{both_databases, fixture::Fixture, testing::TestDatabase};

    both_databases! {
        async fn stored_files_are_seen_page_by_page(db: TestDatabase) {
            let fixture = Fixture::new(&db).await;
            let repository = fixture.repository("mine").await;
            let mut expected = Vec::new();
            for at in 0..7 {
                let name = format!("file {at}");
                let content = fixture.unit(&name, (at != 3).then_some(&name[at % 2..])).await;
                fixture.member(repository, content, at.try_into().expect("small"), Some(5)).await;
                if at != 3 {
                    expected.push((at, content));
                }
            }
            let see = async |scope, limit| {
                let mut seen: Vec<StoredFile> = Vec::new();
                loop {
                    let after =
                        seen.last().map(|file| (file.content, file.relative_path.clone()));
                    let next = db.read(move |conn| page(conn, scope, after, limit)).await;
                    let next = next.expect("read");
                    if next.is_empty() {
                        return seen;
                    }
                    seen.extend(next);
                }
            };
            for limit in [1, 2, 100] {
                let seen = see(Scope::Everything, limit).await;
                let contents: Vec<_> = seen.iter().map(|file| file.content).collect();
                let all: Vec<_> = expected.iter().map(|(_, content)| *content).collect();
                assert_eq!(contents, all);
                let (name, body) = ("file 1", "ile 1");
                assert_eq!(seen[1].relative_path.as_str(), name);
                assert_eq!((seen[1].sha256, seen[1].size), (Sha256::of(body.as_bytes()), 5));
                let seen = see(Scope::Version(repository, VersionNumber(2)), limit).await;
                let contents: Vec<_> = seen.iter().map(|file| file.content).collect();
                assert_eq!(contents, all[..3]);
                assert_eq!(see(Scope::Version(repository, VersionNumber(5)), limit).await, []);
            }
        }
    }
}
