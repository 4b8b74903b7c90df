//! Writers of the same content at the same time.

use super::*;
use crate::{
    Db, Expected, RemoteId, RemoteUrl,
    artifact::{self, NewArtifact},
    remote_artifact::{self, NewRemoteArtifact},
};

const UNITS: usize = 300;
const WRITERS: usize = 8;

/// What a sync writes of `units`, in batches, in the order given.
async fn write(db: Db, remote: RemoteId, repository: RepositoryId, units: Vec<usize>) {
    let number = db.write(move |conn| begin(conn, repository)).await.expect("begun");
    for batch in units.chunks(40) {
        let batch = batch.to_vec();
        db.write(move |conn| write_batch(conn, remote, repository, number, &batch))
            .await
            .expect("neither deadlock nor violation");
    }
    let how = Completion::new(Mode::Mirror);
    db.write(move |conn| complete_version(conn, repository, number, &how))
        .await
        .expect("completed");
}

fn write_batch(
    conn: &mut Connection,
    remote: RemoteId,
    repository: RepositoryId,
    number: VersionNumber,
    batch: &[usize],
) -> Result<(), DbError> {
    let new: Vec<NewContent> = batch
        .iter()
        .map(|unit| NewContent {
            type_name: "file.file".into(),
            natural_key: Key::of("file.file").field(unit.to_string()).finish(),
            repo_key: None,
            metadata: "{}".to_owned(),
            raw: None,
        })
        .collect();
    let artifacts: Vec<NewArtifact> = batch
        .iter()
        .map(|unit| {
            let sha256 = Sha256::of(unit.to_string().as_bytes());
            NewArtifact { sha256, size: 1, digests: sha256.into() }
        })
        .collect();
    artifact::insert_artifacts(conn, &artifacts)?;
    let ids = content::insert(conn, &new)?;
    let url: RemoteUrl = "http://host/".parse().expect("valid");
    let (mut files, mut sources) = (Vec::new(), Vec::new());
    for (unit, new) in batch.iter().zip(&new) {
        let content = ids[&new.natural_key].0;
        let relative_path = RelativePath::new(&unit.to_string()).expect("safe");
        let url = url.join_path(&unit.to_string());
        sources.push(NewRemoteArtifact {
            content,
            relative_path: relative_path.clone(),
            remote,
            position: 0,
            url,
            expected: Expected::default(),
        });
        let artifact = Some(Sha256::of(unit.to_string().as_bytes()));
        files.push(NewContentArtifact { content, relative_path, artifact });
    }
    content_artifact::upsert(conn, &files)?;
    remote_artifact::upsert(conn, &sources)?;
    stage_content(conn, repository, number, &ids.values().map(|(id, _)| *id).collect::<Vec<_>>())
}

both_databases! {
    async fn overlapping_syncs_neither_deadlock_nor_violate_a_constraint(db: TestDatabase) {
        let remote = RemoteId::new();
        let mut writers = tokio::task::JoinSet::new();
        let mut repositories = Vec::new();
        for writer in 0..WRITERS {
            let create = move |conn: &mut Connection| Ok(new_repository(conn, &writer.to_string()));
            let repository = db.write(create).await.expect("created");
            repositories.push(repository);
            // Half of them forwards, half backwards, each beginning elsewhere.
            let mut units: Vec<usize> = (0..UNITS).collect();
            units.rotate_left(writer * 31);
            if writer % 2 == 1 {
                units.reverse();
            }
            writers.spawn(write(Db::clone(&db), remote, repository, units));
        }
        while let Some(written) = writers.join_next().await {
            written.expect("no panic");
        }
        let mut sets = BTreeSet::new();
        for repository in repositories {
            let units = db.read(move |conn| set(conn, repository, VersionNumber(1))).await;
            sets.insert(units.expect("read"));
        }
        assert_eq!(sets.len(), 1, "all hold the same rows");
        assert_eq!(sets.first().map(BTreeSet::len), Some(UNITS));
    }
}
