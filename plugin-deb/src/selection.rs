//! Which of the files that a release file lists are wanted, and in which compressions they exist.
//!
//! Knows names only, nothing of downloads: the first stage fetches what is selected here.
//! Layouts: Debian's repository format ("Indices") and, for `dep11` and `cnf`, what appstream and
//! command-not-found ask apt for. A flat repository has its indices beside the release file.

use std::collections::{BTreeMap, BTreeSet};

use pulp_models::{Expected, RelativePath};
use serde::{Deserialize, Serialize};

use crate::{compression::Compression, release::Release};

mod place;

use place::{Place, elsewhere, locate};

/// What an index file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// `binary-ARCH/Packages`: the packages.
    Packages,
    /// `debian-installer/binary-ARCH/Packages`: the installer's packages.
    InstallerPackages,
    /// `source/Sources`: the source packages.
    Sources,
    /// `Release` beside an index, which the Debian installer asks for.
    IndexRelease,
    /// `i18n/Translation-LANG`: descriptions.
    Translations,
    /// `cnf/Commands-ARCH`: which package brings which command.
    Commands,
    /// `dep11/Components-ARCH.yml`: what software centres show.
    Appstream,
    /// `dep11/icons-*`: the icons to it.
    Icons,
    /// `Contents-ARCH`: which package brings which file.
    Contents,
    /// `Packages.diff/Index` and its like: differences between index files of different days.
    Diffs,
    /// `installer-ARCH/*/images/SHA256SUMS`: the installer's files.
    Installer,
    /// Whatever else a release file lists.
    Other,
}

/// The optional families as a user chooses them.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum OptionalFamily {
    /// Descriptions in other languages (and long English ones).
    Translations,
    /// What command-not-found reads.
    Commands,
    /// What software centres read.
    Appstream,
    /// The icons of software centres.
    Icons,
    /// What apt-file reads.
    Contents,
    /// Differences between index files.
    Diffs,
    /// Everything that is listed for the components and architectures.
    All,
    /// Nothing: all of it is fetched when a client asks for it.
    None,
}

impl OptionalFamily {
    /// The families that are meant.
    pub const fn families(self) -> &'static [Family] {
        match self {
            Self::Translations => &[Family::Translations],
            Self::Commands => &[Family::Commands],
            Self::Appstream => &[Family::Appstream],
            Self::Icons => &[Family::Icons],
            Self::Contents => &[Family::Contents],
            Self::Diffs => &[Family::Diffs],
            Self::All => &[
                Family::Translations,
                Family::Commands,
                Family::Appstream,
                Family::Icons,
                Family::Contents,
                Family::Diffs,
                Family::Other,
            ],
            Self::None => &[],
        }
    }
}

/// What is asked of a distribution.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Components, with or without a prefix such as `updates/`; all if empty.
    pub components: Vec<String>,
    /// Architectures; all that the release file names if empty. `all` is always among them.
    pub architectures: Vec<String>,
    /// Languages of translations, e.g. `de`; all if empty.
    pub languages: Vec<String>,
    /// Families besides [`Family::Packages`] and [`Family::IndexRelease`].
    pub families: BTreeSet<Family>,
}

impl Wanted {
    /// The same with everything that clients of the chosen components and architectures may ask
    /// for because it is listed. Differences between index files are not among it: apt does without
    /// them, and what they list would have to be known.
    #[must_use]
    pub fn complete(mut self) -> Self {
        self.languages.clear();
        let all = OptionalFamily::All.families().iter().copied();
        self.families.extend(all.filter(|family| *family != Family::Diffs));
        self
    }
}

/// One index file, in all compressions in which it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// What it is for.
    pub family: Family,
    /// The component as the release file names it; `None` in flat repositories and for files of
    /// all components.
    pub component: Option<String>,
    /// The architecture, where the family has one.
    pub architecture: Option<String>,
    /// The uncompressed file's path below the release file's directory.
    pub path: RelativePath,
    /// The uncompressed file, if it is listed.
    pub uncompressed: Option<Expected>,
    /// The listed files by what it costs to read them, the uncompressed one last.
    pub variants: Vec<Variant>,
}

/// One compression of an index file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// How it is compressed.
    pub compression: Compression,
    /// Its path below the release file's directory.
    pub path: RelativePath,
    /// What the release file says of it; holds a trusted digest.
    pub expected: Expected,
}

/// What [`select`] found.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// The wanted index files, by path.
    pub indices: Vec<Index>,
    /// The components that are mirrored, as the release file names them.
    pub components: Vec<String>,
    /// The architectures that are mirrored, without `all`.
    pub architectures: Vec<String>,
    /// What was asked for and is not there.
    pub warnings: Vec<String>,
}

