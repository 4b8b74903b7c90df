//! Signatures that are kept beside manifests, by the `X-Registry-Supports-Signatures` extension of
//! `OpenShift`: a list of documents per manifest. They come with a mirror; nobody can push any.

use axum::response::Response;
use pulp_models::{Connection, DbError, content};
use serde_json::{Value, json};

use super::{
    RegistryRoutes, internal, lookup,
    lookup::Site,
    pull::{Asked, json_response},
};
use crate::{
    access::Action,
    client::signatures::listed,
    content::ContainerContent,
    digest::Digest,
    errors::{ErrorCode, RegistryError},
    reference::RepositoryName,
};

impl RegistryRoutes {
    pub(super) async fn signatures(
        &self,
        asked: Asked<'_>,
        name: &RepositoryName,
        manifest: Digest,
    ) -> Result<Response, RegistryError> {
        let site = self.allowed(asked, name, Action::Pull).await?.site(name)?;
        let by_manifest = self.lists.signatures(site).await.map_err(|error| internal(&error))?;
        let ids = by_manifest.get(&manifest).cloned().unwrap_or_default();
        let read = self.db().read(move |conn| documents(conn, site, &manifest, &ids)).await;
        let documents = read.map_err(|error| internal(&error))?.ok_or_else(|| {
            let message = format!("There is no manifest `{manifest}`");
            RegistryError::new(ErrorCode::ManifestUnknown, message)
        })?;
        Ok(json_response(asked.method, &json!({"signatures": documents}), "application/json"))
    }
}

/// The signatures of a manifest that the site has.
fn documents(
    conn: &mut Connection,
    site: Site,
    manifest: &Digest,
    ids: &[pulp_models::ContentId],
) -> Result<Option<Vec<Value>>, DbError> {
    if lookup::member(conn, site, ContainerContent::manifest_key(manifest))?.is_none() {
        return Ok(None);
    }
    let mut documents = Vec::new();
    for row in content::load(conn, ids)? {
        if let ContainerContent::Signature(signature) = lookup::load(row)? {
            documents.push(listed(&signature));
        }
    }
    documents.sort_unstable_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    Ok(Some(documents))
}
