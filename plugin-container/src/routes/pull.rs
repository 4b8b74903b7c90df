//! Pulling: tags, manifests, blobs, referrers and the catalog (distribution-spec, "Pull" and
//! "Content Discovery").
//!
//! Manifests are answered from their rows, byte for byte; blobs by the framework, which fetches
//! what is still upstream. Nothing is ever converted or renegotiated by digest.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};
use pulp_stages::serve::{ResponseOptions, Servable};
use serde_json::{Value, json};

use super::{
    RegistryRoutes, internal,
    lookup::{self, Place, Site},
    unknown_name,
};
use crate::{
    access::{Action, Caller},
    content::ManifestContent,
    digest::Digest,
    errors::{ErrorCode, RegistryError},
    media_type::MediaType,
    paging::PageRequest,
    pull_through::Behind,
    reference::{Reference, RepositoryName},
};

/// Names the content of a response.
pub(super) const DOCKER_CONTENT_DIGEST: HeaderName =
    HeaderName::from_static("docker-content-digest");
const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The parts of a request that answers depend on.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) head: &'a Parts,
    pub(super) caller: &'a Caller,
    pub(super) method: &'a Method,
    pub(super) headers: &'a HeaderMap,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
}

impl RegistryRoutes {
    pub(super) async fn catalog(&self, asked: Asked<'_>) -> Result<Response, RegistryError> {
        let page = PageRequest::parse(asked.query)?;
        let names = self.db().read(lookup::names).await.map_err(|error| internal(&error))?;
        let visible = names.into_iter().filter(|(_, rights)| asked.caller.may_list(rights));
        let names: Vec<_> = visible.map(|(name, _)| name).collect();
        let (names, link) = page.cut(asked.path, &names);
        Ok(list(asked.method, &json!({"repositories": names}), link))
    }

    pub(super) async fn tags(
        &self,
        asked: Asked<'_>,
        name: &RepositoryName,
    ) -> Result<Response, RegistryError> {
        let page = PageRequest::parse(asked.query)?;
        let place = self.allowed(asked, name, Action::Pull).await?;
        let tags = match &place.behind {
            None => self.kept_tags(place.site(name)?).await?,
            Some(behind) => self.tags_behind(behind, place.site, name).await?,
        };
        let (tags, link) = page.cut(asked.path, &tags);
        Ok(list(asked.method, &json!({"name": name, "tags": tags}), link))
    }

    async fn kept_tags(&self, site: Site) -> Result<Arc<Vec<String>>, RegistryError> {
        self.lists.tags(site).await.map_err(|error| internal(&error))
    }

