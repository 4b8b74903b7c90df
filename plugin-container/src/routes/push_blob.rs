//! Pushing blobs: one request or many, or none at all if another repository has it (distribution-
//! spec, "Pushing Blobs").
//!
//! Bytes go into the store as they arrive and count as a blob only if their digest is the one that
//! the client names at the end. What becomes of the blob afterwards is `push_manifest`'s business.

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use futures::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use pulp_models::{
    ContentId, Digests, RelativePath,
    artifact::{self, NewArtifact},
    content::{self, NewContent},
    content_artifact::{self, NewContentArtifact},
    db::Connection,
    store::{Verified, Verifier, VerifyError},
};
use pulp_stages::Content as _;

use super::{
    RegistryRoutes, Writable,
    endpoint::bad_digest,
    failed, internal, lookup,
    pull::{Asked, DOCKER_CONTENT_DIGEST, blob_unknown, header_value},
    uploads::{self, Upload},
};
use crate::{
    access::Action,
    content::{BlobContent, ContainerContent},
    digest::{Digest, DigestError},
    errors::{ErrorCode, RegistryError},
    reference::RepositoryName,
};

const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");
/// How long an upload waits for an orphan cleanup to let go of the store.
const STORE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

impl RegistryRoutes {
    /// `POST`: begins a session; or takes the whole blob (`digest=`); or takes it from another
    /// repository (`mount=`, `from=`), which becomes a session if that repository hasn't it.
    pub(super) async fn begin_upload(
        &self,
        asked: Asked<'_>,
        name: RepositoryName,
        body: Body,
    ) -> Result<Response, RegistryError> {
        let writable = self.writable(asked, &name).await?;
        if let Some(mount) = parameter(asked, "mount") {
            let digest = parse_digest(&mount)?;
            if self.mount(asked, &writable, &digest).await? {
                return Ok(created(&name, &digest));
            }
        } else if let Some(digest) = parameter(asked, "digest") {
            let digest = parse_digest(&digest)?;
            let store = &self.app.installation().store;
            let mut verifier = store.verifier(&digest.expected(None), &[]);
            receive(&mut verifier, body).await?;
            self.keep(&writable, &digest, verifier.finish().await.map_err(refused)?).await?;
            return Ok(created(&name, &digest));
        }
        let id = self.uploads.begin(&self.app.installation().store, name.clone())?;
        Ok(progress(StatusCode::ACCEPTED, &name, &id, 0))
    }

    /// `PATCH`: the next bytes.
    pub(super) async fn continue_upload(
        &self,
        asked: Asked<'_>,
        name: RepositoryName,
        id: &str,
        body: Body,
    ) -> Result<Response, RegistryError> {
        self.writable(asked, &name).await?;
        let mut working = self.uploads.work_on(&name, id).await?;
        let received = take(&mut working.upload, asked.headers, &name, id, body).await?;
        Ok(progress(StatusCode::ACCEPTED, &name, id, received))
    }

    /// `PUT`: the last bytes, if any, and what they all are.
    pub(super) async fn finish_upload(
        &self,
        asked: Asked<'_>,
        name: RepositoryName,
        id: &str,
        body: Body,
    ) -> Result<Response, RegistryError> {
        let writable = self.writable(asked, &name).await?;
        let digest = parameter(asked, "digest").ok_or_else(|| {
            RegistryError::new(ErrorCode::DigestInvalid, "The parameter `digest` is missing")
        })?;
        let digest = parse_digest(&digest)?;
        let mut working = self.uploads.work_on(&name, id).await?;
        take(&mut working.upload, asked.headers, &name, id, body).await?;
        let verifier = working.upload.verifier.take().ok_or_else(|| uploads::unknown(id))?;
        drop(working);
        let verified = verifier.finish().await.map_err(refused)?;
        check(&verified, &digest)?;
        self.keep(&writable, &digest, verified).await?;
        Ok(created(&name, &digest))
    }

    /// `GET`: how much is there.
    pub(super) async fn upload_status(
        &self,
        asked: Asked<'_>,
        name: RepositoryName,
        id: &str,
    ) -> Result<Response, RegistryError> {
        self.writable(asked, &name).await?;
        let working = self.uploads.work_on(&name, id).await?;
        let received = working.upload.verifier.as_ref().map(Verifier::received);
        let received = received.ok_or_else(|| uploads::unknown(id))?;
        Ok(progress(StatusCode::NO_CONTENT, &name, id, received))
    }