/// Chooses from `release`, which lies at `dists/DISTRIBUTION`.
pub fn select(release: &Release, distribution: &str, wanted: &Wanted) -> Selection {
    let mut selection =
        Selection { architectures: architectures(release, wanted), ..Selection::default() };
    let prefixes = prefixes(release, wanted, distribution, &mut selection);
    let is_wanted = |place: &Place| {
        let family = match place.family {
            Family::Packages | Family::IndexRelease => true,
            family => wanted.families.contains(&family),
        };
        family
            && place.architecture.as_deref().is_none_or(|architecture| {
                architecture == "all"
                    || selection.architectures.is_empty()
                    || selection.architectures.iter().any(|wanted| wanted == architecture)
            })
            && place.belongs_to.is_none_or(|family| wanted.families.contains(&family))
            && place.language.as_deref().is_none_or(|language| {
                wanted.languages.is_empty() || wanted.languages.iter().any(|code| code == language)
            })
    };
    let mut found: BTreeMap<String, Index> = BTreeMap::new();
    for (path, expected) in &release.files {
        if !expected.digests.is_trusted() {
            continue;
        }
        let (compression, plain) = Compression::of(path.as_str());
        let located = locate(&prefixes, plain).or_else(|| elsewhere(release, &prefixes, plain));
        let Some((component, place)) = located.filter(|(_, place)| is_wanted(place)) else {
            continue;
        };
        let Ok(plain) = RelativePath::new(plain) else { continue };
        let index = found.entry(plain.as_str().to_owned()).or_insert_with(|| Index {
            family: place.family,
            component,
            architecture: place.architecture,
            path: plain,
            uncompressed: None,
            variants: Vec::new(),
        });
        if compression == Compression::Plain {
            index.uncompressed = Some(expected.clone());
        }
        let expected = expected.clone();
        index.variants.push(Variant { compression, path: path.clone(), expected });
    }
    selection.indices = found.into_values().collect();
    for index in &mut selection.indices {
        index.variants.sort_by_key(|variant| {
            (variant.compression == Compression::Plain, variant.compression)
        });
    }
    if !wanted.architectures.is_empty() {
        warn_of_missing(release, &mut selection);
    }
    selection
}

fn architectures(release: &Release, wanted: &Wanted) -> Vec<String> {
    let listed = &release.fields.architectures;
    let chosen = if wanted.architectures.is_empty() { listed } else { &wanted.architectures };
    chosen.iter().filter(|name| !matches!(name.as_str(), "all" | "source")).cloned().collect()
}

/// Path prefixes (with a slash at the end) and the components that they stand for. apt looks for
/// `updates/main` below `dists/stable/updates` at `main/`, and elsewhere at `updates/main/`; here
/// whichever of them has files counts. A flat repository has the empty prefix.
fn prefixes(
    release: &Release,
    wanted: &Wanted,
    distribution: &str,
    selection: &mut Selection,
) -> Vec<(String, Option<String>)> {
    let mut prefixes = vec![(String::new(), None)];
    if distribution.ends_with('/') {
        return prefixes;
    }
    let last = |component: &str| component.rsplit('/').next().unwrap_or_default().to_owned();
    let known = &release.fields.components;
    let mut chosen: Vec<String> = Vec::new();
    if wanted.components.is_empty() {
        chosen.clone_from(known);
    }
    for name in &wanted.components {
        let found: Vec<_> =
            known.iter().filter(|one| *one == name || last(one) == *name).cloned().collect();
        if found.is_empty() {
            selection.warnings.push(format!(
                "Distribution `{distribution}` has no component `{name}`, only {}",
                list(known)
            ));
        }
        chosen.extend(found);
    }
    for component in chosen {
        let has_files =
            |prefix: &String| release.files.keys().any(|path| path.as_str().starts_with(prefix));
        let candidates = [format!("{component}/"), format!("{}/", last(&component))];
        let prefix = candidates.iter().find(|prefix| has_files(prefix)).unwrap_or(&candidates[0]);
        if !selection.components.contains(&component) {
            prefixes.push((prefix.clone(), Some(component.clone())));
            selection.components.push(component);
        }
    }
    // The longest prefix first: `updates/main/` before `updates/` and the empty one.
    prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
    prefixes
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Says which indices were asked for and are not listed.
fn warn_of_missing(release: &Release, selection: &mut Selection) {
    for architecture in &selection.architectures {
        if !release.fields.architectures.is_empty()
            && !release.fields.architectures.contains(architecture)
        {
            let known = list(&release.fields.architectures);
            let warning = format!("There is no architecture `{architecture}`, only {known}");
            selection.warnings.push(warning);
            continue;
        }
        for component in &selection.components {
            let is_listed = selection.indices.iter().any(|index| {
                index.family == Family::Packages
                    && index.component.as_ref() == Some(component)
                    && index.architecture.as_ref() == Some(architecture)
            });
            if !is_listed {
                selection.warnings.push(format!(
                    "No packages of component `{component}` for architecture `{architecture}`"
                ));
            }
        }
    }
}

/// The path by hash of a listed file (`main/binary-amd64/by-hash/SHA256/…`), by the strongest
/// digest that is listed, as apt asks for it.
pub fn by_hash(path: &RelativePath, expected: &Expected) -> Option<RelativePath> {
    let (algorithm, digest) = expected.digests.strongest()?;
    by_hash_path(path, by_hash_name(algorithm)?, digest)
}

/// Each path by hash of a file with these digests.
pub fn all_by_hash(path: &RelativePath, expected: &Expected) -> Vec<RelativePath> {
    let digests = expected.digests.iter();
    digests
        .filter_map(|(algorithm, digest)| by_hash_path(path, by_hash_name(algorithm)?, digest))
        .collect()
}

fn by_hash_name(algorithm: pulp_models::Algorithm) -> Option<&'static str> {
    use pulp_models::Algorithm as A;
    match algorithm {
        A::Md5 => Some("MD5Sum"),
        A::Sha1 => Some("SHA1"),
        A::Sha256 => Some("SHA256"),
        A::Sha512 => Some("SHA512"),
        A::Sha224 | A::Sha384 => None,
    }
}

fn by_hash_path(path: &RelativePath, name: &str, digest: &[u8]) -> Option<RelativePath> {
    let directory = path.parent().map_or_else(String::new, |parent| format!("{parent}/"));
    RelativePath::new(&format!("{directory}by-hash/{name}/{}", hex::encode(digest))).ok()
}

#[cfg(test)]
mod tests;
