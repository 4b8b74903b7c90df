//! The references between tables that the schema does not enforce.

use std::fmt;

use diesel::prelude::*;

use crate::{
    AlternateContentSourceId, ContentId, DbError, DistributionId, PublicationId, RemoteId,
    RepositoryId,
    db::{Connection, on},
    schema::{
        alternate_artifact, alternate_content_source, artifact, content, content_artifact,
        distribution, incomplete_version_content, publication, published_artifact, remote,
        remote_artifact, repository, repository_content, repository_version,
    },
};

/// What refers to what, without a foreign key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reference {
    /// A stored file to its artifact.
    FileToArtifact,
    /// A version's file that is not stored to a place where it can be fetched. A sync writes the
    /// places last: what no version has may be waiting for them.
    FileToSource,
    /// A remote artifact to the file that it is.
    RemoteArtifactToFile,
    /// A remote artifact to its remote.
    RemoteArtifactToRemote,
    /// A member of a repository to its content.
    MemberToContent,
    /// A member of a repository to the version that added it.
    MemberToVersionAdded,
    /// A member of a repository to the version that removed it.
    MemberToVersionRemoved,
    /// What an unfinished sync saw to its repository.
    IncompleteToRepository,
    /// A publication to its version.
    PublicationToVersion,
    /// A published file to the content's.
    PublishedToFile,
    /// Published metadata to its artifact.
    PublishedToArtifact,
    /// A distribution to its version.
    DistributionToVersion,
    /// What an alternate content source has to that source.
    OfferToSource,
}

impl Reference {
    /// Every reference.
    pub const ALL: [Self; 13] = [
        Self::FileToArtifact,
        Self::FileToSource,
        Self::RemoteArtifactToFile,
        Self::RemoteArtifactToRemote,
        Self::MemberToContent,
        Self::MemberToVersionAdded,
        Self::MemberToVersionRemoved,
        Self::IncompleteToRepository,
        Self::PublicationToVersion,
        Self::PublishedToFile,
        Self::PublishedToArtifact,
        Self::DistributionToVersion,
        Self::OfferToSource,
    ];

    /// At most `limit` rows whose counterpart does not exist, described.
    pub(super) fn dangling(
        self,
        conn: &mut Connection,
        limit: u32,
    ) -> Result<Vec<String>, DbError> {
        let limit = i64::from(limit);
        match self {
            Self::FileToArtifact => file_to_artifact(conn, limit),
            Self::FileToSource => file_to_source(conn, limit),
            Self::RemoteArtifactToFile => remote_artifact_to_file(conn, limit),
            Self::RemoteArtifactToRemote => remote_artifact_to_remote(conn, limit),
            Self::MemberToContent => member_to_content(conn, limit),
            Self::MemberToVersionAdded => member_to_version_added(conn, limit),
            Self::MemberToVersionRemoved => member_to_version_removed(conn, limit),
            Self::IncompleteToRepository => incomplete_to_repository(conn, limit),
            Self::PublicationToVersion => publication_to_version(conn, limit),
            Self::PublishedToFile => published_to_file(conn, limit),
            Self::PublishedToArtifact => published_to_artifact(conn, limit),
            Self::DistributionToVersion => distribution_to_version(conn, limit),
            Self::OfferToSource => offer_to_source(conn, limit),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FileToArtifact | Self::PublishedToArtifact => "its artifact does not exist",
            Self::FileToSource => "it is neither stored nor can it be fetched",
            Self::RemoteArtifactToFile | Self::PublishedToFile => "its file does not exist",
            Self::RemoteArtifactToRemote => "its remote does not exist",
            Self::MemberToContent => "its content does not exist",
            Self::MemberToVersionAdded => "the version that added it does not exist",
            Self::MemberToVersionRemoved => "the version that removed it does not exist",
            Self::IncompleteToRepository => "its repository does not exist",
            Self::PublicationToVersion | Self::DistributionToVersion => {
                "its version does not exist"
            }
            Self::OfferToSource => "its alternate content source does not exist",
        })
    }
}

fn file(content: ContentId, path: &str) -> String {
    format!("File `{path}` of content `{content}`")
}