    /// `DELETE`: forgets it.
    pub(super) async fn cancel_upload(
        &self,
        asked: Asked<'_>,
        name: RepositoryName,
        id: &str,
    ) -> Result<Response, RegistryError> {
        self.writable(asked, &name).await?;
        self.uploads.give_up(&name, id)?;
        Ok(StatusCode::NO_CONTENT.into_response())
    }

    /// Whether the blob now belongs to the repository, too. Only what `from` names is looked at, and
    /// only if the caller may pull from it: who knows a digest may not have the right to the bytes.
    async fn mount(
        &self,
        asked: Asked<'_>,
        writable: &Writable,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        let Some(from) = parameter(asked, "from") else { return Ok(false) };
        let Ok(from) = from.parse::<RepositoryName>() else { return Ok(false) };
        let Ok(from) = self.allowed(asked, &from, Action::Pull).await else { return Ok(false) };
        let (Some(site), wanted) = (from.site, *digest) else { return Ok(false) };
        let found = self.db().read(move |conn| lookup::blob(conn, site, &wanted));
        let content = match found.await.map_err(|error| internal(&error))? {
            Some(blob) => Some(blob.content),
            None => self.pending.get(site.repository, digest),
        };
        if let Some(content) = content {
            self.pending.add(writable.repository, *digest, content);
        }
        Ok(content.is_some())
    }

    /// Saves the bytes, then the rows; from then on the repository has the blob.
    async fn keep(
        &self,
        writable: &Writable,
        digest: &Digest,
        verified: Verified,
    ) -> Result<(), RegistryError> {
        let installation = self.app.installation();
        let store = &installation.store;
        let _shared = store.shared(STORE_PATIENCE).await.map_err(|error| failed(&error))?;
        let saved = store.save(vec![verified]).await.map_err(|error| failed(&error))?;
        let saved = saved.into_iter().next().ok_or_else(|| blob_unknown(digest))?;
        let mut digests = Digests::new();
        // Further digests are kept only where a blob is named by one.
        if digests.insert(digest.algorithm(), digest.as_bytes()).is_err() {
            return Err(blob_unknown(digest));
        }
        let row = NewArtifact { digests, ..saved.into() };
        let (digest, relative_path) = (*digest, digest.relative_path());
        let content = installation
            .db
            .write(move |conn| {
                artifact::insert_artifacts(conn, std::slice::from_ref(&row))?;
                write_blob(conn, digest, &relative_path, row.sha256)
            })
            .await
            .map_err(|error| internal(&error))?;
        self.pending.add(writable.repository, digest, content);
        Ok(())
    }
}

fn write_blob(
    conn: &mut Connection,
    digest: Digest,
    relative_path: &RelativePath,
    sha256: pulp_models::Sha256,
) -> Result<ContentId, pulp_models::DbError> {
    let blob = ContainerContent::Blob(BlobContent { digest });
    let natural_key = ContainerContent::blob_key(&digest);
    let new = NewContent {
        type_name: blob.type_name().into(),
        natural_key,
        repo_key: None,
        metadata: serde_json::to_string(&blob).unwrap_or_default(),
        raw: None,
    };
    let ids = content::insert(conn, &[new])?;
    let (id, _) = ids[&natural_key];
    let file = NewContentArtifact {
        content: id,
        relative_path: relative_path.clone(),
        artifact: Some(sha256),
    };
    content_artifact::upsert(conn, &[file])?;
    Ok(id)
}

/// Takes a request's bytes into the session. Gives how many it has now.
async fn take(
    upload: &mut Upload,
    headers: &HeaderMap,
    name: &RepositoryName,
    id: &str,
    body: Body,
) -> Result<u64, RegistryError> {
    // Taken out, so that bytes cut off in the middle leave no session that looks sound.
    let mut verifier = upload.verifier.take().ok_or_else(|| uploads::unknown(id))?;
    let before = verifier.received();
    let length = match length_of_range(headers, before, name, id) {
        Ok(length) => length,
        Err(error) => {
            upload.verifier = Some(verifier);
            return Err(error);
        }
    };
    receive(&mut verifier, body).await?;
    let received = verifier.received();
    if let Some(length) = length {
        same_length(length, received - before)?;
    }
    upload.verifier = Some(verifier);
    Ok(received)
}