    /// What can be pulled: what upstream has, and what was pulled before and is kept; that alone if
    /// upstream doesn't say.
    async fn tags_behind(
        &self,
        behind: &Behind,
        site: Option<Site>,
        name: &RepositoryName,
    ) -> Result<Arc<Vec<String>>, RegistryError> {
        let kept = match site {
            Some(site) => self.kept_tags(site).await?,
            None => Arc::default(),
        };
        match self.through.tags(behind).await {
            Ok(upstream) if kept.iter().all(|tag| upstream.binary_search(tag).is_ok()) => {
                Ok(upstream)
            }
            Ok(upstream) => {
                let both: BTreeSet<_> = upstream.iter().chain(&*kept).cloned().collect();
                Ok(Arc::new(both.into_iter().collect()))
            }
            Err(_) if site.is_some() => Ok(kept),
            Err(error) if error.status() == StatusCode::NOT_FOUND => Err(unknown_name(name)),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn manifest(
        &self,
        asked: Asked<'_>,
        name: &RepositoryName,
        reference: Reference,
    ) -> Result<Response, RegistryError> {
        let mut place = self.allowed(asked, name, Action::Pull).await?;
        let by_tag = matches!(reference, Reference::Tag(_));
        let mut found = self.find_manifest(&place, &reference).await?;
        if let Some(behind) = place.behind.as_ref().filter(|_| by_tag || found.is_none()) {
            let here = found.as_ref().map(|manifest| manifest.digest);
            if self.through.refresh(behind, &reference, here).await? {
                place = self.allowed(asked, name, Action::Pull).await?;
                found = self.find_manifest(&place, &reference).await?;
            }
        }
        place.site(name)?;
        let manifest = found.ok_or_else(|| {
            RegistryError::new(
                ErrorCode::ManifestUnknown,
                format!("There is no manifest `{reference}`"),
            )
            .with_detail(json!({"name": name, "reference": reference.to_string()}))
        })?;
        if by_tag && !accepts(asked.headers, &manifest.media_type) {
            let message = format!(
                "Manifest `{reference}` is of type `{}`, which `Accept` doesn't allow",
                manifest.media_type
            );
            return Err(RegistryError::new(ErrorCode::ManifestUnknown, message));
        }
        Ok(respond(asked, &manifest))
    }

    async fn find_manifest(
        &self,
        place: &Place,
        reference: &Reference,
    ) -> Result<Option<ManifestContent>, RegistryError> {
        let Some(site) = place.site else { return Ok(None) };
        let wanted = reference.clone();
        let found = self.db().read(move |conn| lookup::manifest(conn, site, &wanted)).await;
        found.map_err(|error| internal(&error))
    }

    pub(super) async fn blob(
        &self,
        asked: Asked<'_>,
        name: &RepositoryName,
        digest: Digest,
    ) -> Result<Response, RegistryError> {
        let site = self.allowed(asked, name, Action::Pull).await?.site(name)?;
        let found = self.db().read(move |conn| lookup::blob(conn, site, &digest)).await;
        let servable = match found.map_err(|error| internal(&error))? {
            Some(blob) => {
                let stored = blob.file.artifact.zip(blob.file.size);
                Servable::content(blob.content, blob.file.relative_path).stored_as(stored)
            }
            // Pushed, and waiting for its manifest.
            None => match self.pending.get(site.repository, &digest) {
                Some(content) => Servable::content(content, digest.relative_path()),
                None => return Err(blob_unknown(&digest)),
            },
        };
        let mut headers = HeaderMap::new();
        headers.insert(DOCKER_CONTENT_DIGEST, header_value(&digest.to_string()));
        let options = ResponseOptions {
            content_type: Some(HeaderValue::from_static("application/octet-stream")),
            etag: Some(header_value(&format!("\"{digest}\""))),
            headers,
        };
        let served = self.app.serve_artifact(asked.method, asked.headers, &servable, options);
        given(&digest, served.await)
    }

    pub(super) async fn referrers(
        &self,
        asked: Asked<'_>,
        name: &RepositoryName,
        subject: Digest,
    ) -> Result<Response, RegistryError> {
        let site = self.allowed(asked, name, Action::Pull).await?.site(name)?;
        let referrers = self.lists.referrers(site).await.map_err(|error| internal(&error))?;
        let wanted = url::form_urlencoded::parse(asked.query.unwrap_or_default().as_bytes())
            .find_map(|(key, value)| (key == "artifactType").then(|| value.into_owned()));
        let found = referrers.get(&subject).map(Vec::as_slice).unwrap_or_default();
        let found: Vec<&Value> = found
            .iter()
            .filter(|descriptor| {
                wanted.as_ref().is_none_or(|wanted| descriptor["artifactType"] == **wanted)
            })
            .collect();
        let document = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found});
        let mut response = json_response(asked.method, &document, OCI_INDEX);
        if wanted.is_some() {
            let applied = HeaderValue::from_static("artifactType");
            response.headers_mut().insert(FILTERS_APPLIED, applied);
        }
        Ok(response)
    }
}

/// The framework's answer, in a registry's words if there are no bytes. Why there are none, and where
/// they were looked for, is for the log.
fn given(digest: &Digest, response: Response) -> Result<Response, RegistryError> {
    let status = response.status();
    let error = if status == StatusCode::NOT_FOUND {
        let message = format!("Blob `{digest}` is not stored, and upstream has it no more");
        RegistryError::new(ErrorCode::BlobUnknown, message)
    } else if status.is_server_error() {
        let message = format!("Blob `{digest}` is not stored, and cannot be fetched now");
        RegistryError::new(ErrorCode::Unknown, message).with_status(status)
    } else {
        return Ok(response);
    };
    Err(match response.headers().get(header::RETRY_AFTER) {
        Some(wait) => error.with_header(header::RETRY_AFTER, wait.clone()),
        None => error,
    })
}

/// A blob that the repository doesn't have.
pub(super) fn blob_unknown(digest: &Digest) -> RegistryError {
    RegistryError::new(ErrorCode::BlobUnknown, format!("There is no blob `{digest}`"))
        .with_detail(json!({"digest": digest}))
}

fn list(method: &Method, document: &Value, link: Option<String>) -> Response {
    let mut response = json_response(method, document, "application/json");
    if let Some(link) = link {
        response.headers_mut().insert(header::LINK, header_value(&link));
    }
    response
}

