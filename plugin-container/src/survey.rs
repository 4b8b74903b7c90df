//! The survey: which tags upstream has, and what they name, in one request per tag.
//!
//! This is all that a sync of an unchanged repository asks for: a request per tag, and those that
//! list them. What refers to manifests, or signs them from beside, changes while no tag does, and
//! registries tell it of one manifest at a time; so that costs a request per manifest, the found
//! ones included, in every sync, and one in all where the registry has no such API. (A lookaside
//! store has one more per signature.) The survey holds names and digests only, so its size is that
//! of the tag list. Before: the options' filters. After: the fingerprint by which the framework
//! sees that nothing changed, or the first stage, which reads the manifests.

mod tagged;

use std::collections::HashSet;

use futures::{StreamExt as _, TryStreamExt as _};
use pulp_models::Key;

pub use self::tagged::Tagged;
use crate::{
    client::{Registry, RegistryClientError},
    content::ContainerContent,
    digest::{Digest, ShortDigest},
    options::ContainerRemoteOptions,
    reference::{Reference, Tag},
    tree::MAX_DEPTH,
};

/// What upstream has of what is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Wanted tags and what they name, sorted.
    pub tags: Tagged,
    /// Wanted digests, tagged or not, sorted.
    pub digests: Vec<Digest>,
    /// Tags by which cosign attaches signatures and the like to digests, as long as filters leave
    /// them out: they are wanted if what they describe is.
    pub companions: Vec<Tag>,
}

/// How a survey is made.
#[derive(Clone, Copy)]
pub struct Surveying<'a> {
    /// Whom to ask.
    pub registry: &'a Registry,
    /// What is wanted.
    pub options: &'a ContainerRemoteOptions,
    /// Requests at once.
    pub concurrency: usize,
    /// Whether to go on without tags that vanished since they were listed, or are broken.
    pub tolerant: bool,
    /// Is told what is left out.
    pub left_out: &'a (dyn Fn(LeftOut) + Send + Sync),
}

/// What a survey left out, for a person to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeftOut {
    /// Upstream lists a name that is no tag.
    NoTag(String),
    /// The filters take none of so many tags that upstream lists.
    EveryTag(usize),
    /// Upstream listed the tag and then didn't have it.
    Vanished(Tag),
    /// The manifest, or something below it, is broken, and the remote says to go on.
    Broken(Reference, String),
    /// So many manifests that indexes list are not in the layout, which was exported without them.
    Absent(usize),
    /// There is no signature of the image, and only signed ones are wanted.
    Unsigned(Reference),
    /// A manifest refers to one that refers to one, and so on, too often.
    TooDeep(Digest),
    /// Something that should be a signature is none.
    NoSignature(String),
    /// Signatures are wanted from a registry that keeps none.
    KeepsNoSignatures,
}

impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoTag(name) => write!(f, "Upstream lists {name:?}, which is no tag: left out"),
            Self::EveryTag(count) => write!(
                f,
                "Filters leave out every tag of the {count} that upstream lists: see \
                 `--include-tags`, `--exclude-tags`, `--newest-tags`"
            ),
            Self::Vanished(tag) => {
                write!(f, "Tag `{tag}` vanished from upstream during the sync: left out")
            }
            Self::Broken(name, reason) => write!(f, "`{name}` is broken: left out: {reason}"),
            Self::Absent(count) => {
                write!(
                    f,
                    "The layout lacks {count} of the manifests that its indexes list: left out"
                )
            }
            Self::Unsigned(reference) => write!(f, "`{reference}` is not signed: left out"),
            Self::TooDeep(digest) => write!(
                f,
                "`{digest}` refers to what refers to others, {MAX_DEPTH} times in a row: left out"
            ),
            Self::NoSignature(name) => write!(f, "{name:?} is no signature: left out"),
            Self::KeepsNoSignatures => f.write_str("The registry keeps no signatures"),
        }
    }
}