/// How many bytes a request's range has, if it has one; it has to go on after the `received` ones.
fn length_of_range(
    headers: &HeaderMap,
    received: u64,
    name: &RepositoryName,
    id: &str,
) -> Result<Option<u64>, RegistryError> {
    let Some(range) = headers.get(header::CONTENT_RANGE) else { return Ok(None) };
    let Some((_, last)) = first_and_last(range).filter(|(first, _)| *first == received) else {
        let message = format!("The next byte of upload `{id}` is {received}");
        return Err(RegistryError::new(ErrorCode::BlobUploadInvalid, message)
            .with_status(StatusCode::RANGE_NOT_SATISFIABLE)
            .with_header(header::LOCATION, header_value(&location(name, id)))
            .with_header(header::RANGE, header_value(&range_of(received))));
    };
    let length = (last - received).saturating_add(1);
    let body =
        headers.get(header::CONTENT_LENGTH).and_then(|body| body.to_str().ok()?.parse().ok());
    if let Some(body) = body {
        same_length(length, body)?;
    }
    Ok(Some(length))
}

fn same_length(of_range: u64, of_body: u64) -> Result<(), RegistryError> {
    if of_range == of_body {
        return Ok(());
    }
    let message = format!("The range has {of_range} bytes and the body {of_body}");
    Err(RegistryError::new(ErrorCode::SizeInvalid, message))
}

async fn receive(verifier: &mut Verifier, body: Body) -> Result<(), RegistryError> {
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece
            .map_err(|_| RegistryError::new(ErrorCode::BlobUploadInvalid, "The body broke off"))?;
        verifier.push(piece).await.map_err(refused)?;
    }
    Ok(())
}

fn refused(error: VerifyError) -> RegistryError {
    match error {
        VerifyError::Mismatch(mismatch) => {
            RegistryError::new(ErrorCode::DigestInvalid, mismatch.to_string())
        }
        other => failed(&other),
    }
}

fn check(verified: &Verified, digest: &Digest) -> Result<(), RegistryError> {
    digest
        .expected(None)
        .check(verified.size(), verified.digests())
        .map_err(|mismatch| RegistryError::new(ErrorCode::DigestInvalid, mismatch.to_string()))
}

/// Both ends of `<start>-<end>`, as the specification writes it, or of RFC 9110's form.
fn first_and_last(range: &HeaderValue) -> Option<(u64, u64)> {
    let text = range.to_str().ok()?.trim();
    let text = text.strip_prefix("bytes").unwrap_or(text).trim_start_matches([' ', '=']);
    let (first, last) = text.split_once('-')?;
    let last = last.split('/').next()?;
    let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last).then_some((first, last))
}

fn parse_digest(text: &str) -> Result<Digest, RegistryError> {
    text.parse().map_err(|error: DigestError| bad_digest(&error))
}

/// The value of a parameter of the query.
pub(super) fn parameter(asked: Asked<'_>, name: &str) -> Option<String> {
    url::form_urlencoded::parse(asked.query.unwrap_or_default().as_bytes())
        .find_map(|(key, value)| (key == name).then(|| value.into_owned()))
}

fn location(name: &RepositoryName, id: &str) -> String {
    format!("/v2/{name}/blobs/uploads/{id}")
}

/// Inclusive, as the specification has it; nothing is `0-0`.
fn range_of(received: u64) -> String {
    format!("0-{}", received.saturating_sub(1))
}

fn progress(status: StatusCode, name: &RepositoryName, id: &str, received: u64) -> Response {
    let headers = [
        (header::LOCATION, header_value(&location(name, id))),
        (header::RANGE, header_value(&range_of(received))),
        (UPLOAD_UUID, header_value(id)),
    ];
    (status, headers).into_response()
}

fn created(name: &RepositoryName, digest: &Digest) -> Response {
    let headers = [
        (header::LOCATION, header_value(&format!("/v2/{name}/blobs/{digest}"))),
        (DOCKER_CONTENT_DIGEST, header_value(&digest.to_string())),
    ];
    (StatusCode::CREATED, headers).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_both_forms_are_read() {
        for (text, expected) in [
            ("0-99", Some((0, 99))),
            ("100-199", Some((100, 199))),
            ("bytes 100-199/200", Some((100, 199))),
            ("bytes=5-5", Some((5, 5))),
            ("9-3", None),
            ("x-3", None),
            ("", None),
            ("-5", None),
        ] {
            assert_eq!(first_and_last(&HeaderValue::from_static(text)), expected, "{text}");
        }
    }
}
