//! Which manifests are signed, and the signatures that are kept beside them.
//!
//! Signatures are beside manifests, in a lookaside store or in the registry itself
//! ([`client::signatures`](crate::client::signatures)), or they are manifests: cosign's and
//! notation's, found by a tag or as referrers. Where options name a place of the first kind, a
//! manifest is signed if that has something; else if there is one of the second kind. The first
//! stage asks; nothing is verified.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use futures::{StreamExt as _, TryStreamExt as _};
use url::Url;

use crate::{
    client::{Registry, RegistryClientError},
    content::SignatureContent,
    digest::{Digest, ShortDigest},
    media_type::is_signature,
    options::ContainerRemoteOptions,
    reference::Reference,
    survey::{LeftOut, Survey, referrers_tag, subject_of_companion},
};

/// Finds signatures.
pub(crate) struct Signing {
    registry: Registry,
    place: Place,
    /// What cosign's `.sig` tags belong to.
    cosigned: HashSet<ShortDigest>,
    /// What tags list the referrers of, where the registry has no API for them.
    listed: HashSet<ShortDigest>,
    concurrency: usize,
    left_out: Arc<dyn Fn(LeftOut) + Send + Sync>,
}

/// What is kept beside manifests, and where.
enum Place {
    Nowhere,
    Registry,
    Store(Url),
}

/// The signatures of some manifests, by what they sign.
pub(crate) type Signatures = HashMap<Digest, Vec<SignatureContent>>;

impl Signing {
    /// Finds out where signatures are.
    pub(crate) async fn new(
        registry: &Registry,
        options: &ContainerRemoteOptions,
        survey: &Survey,
        concurrency: usize,
        left_out: Arc<dyn Fn(LeftOut) + Send + Sync>,
    ) -> Result<Self, RegistryClientError> {
        let place = match &options.sigstore {
            Some(store) => Place::Store(store.clone()),
            None if options.signatures && registry.keeps_signatures().await? => Place::Registry,
            None if options.signatures => {
                left_out(LeftOut::KeepsNoSignatures);
                Place::Nowhere
            }
            None => Place::Nowhere,
        };
        let (mut cosigned, mut listed) = (HashSet::new(), HashSet::new());
        if options.signed_only {
            for tag in &survey.companions {
                let Some(subject) = subject_of_companion(tag) else { continue };
                match tag.as_str().rsplit_once('.') {
                    Some((_, "sig")) => drop(cosigned.insert(subject.short())),
                    Some(_) => {}
                    None => drop(listed.insert(subject.short())),
                }
            }
        }
        Ok(Self { registry: registry.clone(), place, cosigned, listed, concurrency, left_out })
    }

    /// The signatures that are kept beside `manifests`.
    pub(crate) async fn of(
        &self,
        manifests: impl IntoIterator<Item = Digest>,
    ) -> Result<Signatures, RegistryClientError> {
        if matches!(self.place, Place::Nowhere) {
            return Ok(Signatures::new());
        }
        futures::stream::iter(manifests)
            .map(|manifest| async move { Ok((manifest, self.beside(&manifest).await?)) })
            .buffer_unordered(self.concurrency.max(1))
            .try_filter(|(_, found)| std::future::ready(!found.is_empty()))
            .try_collect()
            .await
    }

    /// Those of `manifests` that nobody signed; `found` is what [`of`](Self::of) said of them.
    pub(crate) async fn unsigned(
        &self,
        manifests: impl IntoIterator<Item = Digest>,
        found: &Signatures,
    ) -> Result<Vec<Digest>, RegistryClientError> {
        let looked_for = futures::stream::iter(manifests)
            .filter(|manifest| std::future::ready(!found.contains_key(manifest)))
            .map(|manifest| async move { Ok((manifest, self.is_attached(&manifest).await?)) })
            .buffer_unordered(self.concurrency.max(1));
        let unsigned = looked_for
            .try_filter_map(|(manifest, signed)| async move { Ok((!signed).then_some(manifest)) });
        unsigned.try_collect().await
    }

    async fn beside(&self, digest: &Digest) -> Result<Vec<SignatureContent>, RegistryClientError> {
        let refused = |name| (self.left_out)(LeftOut::NoSignature(name));
        match &self.place {
            Place::Nowhere => Ok(Vec::new()),
            Place::Registry => self.registry.signatures(digest, refused).await,
            Place::Store(store) => self.registry.stored_signatures(store, digest, refused).await,
        }
    }

    /// Whether a manifest that is a signature belongs to `digest`.
    async fn is_attached(&self, digest: &Digest) -> Result<bool, RegistryClientError> {
        if !matches!(self.place, Place::Nowhere) {
            return Ok(false);
        }
        if self.cosigned.contains(&digest.short()) {
            return Ok(true);
        }
        let referrers = match self.registry.referrers(digest).await? {
            Some(referrers) => referrers,
            None if self.listed.contains(&digest.short()) => {
                let tag = Reference::Tag(referrers_tag(digest));
                self.registry.manifest(&tag).await?.children
            }
            None => Vec::new(),
        };
        let types = referrers.iter().filter_map(|referrer| referrer.artifact_type.as_deref());
        Ok(types.into_iter().any(is_signature))
    }
}
