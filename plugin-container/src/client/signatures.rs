//! Signatures that are kept beside manifests: by the registry itself, or on a web server.
//!
//! The registry's way is the `X-Registry-Supports-Signatures` extension of `OpenShift`; the web
//! server's a folder per manifest with `signature-1`, `signature-2`, … in it, which
//! `containers-registries.d(5)` calls a lookaside store, and its users a sigstore. Both hold OpenPGP
//! messages. Nothing is verified here: that takes keys, which clients have.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Method, StatusCode};
use pulp_models::RemoteUrl;
use serde::Deserialize;
use url::Url;

use super::{Registry, RegistryClientError, Request, list_error};
use crate::{content::SignatureContent, digest::Digest};

/// Says that a registry keeps signatures, in the answer to `/v2/`.
pub const SUPPORTS_SIGNATURES: &str = "x-registry-supports-signatures";
/// Signatures of one manifest that are asked for; more are nobody's.
pub(crate) const MAX_SIGNATURES: usize = 100;
/// Largest signature, and largest answer to `/v2/`, in bytes.
pub(crate) const MAX_SIGNATURE: usize = 1024 * 1024;

/// The extension's answer; [`listed`] writes an entry of it.
#[derive(Debug, Deserialize)]
struct SignatureList {
    #[serde(default)]
    signatures: Vec<ListedSignature>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListedSignature {
    #[serde(default)]
    schema_version: u64,
    #[serde(default)]
    name: String,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    content: String,
}

/// A signature as the extension lists it.
pub(crate) fn listed(signature: &SignatureContent) -> serde_json::Value {
    serde_json::json!({
        "schemaVersion": 2,
        "name": signature.name,
        "type": "atomic",
        "content": STANDARD.encode(&signature.raw),
    })
}

impl Registry {
    /// Whether the registry keeps signatures itself.
    pub async fn keeps_signatures(&self) -> Result<bool, RegistryClientError> {
        let url = RemoteUrl::from_url(self.base.clone()).join_path("v2/").expose().clone();
        let request = Request { method: Method::GET, url, accept: None, max_size: MAX_SIGNATURE };
        let answer = self.send(request).await?;
        Ok(answer.headers.get(SUPPORTS_SIGNATURES).is_some_and(|value| value == "1"))
    }

    /// The signatures of `manifest` that the registry keeps. What is no signature of it is told to
    /// `refused`.
    pub async fn signatures(
        &self,
        manifest: &Digest,
        mut refused: impl FnMut(String),
    ) -> Result<Vec<SignatureContent>, RegistryClientError> {
        let path = format!("extensions/v2/{}/signatures/{manifest}", self.name);
        let url = RemoteUrl::from_url(self.base.clone()).join_path(&path).expose().clone();
        let limit = MAX_SIGNATURES * MAX_SIGNATURE;
        let Some(body) = self.get_if_there(url.clone(), limit).await? else {
            return Ok(Vec::new());
        };
        let list: SignatureList =
            serde_json::from_slice(&body).map_err(|source| list_error(&url, source))?;
        let mut found = Vec::new();
        for listed in list.signatures.into_iter().take(MAX_SIGNATURES) {
            let is_known = listed.schema_version == 2 && listed.kind == "atomic";
            let document = STANDARD.decode(&listed.content).ok().filter(|_| is_known);
            match document.and_then(|bytes| SignatureContent::of(manifest, bytes.into())) {
                Some(signature) => found.push(signature.named(listed.name)),
                None => refused(listed.name),
            }
        }
        Ok(found)
    }

