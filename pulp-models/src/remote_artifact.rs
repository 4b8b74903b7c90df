//! Remote artifacts: where the bytes of a content artifact can be had, and what they must be.
//!
//! Written for every file of a synced unit, also for one whose bytes are stored: that is what lets
//! a lost or reclaimed file be fetched again. A file may have sources at several remotes, and
//! several mirrors at one of them, told apart by `position`.

use std::collections::HashMap;

use diesel::prelude::*;

use crate::{
    Algorithm, ContentId, Digests, Expected, RelativePath, RemoteId, RemoteUrl, Sha256,
    artifact::signed,
    db::{Connection, DbError, dialect, on, types::JsonText},
    schema::remote_artifact,
};

/// A remote artifact to be written.
#[derive(Debug, Clone)]
pub struct NewRemoteArtifact {
    /// Whose file it is.
    pub content: ContentId,
    /// Which of its files.
    pub relative_path: RelativePath,
    /// With whose settings to fetch it.
    pub remote: RemoteId,
    /// Its place in the order of this remote's mirrors, from 0.
    pub position: u16,
    /// Where it is.
    pub url: RemoteUrl,
    /// What the bytes must be.
    pub expected: Expected,
}

/// One source of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteArtifact {
    /// With whose settings to fetch it.
    pub remote: RemoteId,
    /// Its place in the order of this remote's mirrors, from 0.
    pub position: u16,
    /// Where it is.
    pub url: RemoteUrl,
    /// What the bytes must be.
    pub expected: Expected,
}

/// Writes remote artifacts; what is known of the same source (content, path, remote, position) is
/// replaced.
pub fn upsert(conn: &mut Connection, batch: &[NewRemoteArtifact]) -> Result<(), DbError> {
    let mut rows: Vec<_> = batch.iter().map(row).collect();
    let key = |row: &dialect::RemoteArtifactRow<'_>| {
        (row.content, row.relative_path.clone(), row.remote, row.position)
    };
    rows.sort_by(|a, b| {
        (a.content, a.relative_path, a.remote, a.position).cmp(&(
            b.content,
            b.relative_path,
            b.remote,
            b.position,
        ))
    });
    rows.dedup_by(|a, b| key(a) == key(b));
    dialect::upsert_remote_artifacts(conn, &rows)?;
    Ok(())
}

/// The sources of every file of these units, each with the file's path; first the best mirrors of
/// every remote. A unit without sources is absent from the map.
pub fn load(
    conn: &mut Connection,
    contents: &[ContentId],
) -> Result<HashMap<ContentId, Vec<(RelativePath, RemoteArtifact)>>, DbError> {
    type Row = (ContentId, RelativePath, SourceRow);
    use remote_artifact as t;
    let mut contents = contents.to_vec();
    contents.sort_unstable();
    contents.dedup();
    let mut found: HashMap<ContentId, Vec<_>> = HashMap::with_capacity(contents.len());
    for chunk in contents.chunks(dialect::KEYS_PER_QUERY) {
        let rows: Vec<Row> = on!(conn, c => t::table
            .filter(t::content_id.eq_any(chunk))
            .order((t::content_id, t::relative_path, t::position, t::remote_id))
            .select((
                t::content_id,
                t::relative_path,
                (t::remote_id, t::position, t::url, t::size, t::sha256, t::digests),
            ))
            .load(c))?;
        for (content, path, source) in rows {
            found.entry(content).or_default().push((path, read(source)?));
        }
    }
    Ok(found)
}

type SourceRow = (RemoteId, i32, String, Option<i64>, Option<Sha256>, Option<JsonText>);

fn read(
    (remote, position, url, size, sha256, digests): SourceRow,
) -> Result<RemoteArtifact, DbError> {
    Ok(RemoteArtifact {
        remote,
        position: u16::try_from(position).unwrap_or(u16::MAX),
        url: url.parse().map_err(DbError::corrupt("remote_artifact.url"))?,
        expected: expected(size, sha256, digests)?,
    })
}