impl Surveying<'_> {
    /// Lists, filters and resolves tags.
    pub async fn survey(&self) -> Result<Survey, RegistryClientError> {
        let (options, filter) = (self.options, self.options.tags());
        let mut digests = options.digests.clone();
        digests.sort_unstable();
        digests.dedup();
        // Whoever names tags, or digests and nothing else, needs no list, which may be long; but maybe
        // what signs them is in it.
        let exact = options.exact_tags.clone();
        let known = !exact.is_empty() || (filter.is_everything() && !digests.is_empty());
        if known && !options.signed_only {
            return Ok(Survey {
                tags: self.resolve(exact).await?,
                digests,
                companions: Vec::new(),
            });
        }
        let refused = |name: &str| (self.left_out)(LeftOut::NoTag(name.into()));
        let listed = self.registry.tags(refused).await?;
        let (companions, listed): (Vec<_>, Vec<_>) =
            if filter.is_everything() && !options.signed_only {
                (Vec::new(), listed)
            } else {
                listed.into_iter().partition(|tag| subject_of_companion(tag).is_some())
            };
        let wanted = if known {
            exact
        } else {
            let count = listed.len();
            let wanted = filter.apply(listed);
            if wanted.is_empty() && count > 0 {
                (self.left_out)(LeftOut::EveryTag(count));
            }
            wanted
        };
        let tags = self.resolve(wanted).await?;
        Ok(Survey { tags, digests, companions })
    }

    /// What `tags` name, in their order.
    pub async fn resolve(&self, tags: Vec<Tag>) -> Result<Tagged, RegistryClientError> {
        let resolve = |tag: Tag| async move {
            match self.registry.resolve(&tag).await {
                Ok(digest) => Ok(Some((tag, digest))),
                Err(error) if error.is_not_found() && self.tolerant => {
                    (self.left_out)(LeftOut::Vanished(tag));
                    Ok(None)
                }
                Err(error @ RegistryClientError::Manifest { .. }) if self.tolerant => {
                    (self.left_out)(LeftOut::Broken(tag.into(), chain(&error)));
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        };
        let resolved = futures::stream::iter(tags).map(resolve).buffered(self.concurrency.max(1));
        resolved.try_filter_map(|found| std::future::ready(Ok(found))).try_collect().await
    }
}

impl Survey {
    /// The companions of what is wanted among the tags that filters left out.
    pub fn wanted_companions(&self) -> Vec<Tag> {
        if self.companions.is_empty() {
            return Vec::new();
        }
        let tagged = self.tags.iter().map(|(_, digest)| digest.short());
        let untagged = self.digests.iter().map(Digest::short);
        let wanted: HashSet<ShortDigest> = tagged.chain(untagged).collect();
        let belongs = |tag: &&Tag| {
            subject_of_companion(tag).is_some_and(|digest| wanted.contains(&digest.short()))
        };
        self.companions.iter().filter(belongs).cloned().collect()
    }

    /// Names what was found: equal for equal tags and digests. `companions` are what the companion
    /// tags of the wanted digests name.
    pub fn fingerprint(&self, companions: &Tagged) -> Key {
        let mut key = Key::of(ContainerContent::TAG);
        for (tag, digest) in self.tags.iter().chain(companions.iter()) {
            key = key.field(tag).field(digest.as_bytes());
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

/// The tag by which registries without an API for it list what refers to `subject`
/// (distribution-spec, "Referrers Tag Schema").
pub(crate) fn referrers_tag(subject: &Digest) -> Tag {
    let name = format!("{}-{}", subject.algorithm(), subject.hex());
    // Of a longer digest the specification takes the beginning, as a tag's length allows.
    name[..name.len().min(Tag::MAX_LENGTH)].parse().expect("letters, digits and a dash")
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
        let survey = |tags: Vec<(Tag, Digest)>| Survey {
            tags: tags.into_iter().collect(),
            ..Survey::default()
        };
        let base = survey(vec![entry("a", b"1"), entry("b", b"2")]);
        let none = Tagged::default();
        assert_eq!(base.fingerprint(&none), base.clone().fingerprint(&none));
        let others = [
            survey(vec![entry("a", b"1")]),
            survey(vec![entry("a", b"2"), entry("b", b"1")]),
            Survey { digests: vec![Digest::sha256(b"3")], ..base.clone() },
            Survey { companions: vec!["c".parse().expect("valid")], ..base.clone() },
        ];
        for other in others {
            assert_ne!(other.fingerprint(&none), base.fingerprint(&none));
        }
        let more = [entry("c", b"3")].into_iter().collect();
        assert_ne!(base.fingerprint(&more), base.fingerprint(&none));
    }
}