fn file_to_artifact(conn: &mut Connection, limit: i64) -> Result<Vec<String>, DbError> {
    let rows: Vec<(ContentId, String)> = on!(conn, c => content_artifact::table
        .left_join(artifact::table.on(content_artifact::sha256.eq(artifact::sha256.nullable())))
        .filter(content_artifact::sha256.is_not_null())
        .filter(artifact::sha256.nullable().is_null())
        .limit(limit)
        .select((content_artifact::content_id, content_artifact::relative_path))
        .load(c))?;
    Ok(rows.into_iter().map(|(content, path)| file(content, &path)).collect())
}

fn file_to_source(conn: &mut Connection, limit: i64) -> Result<Vec<String>, DbError> {
    let rows: Vec<(ContentId, String)> = on!(conn, c => content_artifact::table
        .left_join(remote_artifact::table.on(
            remote_artifact::content_id.eq(content_artifact::content_id)
                .and(remote_artifact::relative_path.eq(content_artifact::relative_path)),
        ))
        .filter(content_artifact::sha256.is_null())
        .filter(remote_artifact::url.nullable().is_null())
        // By way of the repositories, whose key leads the index. Otherwise PostgreSQL, as long as it
        // has not analysed the tables, walks that whole index once per file.
        .filter(content_artifact::content_id.eq_any(
            repository::table
                .inner_join(
                    repository_content::table
                        .on(repository_content::repository_id.eq(repository::id)),
                )
                .select(repository_content::content_id),
        ))
        .limit(limit)
        .select((content_artifact::content_id, content_artifact::relative_path))
        .load(c))?;
    Ok(rows.into_iter().map(|(content, path)| file(content, &path)).collect())
}

fn remote_artifact_to_file(conn: &mut Connection, limit: i64) -> Result<Vec<String>, DbError> {
    let rows: Vec<(ContentId, String)> = on!(conn, c => remote_artifact::table
        .left_join(content_artifact::table.on(
            remote_artifact::content_id.eq(content_artifact::content_id)
                .and(remote_artifact::relative_path.eq(content_artifact::relative_path)),
        ))
        .filter(content_artifact::content_id.nullable().is_null())
        .limit(limit)
        .select((remote_artifact::content_id, remote_artifact::relative_path))
        .load(c))?;
    let describe = |(content, path)| format!("Remote artifact `{path}` of content `{content}`");
    Ok(rows.into_iter().map(describe).collect())
}

fn remote_artifact_to_remote(conn: &mut Connection, limit: i64) -> Result<Vec<String>, DbError> {
    let rows: Vec<(ContentId, String, RemoteId)> = on!(conn, c => remote_artifact::table
        .left_join(remote::table.on(remote::id.eq(remote_artifact::remote_id)))
        .filter(remote::id.nullable().is_null())
        .limit(limit)
        .select((
            remote_artifact::content_id,
            remote_artifact::relative_path,
            remote_artifact::remote_id,
        ))
        .load(c))?;
    let describe = |(content, path, remote)| {
        format!("Remote artifact `{path}` of content `{content}` in remote `{remote}`")
    };
    Ok(rows.into_iter().map(describe).collect())
}

fn member_to_content(conn: &mut Connection, limit: i64) -> Result<Vec<String>, DbError> {
    let rows: Vec<(RepositoryId, ContentId)> = on!(conn, c => repository_content::table
        .left_join(content::table.on(content::id.eq(repository_content::content_id)))
        .filter(content::id.nullable().is_null())
        .limit(limit)
        .select((repository_content::repository_id, repository_content::content_id))
        .load(c))?;
    Ok(rows.into_iter().map(member).collect())
}

fn member((repository, content): (RepositoryId, ContentId)) -> String {
    format!("Content `{content}` in repository `{repository}`")
}

fn member_to_version_added(conn: &mut Connection, limit: i64) -> Result<Vec<String>, DbError> {
    let rows: Vec<(RepositoryId, ContentId)> = on!(conn, c => repository_content::table
        .left_join(repository_version::table.on(
            repository_version::repository_id.eq(repository_content::repository_id)
                .and(repository_version::number.eq(repository_content::version_added)),
        ))
        .filter(repository_version::number.nullable().is_null())
        .limit(limit)
        .select((repository_content::repository_id, repository_content::content_id))
        .load(c))?;
    Ok(rows.into_iter().map(member).collect())
}