/// The sources of one file, first the best mirrors of every remote.
pub fn sources(
    conn: &mut Connection,
    content: ContentId,
    relative_path: &RelativePath,
) -> Result<Vec<RemoteArtifact>, DbError> {
    use remote_artifact as t;
    let rows: Vec<SourceRow> = on!(conn, c => t::table
        .filter(t::content_id.eq(content))
        .filter(t::relative_path.eq(relative_path))
        .order((t::position, t::remote_id))
        .select((t::remote_id, t::position, t::url, t::size, t::sha256, t::digests))
        .load(c))?;
    rows.into_iter().map(read).collect()
}

fn row(new: &NewRemoteArtifact) -> dialect::RemoteArtifactRow<'_> {
    dialect::RemoteArtifactRow {
        content: new.content,
        relative_path: &new.relative_path,
        remote: new.remote,
        position: i32::from(new.position),
        url: new.url.expose().as_str(),
        size: new.expected.size.map(signed),
        sha256: new.expected.digests.sha256(),
        digests: further_digests(&new.expected.digests),
    }
}

/// Everything but the SHA-256, which has its own column; nearly always nothing.
fn further_digests(digests: &Digests) -> Option<JsonText> {
    let mut further = Digests::new();
    for (algorithm, bytes) in digests.iter().filter(|(of, _)| *of != Algorithm::Sha256) {
        further.insert(algorithm, bytes).expect("it was taken before");
    }
    if further.is_empty() {
        return None;
    }
    Some(JsonText(serde_json::to_string(&further).expect("digests are a map of texts")))
}

fn expected(
    size: Option<i64>,
    sha256: Option<Sha256>,
    further: Option<JsonText>,
) -> Result<Expected, DbError> {
    let mut digests = match further {
        None => Digests::new(),
        Some(text) => {
            serde_json::from_str(&text.0).map_err(DbError::corrupt("remote_artifact.digests"))?
        }
    };
    if let Some(sha256) = sha256 {
        digests.insert(Algorithm::Sha256, &sha256.0).expect("32 bytes");
    }
    Ok(Expected { size: size.map(i64::unsigned_abs), digests })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Key, both_databases,
        content::{self, NewContent},
        testing::TestDatabase,
    };

    both_databases! {
        async fn sources_are_replaced_and_come_back_in_order(db: TestDatabase) {
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
                let path = RelativePath::new("a/b").expect("safe");
                let remotes = [RemoteId::new(), RemoteId::new()];
                let mut digests = Digests::from(Sha256::of(b"bytes"));
                digests.insert(Algorithm::Md5, &[7; 16]).expect("16 bytes");
                let source = |remote, position, url: &str, expected: &Expected| NewRemoteArtifact {
                    content,
                    relative_path: path.clone(),
                    remote,
                    position,
                    url: url.parse().expect("valid"),
                    expected: expected.clone(),
                };
                let known = Expected { size: Some(5), digests };
                let unknown = Expected::default();
                upsert(conn, &[
                    source(remotes[1], 0, "http://b/0", &unknown),
                    source(remotes[0], 1, "http://a/1", &unknown),
                    source(remotes[0], 0, "http://me:secret@a/0", &unknown),
                    source(remotes[0], 0, "http://me:secret@a/0", &unknown),
                ])?;
                upsert(conn, &[source(remotes[1], 0, "http://b/new", &known)])?;
                let found = sources(conn, content, &path)?;
                let urls: Vec<_> = found.iter().map(|of| of.url.expose().as_str()).collect();
                assert_eq!(urls, ["http://me:secret@a/0", "http://b/new", "http://a/1"]);
                assert_eq!(found[1].expected, known);
                assert_eq!((found[2].remote, found[2].position), (remotes[0], 1));
                Ok(())
            })
            .await
            .expect("done");
        }
    }
}
