//! Publications on both databases.

use super::*;
use crate::{
    both_databases,
    repository::{self, NewRepository},
    testing::TestDatabase,
};

fn path(text: &str) -> RelativePath {
    RelativePath::new(text).expect("valid")
}

fn metadata(at: &str, size: u64) -> PublishedArtifact {
    let published = Published::Metadata { sha256: Sha256::of(at.as_bytes()), size };
    PublishedArtifact { relative_path: path(at), published }
}

fn of_version(repository: RepositoryId, number: i64) -> NewPublication {
    NewPublication {
        repository,
        version: VersionNumber(number),
        plugin: "file".to_owned(),
        options: serde_json::json!({ "manifest": "PULP_MANIFEST" }),
        checkpoint: false,
    }
}

fn repository(conn: &mut Connection) -> Result<RepositoryId, DbError> {
    Ok(repository::create(conn, &NewRepository::new("mine", "file"))?.id)
}

both_databases! {
    async fn a_publication_is_seen_once_it_is_complete(db: TestDatabase) {
        db.write(|conn| {
            let repository = repository(conn)?;
            let id = create(conn, &of_version(repository, 0))?;
            assert_eq!(newest(conn, repository)?, None);
            assert!(!get(conn, id)?.complete);
            let abandoned = create(conn, &of_version(repository, 0))?;
            assert!(complete(conn, id, true)?);
            assert!(!complete(conn, id, true)?, "it is complete");
            let found = newest(conn, repository)?.expect("complete");
            assert_eq!((found.id, found.pass_through, found.version), (id, true, VersionNumber(0)));
            assert_eq!(found.options, serde_json::json!({ "manifest": "PULP_MANIFEST" }));
            assert_eq!(delete_incomplete(conn, repository)?, 1);
            assert!(matches!(get(conn, abandoned), Err(DbError::NotFound { .. })));
            delete(conn, id)?;
            assert!(matches!(delete(conn, id), Err(DbError::NotFound { .. })));
            Ok(())
        })
        .await
        .expect("written");
    }

    async fn published_paths_are_found_listed_and_replaced(db: TestDatabase) {
        db.write(|conn| {
            let repository = repository(conn)?;
            let id = create(conn, &of_version(repository, 0))?;
            let content = Published::Content { content: ContentId::new(), path: path("x") };
            let paths = ["pool/a", "pool/b/c", "pool-2/a", "z", "pool/ü", "pool/\u{10fffd}"];
            let batch: Vec<_> = paths.iter().map(|at| metadata(at, 1)).collect();
            add(conn, id, &batch)?;
            let again = PublishedArtifact { relative_path: path("z"), published: content.clone() };
            add(conn, id, &[metadata("z", 7), again.clone()])?;
            assert_eq!(find(conn, id, "z")?, Some(content));
            assert_eq!(find(conn, id, "pool/a")?, Some(batch[0].published.clone()));
            assert_eq!(find(conn, id, "pool")?, None);
            assert_eq!(find(conn, PublicationId::new(), "z")?, None);
            assert!(has_directory(conn, id, "pool/b")? && has_directory(conn, id, "")?);
            assert!(!has_directory(conn, id, "poo")? && !has_directory(conn, id, "z")?);
            let relative_path = path("empty/a");
            let hidden = PublishedArtifact { relative_path, published: Published::Nothing };
            add(conn, id, &[metadata("empty/a", 1), hidden])?;
            assert_eq!(find(conn, id, "empty/a")?, Some(Published::Nothing));
            assert!(!has_directory(conn, id, "empty")?, "nothing lies there");
            let mut pages = Vec::new();
            let mut after: Option<String> = None;
            loop {
                let next = page(conn, id, "pool", after.as_deref(), 2)?;
                let Some(last) = next.last() else { break };
                after = Some(last.relative_path.to_string());
                pages.extend(next.into_iter().map(|artifact| artifact.relative_path.to_string()));
            }
            assert_eq!(pages, ["pool/a", "pool/b/c", "pool/ü", "pool/\u{10fffd}"]);
            assert_eq!(page(conn, id, "", None, 99)?.len(), 7);
            Ok(())
        })
        .await
        .expect("written");
    }

    async fn superseded_publications_are_known_with_their_time(db: TestDatabase) {
        db.write(|conn| {
            let repository = repository(conn)?;
            let mut ids = Vec::new();
            for number in [1, 2, 2, 3, 1] {
                let id = create(conn, &of_version(repository, number))?;
                complete(conn, id, true)?;
                ids.push(id);
            }
            let order: Vec<_> = list(conn, repository)?.into_iter().map(|p| p.id).collect();
            assert_eq!(order, [ids[3], ids[2], ids[1], ids[4], ids[0]]);
            let created = |conn: &mut Connection, at: usize| get(conn, ids[at]).map(|p| p.created);
            let all = superseded(conn, repository, Timestamp(0))?;
            let found: Vec<_> = all.iter().map(|old| (old.publication.id, old.since)).collect();
            let expected = [
                (ids[2], created(conn, 3)?),
                (ids[1], created(conn, 2)?),
                (ids[4], created(conn, 1)?),
                (ids[0], created(conn, 1)?),
            ];
            assert_eq!(found, expected);
            let time = created(conn, 2)?;
            let recent = superseded(conn, repository, time)?;
            let recent: Vec<_> = recent.iter().map(|old| old.publication.id).collect();
            assert_eq!(recent, [ids[2]]);
            Ok(())
        })
        .await
        .expect("written");
    }
}
