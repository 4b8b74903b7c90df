//! The survey: which tags upstream has, and what they name, in one request per tag.
//!
//! This is all that a sync of an unchanged repository asks for. It holds names and digests only, so
//! its size is that of the tag list. Before: the options' filters. After: the fingerprint by which
//! the framework sees that nothing changed, or the first stage, which reads the manifests.

use std::collections::HashSet;

use futures::{StreamExt as _, TryStreamExt as _};
use pulp_models::Key;

use crate::{
    client::{Registry, RegistryClientError},
    content::ContainerContent,
    digest::Digest,
    options::ContainerRemoteOptions,
    reference::Tag,
};

/// What upstream has of what is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Wanted tags and what they name, sorted.
    pub tags: Vec<(Tag, Digest)>,
    /// Wanted digests, tagged or not, sorted.
    pub digests: Vec<Digest>,
    /// Tags by which cosign attaches signatures and the like to digests, as long as filters leave
    /// them out: they are wanted if what they describe is.
    pub companions: Vec<Tag>,
}

/// What a survey left out, for a person to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeftOut {
    /// Upstream lists a name that is no tag.
    NoTag(String),
    /// Upstream listed the tag and then didn't have it.
    Vanished(Tag),
    /// The tag's manifest is broken, and the options say to go on.
    Broken(Tag, String),
}

impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoTag(name) => write!(f, "Upstream lists {name:?}, which is no tag: left out"),
            Self::Vanished(tag) => {
                write!(f, "Tag `{tag}` vanished from upstream during the sync: left out")
            }
            Self::Broken(tag, reason) => write!(f, "Tag `{tag}` is broken: left out: {reason}"),
        }
    }
}

impl Survey {
    /// Lists, filters and resolves tags, `concurrency` at once.
    pub async fn run(
        registry: &Registry,
        options: &ContainerRemoteOptions,
        concurrency: usize,
        left_out: &(dyn Fn(LeftOut) + Send + Sync),
    ) -> Result<Self, RegistryClientError> {
        let filter = options.tags();
        let mut digests = options.digests.clone();
        digests.sort_unstable();
        digests.dedup();
        // Whoever names tags knows them; a list may be long.
        if !options.exact_tags.is_empty() {
            let wanted = options.exact_tags.clone();
            let tags = Self::resolve(registry, wanted, options, concurrency, left_out).await?;
            return Ok(Self { tags, digests, companions: Vec::new() });
        }
        // Whoever names digests and nothing else wants no tags.
        if filter.is_everything() && !digests.is_empty() {
            return Ok(Self { digests, ..Self::default() });
        }
        let listed = registry.tags(|name| left_out(LeftOut::NoTag(name.into()))).await?;
        let (companions, listed): (Vec<_>, Vec<_>) = if filter.is_everything() {
            (Vec::new(), listed)
        } else {
            listed.into_iter().partition(|tag| subject_of_companion(tag).is_some())
        };
        let wanted = filter.apply(listed);
        let tags = Self::resolve(registry, wanted, options, concurrency, left_out).await?;
        Ok(Self { tags, digests, companions })
    }

    /// What `tags` name, in their order; those that vanished since they were listed are left out.
    pub async fn resolve(
        registry: &Registry,
        tags: Vec<Tag>,
        options: &ContainerRemoteOptions,
        concurrency: usize,
        left_out: &(dyn Fn(LeftOut) + Send + Sync),
    ) -> Result<Vec<(Tag, Digest)>, RegistryClientError> {
        let resolve = |tag: Tag| async move {
            match registry.resolve(&tag).await {
                Ok(digest) => Ok(Some((tag, digest))),
                Err(error) if error.is_not_found() => {
                    left_out(LeftOut::Vanished(tag));
                    Ok(None)
                }
                Err(error @ RegistryClientError::Manifest { .. }) if options.skip_broken_tags => {
                    left_out(LeftOut::Broken(tag, chain(&error)));
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        };
        let resolved = futures::stream::iter(tags).map(resolve).buffered(concurrency.max(1));
        resolved.try_filter_map(|found| std::future::ready(Ok(found))).try_collect().await
    }

    /// The companions of `wanted` among the tags that filters left out.
    pub fn companions_of(&self, wanted: &HashSet<Digest>) -> impl Iterator<Item = &Tag> {
        self.companions
            .iter()
            .filter(|tag| subject_of_companion(tag).is_some_and(|digest| wanted.contains(&digest)))
    }

    /// Names what was found: equal for equal tags and digests. `companions` are what the companion
    /// tags of the wanted digests name.
    pub fn fingerprint(&self, companions: &[(Tag, Digest)]) -> Key {
        let mut key = Key::of(ContainerContent::TAG);
        for (tag, digest) in self.tags.iter().chain(companions) {
            key = key.field(tag.as_str()).field(digest.as_bytes());
        }
        key = key.field("digests");
        for digest in &self.digests {
            key = key.field(digest.as_bytes());
        }
        key = key.field("companions");
        for tag in &self.companions {
            key = key.field(tag.as_str());
        }
        key.finish()
    }
}

/// The digest that cosign's tag `sha256-<hex>`, with or without `.sig`, `.att`, `.sbom`, belongs to.
pub(crate) fn subject_of_companion(tag: &Tag) -> Option<Digest> {
    let rest = tag.as_str().strip_prefix("sha256-")?;
    let hex = match rest.split_once('.') {
        Some((hex, "sig" | "att" | "sbom")) => hex,
        Some(_) => return None,
        None => rest,
    };
    format!("sha256:{hex}").parse().ok()
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn companions_are_told_by_their_names() {
        let digest = Digest::sha256(b"x");
        for suffix in ["", ".sig", ".att", ".sbom"] {
            let tag = format!("sha256-{}{suffix}", digest.hex()).parse().expect("valid");
            assert_eq!(subject_of_companion(&tag), Some(digest));
        }
        for other in ["sha256-00", "v1", &format!("sha256-{}.txt", digest.hex())] {
            assert_eq!(subject_of_companion(&other.parse().expect("valid")), None);
        }
    }

    #[test]
    fn a_fingerprint_tells_surveys_apart() {
        let entry = |tag: &str, bytes: &[u8]| (tag.parse().expect("valid"), Digest::sha256(bytes));
        let survey = |tags: Vec<(Tag, Digest)>| Survey { tags, ..Survey::default() };
        let base = survey(vec![entry("a", b"1"), entry("b", b"2")]);
        assert_eq!(base.fingerprint(&[]), base.clone().fingerprint(&[]));
        let others = [
            survey(vec![entry("a", b"1")]),
            survey(vec![entry("a", b"2"), entry("b", b"1")]),
            Survey { digests: vec![Digest::sha256(b"3")], ..base.clone() },
            Survey { companions: vec!["c".parse().expect("valid")], ..base.clone() },
        ];
        for other in others {
            assert_ne!(other.fingerprint(&[]), base.fingerprint(&[]));
        }
        assert_ne!(base.fingerprint(&[entry("c", b"3")]), base.fingerprint(&[]));
    }
}