    /// The signatures of `manifest` in the lookaside store at `store`, read until one is missing.
    pub async fn stored_signatures(
        &self,
        store: &Url,
        manifest: &Digest,
        mut refused: impl FnMut(String),
    ) -> Result<Vec<SignatureContent>, RegistryClientError> {
        let (algorithm, hex) = (manifest.algorithm().name(), manifest.hex());
        let folder = format!("{}@{algorithm}={hex}", self.name);
        let mut found = Vec::new();
        for number in 1..=MAX_SIGNATURES {
            let path = format!("{folder}/signature-{number}");
            let url = RemoteUrl::from_url(store.clone()).join_path(&path);
            let Some(body) = self.get_if_there(url.expose().clone(), MAX_SIGNATURE).await? else {
                break;
            };
            match SignatureContent::of(manifest, body) {
                Some(signature) => found.push(signature),
                None => refused(url.to_string()),
            }
        }
        Ok(found)
    }

    /// The body of a successful answer, or `None` if there is no such thing.
    async fn get_if_there(
        &self,
        url: Url,
        max_size: usize,
    ) -> Result<Option<Bytes>, RegistryClientError> {
        match self.get(url, None, max_size).await {
            Ok(answer) => Ok(Some(answer.body)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(RegistryClientError::Status { status: StatusCode::GONE, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Script;

    const PATH: &str = "/extensions/v2/lab/many/signatures";

    fn digest() -> Digest {
        Digest::sha256(b"manifest")
    }

    fn entry(kind: &str, name: &str, content: &str) -> serde_json::Value {
        serde_json::json!({"schemaVersion": 2, "type": kind, "name": name, "content": content})
    }

    #[tokio::test]
    async fn the_extension_is_told_by_a_header_of_the_base() {
        for (value, expected) in [("1", true), ("0", false)] {
            let script = Script::default().on("GET /v2/", 401, &[(SUPPORTS_SIGNATURES, value)], "");
            assert_eq!(script.registry().0.keeps_signatures().await.expect("asked"), expected);
        }
        let (registry, _) = Script::default().registry();
        assert!(!registry.keeps_signatures().await.expect("asked"));
    }

    #[tokio::test]
    async fn what_is_no_signature_is_refused_by_its_name() {
        let digest = digest();
        let good = STANDARD.encode(b"\x90a signature");
        let name = format!("{digest}@{}", "0".repeat(32));
        let list = serde_json::json!({"signatures": [
            entry("atomic", &name, &good),
            entry("atomic", "elsewhere@1", &STANDARD.encode(b"\x90another")),
            entry("other", "a", &good),
            entry("atomic", "b", &STANDARD.encode("<html>")),
            entry("atomic", "c", "no base64!"),
        ]});
        let line = format!("GET {PATH}/{digest}");
        let (registry, _) = Script::default().on(&line, 200, &[], &list.to_string()).registry();
        let mut refused = Vec::new();
        let found = registry.signatures(&digest, |name| refused.push(name)).await.expect("listed");
        assert_eq!(refused, ["a", "b", "c"]);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].name, name);
        // A name that is not of this manifest is replaced by one that is.
        assert!(found[1].name.starts_with(&format!("{digest}@")), "{}", found[1].name);
        let none = registry.signatures(&Digest::sha256(b"other"), |_| ()).await.expect("404");
        assert!(none.is_empty());
    }

    #[tokio::test]
    async fn a_lookaside_store_is_read_until_a_signature_is_missing() {
        let digest = digest();
        let line =
            |number: u32| format!("GET /sigs/lab/many@sha256={}/signature-{number}", digest.hex());
        let armoured = "-----BEGIN PGP MESSAGE-----";
        let (registry, script) = Script::default()
            .on(&line(1), 200, &[], armoured)
            .on(&line(2), 200, &[], "<html>not found</html>")
            .on(&line(4), 200, &[], armoured)
            .registry();
        let store = "http://elsewhere/sigs".parse().expect("valid");
        let mut refused = Vec::new();
        let found = registry
            .stored_signatures(&store, &digest, |url| refused.push(url))
            .await
            .expect("read");
        assert_eq!((found.len(), refused.len(), script.asked().len()), (1, 1, 3));
        assert_eq!(found[0].signature, Digest::sha256(armoured.as_bytes()));
    }
}
