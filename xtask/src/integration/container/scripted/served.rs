//! What our registry serves of a mirror, as a client sees it.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::super::{Lab, NAME};
use crate::{
    client::{self, Reply},
    pulp::{Installation, Serving, digest_of},
};

/// A served mirror.
pub(super) struct Served(Serving);

impl Served {
    pub(super) fn start(lab: &Lab) -> Result<Self> {
        Self::of(&lab.pulp)
    }

    pub(super) fn of(pulp: &Installation) -> Result<Self> {
        Ok(Self(pulp.serve()?))
    }

    pub(super) fn stop(self) -> Result<()> {
        self.0.stop()
    }

    /// Gets what stands below the repository's name.
    pub(super) fn get(&self, below: &str) -> Result<Reply> {
        client::get(self.0.address, &format!("/v2/{NAME}/{below}"))
    }

    /// What is beside a manifest, by the extension for signatures.
    pub(super) fn signatures(&self, digest: &str) -> Result<Reply> {
        client::get(self.0.address, &format!("/extensions/v2/{NAME}/signatures/{digest}"))
    }

    /// The tags, as they are listed.
    pub(super) fn tags(&self) -> Result<Vec<String>> {
        let listed = self.get("tags/list")?.expect(200)?;
        let mut listed: Value = serde_json::from_slice(&listed.body)?;
        Ok(serde_json::from_value(listed["tags"].take())?)
    }

    /// An error unless the manifest has this type and these bytes.
    pub(super) fn has_manifest(&self, reference: &str, kind: &str, body: &str) -> Result<()> {
        let below = format!("manifests/{reference}");
        let reply = self.get(&below)?.expect(200).with_context(|| format!("At `{below}`"))?;
        ensure!(reply.body == body.as_bytes(), "`{below}` has other bytes");
        let stated = reply.header("content-type");
        ensure!(stated == Some(kind), "`{below}` is {stated:?}, not `{kind}`");
        Ok(())
    }

    /// An error unless there is a blob of these bytes.
    pub(super) fn has_blob(&self, bytes: &[u8]) -> Result<()> {
        self.has_blob_of_digest(&digest_of("sha256", bytes))
    }

    /// An error unless there is a blob of this digest.
    pub(super) fn has_blob_of_digest(&self, digest: &str) -> Result<()> {
        let below = format!("blobs/{digest}");
        let reply = self.get(&below)?.expect(200).with_context(|| format!("At `{below}`"))?;
        let actual = digest_of("sha256", &reply.body);
        ensure!(actual == digest, "`{below}` has the digest {actual}");
        Ok(())
    }
}
