//! What a check finds, one damage at a time.

use std::{fs, time::Duration};

use super::*;
use crate::{
    ContentId, Expected, RemoteId,
    alternate_content_source::offers,
    both_databases,
    content_artifact::{self, NewContentArtifact},
    distribution::{self, NewDistribution, Target},
    fixture::{Fixture, expected, path},
    publication::{self, NewPublication, Published, PublishedArtifact},
    remote_artifact::{self, NewRemoteArtifact},
    schema::{incomplete_version_content, remote_artifact as sources},
    testing::TestDatabase,
    version::VersionNumber,
};

async fn findings(fixture: &Fixture<'_>, depth: Depth) -> Vec<Finding> {
    let mut findings = Vec::new();
    let found = |finding| findings.push(finding);
    let checked = check(fixture.db, &fixture.store, depth, 10, found).await.expect("checked");
    assert_eq!(checked.findings, findings.len() as u64);
    findings
}

fn references(findings: &[Finding]) -> Vec<Reference> {
    let dangling = findings.iter().filter_map(|finding| match finding {
        Finding::Dangling { reference, .. } => Some(*reference),
        _ => None,
    });
    dangling.collect()
}

/// Lets a file look as if it had been written long ago.
fn age(path: &std::path::Path) {
    let time = SystemTime::now() - 2 * SETTLING;
    fs::File::options()
        .write(true)
        .open(path)
        .and_then(|file| file.set_modified(time))
        .expect("aged");
}

both_databases! {
    async fn files_and_rows_are_compared(db: TestDatabase) {
        let fixture = Fixture::new(&db).await;
        for name in ["intact", "gone", "cut", "changed"] {
            fixture.unit(name, Some(name)).await;
        }
        assert_eq!(findings(&fixture, Depth::Digests).await, []);
        let file = |name: &str| fixture.store.path(&Sha256::of(name.as_bytes()));
        fs::remove_file(file("gone")).expect("removed");
        fs::write(file("cut"), "cu").expect("written");
        fs::write(file("changed"), "Changed").expect("written");
        let (old, young) = (Sha256::of(b"old"), Sha256::of(b"young"));
        for (name, body) in [(old, "old"), (young, "young")] {
            let path = fixture.store.path(&name);
            fs::create_dir_all(path.parent().expect("has one")).expect("created");
            fs::write(path, body).expect("written");
        }
        age(&fixture.store.path(&old));
        let foreign = fixture.home.path().join("artifacts/00/README");
        fs::create_dir_all(foreign.parent().expect("has one")).expect("created");
        fs::write(&foreign, "hello").expect("written");

        let of = |name: &str| Sha256::of(name.as_bytes());
        let sizes = findings(&fixture, Depth::Sizes).await;
        let expected = [
            Finding::Foreign(foreign),
            Finding::Missing(of("gone")),
            Finding::Corrupt(of("cut")),
            Finding::Unknown { sha256: old, size: 3 },
        ];
        assert_eq!(sizes.len(), expected.len(), "{sizes:?}");
        assert!(expected.iter().all(|finding| sizes.contains(finding)), "{sizes:?}");
        let digests = findings(&fixture, Depth::Digests).await;
        assert_eq!(digests.len(), expected.len() + 1, "{digests:?}");
        assert!(digests.contains(&Finding::Corrupt(of("changed"))));

        let unknown = [old, of("intact")];
        let patience = Duration::from_secs(5);
        let removed = remove_unknown(&db, &fixture.store, &unknown, patience).await;
        assert_eq!(removed.expect("removed"), 1);
        assert!(fixture.store.exists(&of("intact")).await.expect("looked"));
        assert!(!fixture.store.exists(&old).await.expect("looked"));
    }

    async fn every_dangling_reference_is_found(db: TestDatabase) {
        let fixture = Fixture::new(&db).await;
        let repository = fixture.repository("mine").await;
        let fetched = fixture.unit("fetched", None).await;
        fixture.source(fetched, "fetched", expected("x")).await;
        // Of a remote that does not exist.
        assert_eq!(
            references(&findings(&fixture, Depth::Sizes).await),
            [Reference::RemoteArtifactToRemote]
        );
        db.write(|conn| {
            Ok(on!(conn, c => diesel::delete(sources::table).execute(c))?)
        })
        .await
        .expect("written");
        // A sync that was killed leaves content like this.
        assert_eq!(references(&findings(&fixture, Depth::Sizes).await), []);
        fixture.member(repository, fetched, 1, None).await;
        assert_eq!(references(&findings(&fixture, Depth::Sizes).await), [Reference::FileToSource]);
        let body = fixture.artifact("x").await;
        damage(&db, repository, fetched, body).await;
        fixture.member(repository, ContentId::new(), 1, Some(3)).await;
        fixture.member(repository, fetched, 7, Some(8)).await;
        let found = references(&findings(&fixture, Depth::Sizes).await);
        let all: Vec<_> =
            Reference::ALL.into_iter().filter(|one| *one != Reference::FileToSource).collect();
        assert_eq!(found, all);
        let text = findings(&fixture, Depth::Sizes).await[0].to_string();
        assert_eq!(
            text,
            format!("File `lost` of content `{fetched}`: its artifact does not exist")
        );
    }
}

/// Writes rows that refer to nothing, wherever the schema lets one.
async fn damage(db: &Db, repository: crate::RepositoryId, content: ContentId, body: Sha256) {
    db.write(move |conn| {
        let file = |name, artifact| NewContentArtifact {
            content,
            relative_path: path(name),
            artifact: Some(artifact),
        };
        let lost = Sha256([1; 32]);
        content_artifact::upsert(conn, &[file("fetched", body), file("lost", lost)])?;
        let source = NewRemoteArtifact {
            content,
            relative_path: path("no such file"),
            remote: RemoteId::new(),
            position: 0,
            url: "http://127.0.0.1/x".parse().expect("valid"),
            expected: Expected::default(),
        };
        remote_artifact::upsert(conn, &[source])?;
        on!(conn, c => diesel::insert_into(incomplete_version_content::table)
            .values((
                incomplete_version_content::repository_id.eq(crate::RepositoryId::new()),
                incomplete_version_content::number.eq(1_i64),
                incomplete_version_content::content_id.eq(content),
            ))
            .execute(c))?;
        let new = NewPublication {
            repository,
            version: VersionNumber(9),
            plugin: "file".to_owned(),
            options: serde_json::json!({}),
            checkpoint: false,
        };
        let id = publication::create(conn, &new)?;
        let published = |at, published| PublishedArtifact { relative_path: path(at), published };
        publication::add(
            conn,
            id,
            &[
                published("a", Published::Content { content, path: path("no such file") }),
                published("b", Published::Content { content, path: path("fetched") }),
                published("c", Published::Metadata { sha256: lost, size: 1 }),
                published("d", Published::Metadata { sha256: body, size: 1 }),
            ],
        )?;
        let nobody = crate::AlternateContentSourceId::new();
        let offer = (expected("x"), "http://127.0.0.1/x".parse().expect("valid"));
        offers::note(conn, nobody, crate::Timestamp(1), &[offer])?;
        for (name, number) in [("good", 1), ("bad", 9)] {
            let new = NewDistribution {
                name: name.to_owned(),
                plugin: "file".to_owned(),
                base_path: name.parse().expect("valid"),
                target: Target::Version(repository, VersionNumber(number)),
                options: serde_json::json!({}),
            };
            distribution::create(conn, &new)?;
        }
        Ok(())
    })
    .await
    .expect("written");
}
