//! A database and a store with some content in them, for the tests of this crate.

use bytes::Bytes;
use diesel::prelude::*;

use crate::{
    ArtifactStore, ContentId, Db, Expected, Key, RelativePath, RemoteId, RepositoryId, Sha256,
    artifact::{NewArtifact, insert_artifacts},
    content::{self, NewContent},
    content_artifact::{self, NewContentArtifact},
    db::on,
    remote_artifact::{self, NewRemoteArtifact},
    repository::{self, NewRepository},
    schema::{repository_content, repository_version},
    store::Verified,
};

/// Content in a database and a store. Every unit has one file, whose path is the unit's name.
pub(crate) struct Fixture<'a> {
    pub(crate) db: &'a Db,
    pub(crate) store: ArtifactStore,
    pub(crate) home: tempfile::TempDir,
}

impl<'a> Fixture<'a> {
    pub(crate) async fn new(db: &'a Db) -> Self {
        let home = tempfile::tempdir().expect("temporary folder");
        let store = ArtifactStore::open(home.path()).await.expect("opens");
        Self { db, store, home }
    }

    /// Saves bytes, and the row that names them.
    pub(crate) async fn artifact(&self, body: &str) -> Sha256 {
        let verified = Verified::from_bytes(Bytes::copy_from_slice(body.as_bytes()));
        let saved = self.store.save(vec![verified]).await.expect("saved").remove(0);
        let sha256 = saved.sha256;
        let row = NewArtifact { sha256, size: saved.size, digests: saved.digests };
        let written =
            self.db.write(move |conn| insert_artifacts(conn, std::slice::from_ref(&row))).await;
        written.expect("written");
        sha256
    }

    /// A unit whose file has these bytes; without any, one to be fetched on demand.
    pub(crate) async fn unit(&self, name: &str, body: Option<&str>) -> ContentId {
        let artifact = match body {
            Some(body) => Some(self.artifact(body).await),
            None => None,
        };
        let relative_path = path(name);
        let key = Key::of("file.file").field(name).finish();
        let unit = NewContent {
            type_name: "file.file".into(),
            natural_key: key,
            repo_key: None,
            metadata: "{}".to_owned(),
            raw: None,
        };
        let written = self.db.write(move |conn| {
            let content = content::insert(conn, std::slice::from_ref(&unit))?[&key].0;
            let relative_path = relative_path.clone();
            content_artifact::upsert(
                conn,
                &[NewContentArtifact { content, relative_path, artifact }],
            )?;
            Ok(content)
        });
        written.await.expect("written")
    }

    /// Says that a remote has the unit's file.
    pub(crate) async fn source(&self, content: ContentId, name: &str, expected: Expected) {
        let source = NewRemoteArtifact {
            content,
            relative_path: path(name),
            remote: RemoteId::new(),
            position: 0,
            url: "http://127.0.0.1/x".parse().expect("valid"),
            expected,
        };
        let written = self
            .db
            .write(move |conn| remote_artifact::upsert(conn, std::slice::from_ref(&source)))
            .await;
        written.expect("written");
    }

    /// A repository with versions 0 to 3.
    pub(crate) async fn repository(&self, name: &str) -> RepositoryId {
        let new = NewRepository::new(name, "file");
        let written = self.db.write(move |conn| {
            let id = repository::create(conn, &new)?.id;
            for number in 1..=3_i64 {
                on!(conn, c => diesel::insert_into(repository_version::table)
                    .values((
                        repository_version::repository_id.eq(id),
                        repository_version::number.eq(number),
                        repository_version::created.eq(0_i64),
                        repository_version::summary.eq(crate::db::types::JsonRef("{}")),
                    ))
                    .execute(c))?;
            }
            Ok(id)
        });
        written.await.expect("written")
    }

    /// Puts a unit into versions `added` until before `removed`.
    pub(crate) async fn member(
        &self,
        repository: RepositoryId,
        content: ContentId,
        added: i64,
        removed: Option<i64>,
    ) {
        let written = self.db.write(move |conn| {
            on!(conn, c => diesel::insert_into(repository_content::table)
                .values((
                    repository_content::repository_id.eq(repository),
                    repository_content::content_id.eq(content),
                    repository_content::version_added.eq(added),
                    repository_content::version_removed.eq(removed),
                ))
                .execute(c))?;
            Ok(())
        });
        written.await.expect("written");
    }

    /// Whether the unit exists.
    pub(crate) async fn has(&self, id: ContentId) -> bool {
        let found = self.db.read(move |conn| content::load(conn, &[id])).await;
        !found.expect("read").is_empty()
    }

    /// The artifact of the unit's file, if it has one.
    pub(crate) async fn artifact_of(&self, id: ContentId) -> Option<Sha256> {
        let files = self.db.read(move |conn| content_artifact::load(conn, &[id])).await;
        files.expect("read")[&id][0].artifact
    }
}

pub(crate) fn path(name: &str) -> RelativePath {
    RelativePath::new(name).expect("valid")
}

/// What upstream says of these bytes.
pub(crate) fn expected(body: &str) -> Expected {
    let sha256 = Sha256::of(body.as_bytes());
    Expected { size: Some(body.len() as u64), digests: sha256.into() }
}