fn member_to_version_removed(conn: &mut Connection, limit: i64) -> Result<Vec<String>, DbError> {
    let rows: Vec<(RepositoryId, ContentId)> = on!(conn, c => repository_content::table
        .left_join(repository_version::table.on(
            repository_version::repository_id.eq(repository_content::repository_id).and(
                repository_version::number.nullable().eq(repository_content::version_removed),
            ),
        ))
        .filter(repository_content::version_removed.is_not_null())
        .filter(repository_version::number.nullable().is_null())
        .limit(limit)
        .select((repository_content::repository_id, repository_content::content_id))
        .load(c))?;
    Ok(rows.into_iter().map(member).collect())
}

fn incomplete_to_repository(conn: &mut Connection, limit: i64) -> Result<Vec<String>, DbError> {
    let rows: Vec<(RepositoryId, i64)> = on!(conn, c => incomplete_version_content::table
        .left_join(repository::table.on(
            repository::id.eq(incomplete_version_content::repository_id),
        ))
        .filter(repository::id.nullable().is_null())
        .limit(limit)
        .select((incomplete_version_content::repository_id, incomplete_version_content::number))
        .distinct()
        .load(c))?;
    let describe = |(id, number)| format!("Incomplete version {number} of repository `{id}`");
    Ok(rows.into_iter().map(describe).collect())
}

fn publication_to_version(conn: &mut Connection, limit: i64) -> Result<Vec<String>, DbError> {
    let rows: Vec<(PublicationId, i64)> = on!(conn, c => publication::table
        .left_join(repository_version::table.on(
            repository_version::repository_id.eq(publication::repository_id)
                .and(repository_version::number.eq(publication::version)),
        ))
        .filter(repository_version::number.nullable().is_null())
        .limit(limit)
        .select((publication::id, publication::version))
        .load(c))?;
    let describe = |(id, number)| format!("Publication `{id}` of version {number}");
    Ok(rows.into_iter().map(describe).collect())
}

fn published_to_file(conn: &mut Connection, limit: i64) -> Result<Vec<String>, DbError> {
    let rows: Vec<(PublicationId, String)> = on!(conn, c => published_artifact::table
        .left_join(content_artifact::table.on(
            published_artifact::content_id.eq(content_artifact::content_id.nullable()).and(
                published_artifact::content_path.eq(content_artifact::relative_path.nullable()),
            ),
        ))
        .filter(published_artifact::content_id.is_not_null())
        .filter(content_artifact::content_id.nullable().is_null())
        .limit(limit)
        .select((published_artifact::publication_id, published_artifact::relative_path))
        .load(c))?;
    Ok(rows.into_iter().map(published).collect())
}

fn published((publication, path): (PublicationId, String)) -> String {
    format!("Path `{path}` of publication `{publication}`")
}

fn published_to_artifact(conn: &mut Connection, limit: i64) -> Result<Vec<String>, DbError> {
    let rows: Vec<(PublicationId, String)> = on!(conn, c => published_artifact::table
        .left_join(artifact::table.on(published_artifact::sha256.eq(artifact::sha256.nullable())))
        .filter(published_artifact::sha256.is_not_null())
        .filter(artifact::sha256.nullable().is_null())
        .limit(limit)
        .select((published_artifact::publication_id, published_artifact::relative_path))
        .load(c))?;
    Ok(rows.into_iter().map(published).collect())
}

fn distribution_to_version(conn: &mut Connection, limit: i64) -> Result<Vec<String>, DbError> {
    let rows: Vec<(DistributionId, String)> = on!(conn, c => distribution::table
        .left_join(repository_version::table.on(
            distribution::repository_id.eq(repository_version::repository_id.nullable())
                .and(distribution::version.eq(repository_version::number.nullable())),
        ))
        .filter(distribution::version.is_not_null())
        .filter(distribution::repository_id.is_not_null())
        .filter(repository_version::number.nullable().is_null())
        .limit(limit)
        .select((distribution::id, distribution::name))
        .load(c))?;
    let describe = |(_, name): (DistributionId, String)| format!("Distribution `{name}`");
    Ok(rows.into_iter().map(describe).collect())
}

fn offer_to_source(conn: &mut Connection, limit: i64) -> Result<Vec<String>, DbError> {
    let rows: Vec<AlternateContentSourceId> = on!(conn, c => alternate_artifact::table
        .left_join(alternate_content_source::table.on(
            alternate_content_source::id.eq(alternate_artifact::source_id),
        ))
        .filter(alternate_content_source::id.nullable().is_null())
        .limit(limit)
        .select(alternate_artifact::source_id)
        .distinct()
        .load(c))?;
    Ok(rows.into_iter().map(|id| format!("Offers of alternate content source `{id}`")).collect())
}