pub(super) fn json_response(
    method: &Method,
    document: &Value,
    content_type: &'static str,
) -> Response {
    let body = document.to_string();
    let length = HeaderValue::from(body.len());
    let body = if method == Method::HEAD { Body::empty() } else { Body::from(body) };
    let content_type = HeaderValue::from_static(content_type);
    ([(header::CONTENT_TYPE, content_type), (header::CONTENT_LENGTH, length)], body).into_response()
}

fn respond(asked: Asked<'_>, manifest: &ManifestContent) -> Response {
    let digest = manifest.digest.to_string();
    let etag = format!("\"{digest}\"");
    let headers =
        [(DOCKER_CONTENT_DIGEST, header_value(&digest)), (header::ETAG, header_value(&etag))];
    if is_known(asked.headers, &etag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let described = [
        (header::CONTENT_TYPE, header_value(served_type(&manifest.media_type))),
        (header::CONTENT_LENGTH, HeaderValue::from(manifest.raw.len())),
    ];
    let body =
        if asked.method == Method::HEAD { Body::empty() } else { manifest.raw.clone().into() };
    (headers, described, body).into_response()
}

/// Registries serve plain and signed schema 1 manifests under the signed one's type.
fn served_type(media_type: &MediaType) -> &str {
    match media_type {
        MediaType::DockerSchema1 => MediaType::DockerSchema1Signed.as_str(),
        other => other.as_str(),
    }
}

/// Whether `If-None-Match` names `etag` (RFC 9110, section 13.1.2). Docker sends digests without
/// quotes, too.
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let lines = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).any(|candidate| {
        let candidate = candidate.strip_prefix("W/").unwrap_or(candidate);
        candidate == "*" || candidate.trim_matches('"') == etag.trim_matches('"')
    })
}

/// Whether a client that says what it accepts, in one or several lines, accepts `media_type`. A
/// range of weight 0 excludes what no narrower one takes (RFC 9110, section 12.5.1).
fn accepts(headers: &HeaderMap, media_type: &MediaType) -> bool {
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let mut ranges = lines.flat_map(|line| line.split(',')).filter(|r| !r.trim().is_empty());
    let Some(first) = ranges.next() else { return true };
    let matching = std::iter::once(first).chain(ranges).filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let excluded = parts.any(|parameter| {
            let weight = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="));
            weight.and_then(|weight| weight.parse::<f32>().ok()) == Some(0.0)
        });
        let named = MediaType::parse(&name);
        let narrowness = match name.as_str() {
            "*/*" => 0,
            "application/*" => 1,
            _ if named == *media_type || named.is_schema1() && media_type.is_schema1() => 2,
            _ => return None,
        };
        Some((narrowness, !excluded))
    });
    matching.max().is_some_and(|(_, accepted)| accepted)
}

/// Digests, types and links hold nothing that HTTP forbids: they were parsed.
pub(super) fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("invalid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, lines: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_static(line));
        }
        headers
    }

    #[test]
    fn accept_is_merged_over_lines_and_weights_are_heeded() {
        let check = |lines: &[&'static str], expected: bool| {
            let headers = headers(&header::ACCEPT, lines);
            assert_eq!(accepts(&headers, &MediaType::OciIndex), expected, "{lines:?}");
        };
        check(&[], true);
        check(&["text/html", "application/vnd.oci.image.index.v1+json"], true);
        check(&["a/b, application/vnd.oci.image.index.v1+json;q=0.5, */*;q=0"], true);
        check(&["*/*"], true);
        check(&["application/vnd.oci.image.index.v1+json; q=0"], false);
        check(&["application/vnd.oci.image.index.v1+json; q=0.0, application/*", "*/*"], false);
        check(&["application/*;q=0, */*"], false);
        check(&["application/json, application/vnd.oci.image.manifest.v1+json"], false);
        check(&[""], true);
    }

    #[test]
    fn a_known_etag_is_found_with_and_without_quotes() {
        let etag = "\"sha256:00\"";
        for (lines, expected) in [
            (&["\"sha256:00\""][..], true),
            (&["sha256:00"], true),
            (&["\"x\", W/\"sha256:00\""], true),
            (&["x", "*"], true),
            (&["\"sha256:01\""], false),
            (&[], false),
        ] {
            assert_eq!(is_known(&headers(&header::IF_NONE_MATCH, lines), etag), expected);
        }
    }
}
