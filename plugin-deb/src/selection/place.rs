//! What the path of a listed file says: of which kind it is, for whom, in which language.
//!
//! Prefixes are those of components, the longest first, the empty one (no component) among them;
//! see [`super::prefixes`].

use super::Family;
use crate::release::Release;

/// What a path below a component says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) family: Family,
    /// Files that accompany an index are wanted if its family is.
    pub(super) belongs_to: Option<Family>,
    pub(super) architecture: Option<String>,
    pub(super) language: Option<String>,
}

/// The component and the meaning of a file of a known kind.
pub(super) fn locate(
    prefixes: &[(String, Option<String>)],
    path: &str,
) -> Option<(Option<String>, Place)> {
    prefixes.iter().find_map(|(prefix, component)| {
        let place = place(path.strip_prefix(prefix.as_str())?)?;
        Some((component.clone(), place))
    })
}

/// Where a file of no known kind belongs; `None` if that is to a component that is not wanted. Of
/// the architectures, the one that its path names counts.
pub(super) fn elsewhere(
    release: &Release,
    prefixes: &[(String, Option<String>)],
    path: &str,
) -> Option<(Option<String>, Place)> {
    let fields = &release.fields;
    let (_, component) = prefixes.iter().find(|(prefix, _)| path.starts_with(prefix.as_str()))?;
    let lies_in = |component: &String| {
        path.strip_prefix(component.as_str()).is_some_and(|rest| rest.starts_with('/'))
    };
    if component.is_none() && fields.components.iter().any(lies_in) {
        return None;
    }
    let words = || path.split(['/', '-', '.', '_']);
    let names = |architecture: &&String| words().any(|word| word == architecture.as_str());
    let place = Place {
        family: Family::Other,
        belongs_to: None,
        architecture: fields.architectures.iter().find(names).cloned(),
        language: None,
    };
    Some((component.clone(), place))
}

fn place(path: &str) -> Option<Place> {
    let of = |family, architecture: Option<&str>| Place {
        family,
        belongs_to: None,
        architecture: architecture.map(str::to_owned),
        language: None,
    };
    let beside = |family, index, architecture: Option<&str>| Place {
        belongs_to: Some(index),
        ..of(family, architecture)
    };
    let segments: Vec<&str> = path.split('/').collect();
    Some(match segments[..] {
        ["Packages"] => of(Family::Packages, None),
        ["Packages.diff", "Index"] => of(Family::Diffs, None),
        ["Sources"] | ["source", "Sources"] => of(Family::Sources, None),
        ["source", "Release"] => beside(Family::IndexRelease, Family::Sources, None),
        ["source", "Sources.diff", "Index"] => beside(Family::Diffs, Family::Sources, None),
        [binary, "Packages"] => of(Family::Packages, Some(binary.strip_prefix("binary-")?)),
        [binary, "Release"] => of(Family::IndexRelease, Some(binary.strip_prefix("binary-")?)),
        [binary, "Packages.diff", "Index"] => {
            of(Family::Diffs, Some(binary.strip_prefix("binary-")?))
        }
        ["debian-installer", binary, "Packages"] => {
            of(Family::InstallerPackages, Some(binary.strip_prefix("binary-")?))
        }
        ["debian-installer", binary, "Release"] => {
            let architecture = binary.strip_prefix("binary-")?;
            beside(Family::IndexRelease, Family::InstallerPackages, Some(architecture))
        }
        ["debian-installer", binary, "Packages.diff", "Index"] => {
            let architecture = binary.strip_prefix("binary-")?;
            beside(Family::Diffs, Family::InstallerPackages, Some(architecture))
        }
        ["i18n", file, "Index"] => {
            let language = file.strip_prefix("Translation-")?.strip_suffix(".diff")?.to_owned();
            let diffs = beside(Family::Diffs, Family::Translations, None);
            Place { language: Some(language), ..diffs }
        }
        ["i18n", file] => {
            let language = file.strip_prefix("Translation-")?.to_owned();
            Place { language: Some(language), ..of(Family::Translations, None) }
        }
        ["cnf", file] => of(Family::Commands, Some(file.strip_prefix("Commands-")?)),
        ["dep11", file] => match file.strip_prefix("Components-") {
            Some(rest) => of(Family::Appstream, Some(rest.strip_suffix(".yml")?)),
            None if file.starts_with("icons-") => of(Family::Icons, None),
            None => return None,
        },
        [file, "Index"] => {
            let architecture = file.strip_prefix("Contents-")?.strip_suffix(".diff")?;
            beside(Family::Diffs, Family::Contents, Some(architecture))
        }
        [file] => contents(file.strip_prefix("Contents-")?, of, beside),
        [installer, .., "images", "SHA256SUMS" | "MD5SUMS"] => {
            of(Family::Installer, Some(installer.strip_prefix("installer-")?))
        }
        _ => return None,
    })
}

fn contents(
    rest: &str,
    of: impl Fn(Family, Option<&str>) -> Place,
    beside: impl Fn(Family, Family, Option<&str>) -> Place,
) -> Place {
    match rest.strip_prefix("udeb-") {
        Some(architecture) => {
            beside(Family::Contents, Family::InstallerPackages, Some(architecture))
        }
        None if rest == "source" => beside(Family::Contents, Family::Sources, None),
        None => of(Family::Contents, Some(rest)),
    }
}
