//! The content types of apt repositories.
//!
//! What upstream wrote is kept as it is (`raw`: a stanza, the text of a release file); the metadata
//! holds what queries, publications and people ask for. A unit belongs to a distribution and a
//! component, which its key names, so no further units link them. See [`pulp_stages::Content`].

use bytes::Bytes;
use pulp_models::{Digests, Key, RelativePath, Sha256, content::StoredContent};
use pulp_stages::{Content, Label};
use serde::{Deserialize, Serialize};

use crate::{
    package::PackageFields, release::ReleaseFields, selection::Family, source::SourceFields,
};

/// A unit of an apt repository.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DebContent {
    /// `deb.release_file`.
    ReleaseFile(ReleaseFile),
    /// `deb.index_file`.
    IndexFile(IndexFile),
    /// `deb.package` and `deb.installer_package`.
    Package(Package),
    /// `deb.source_package`.
    SourcePackage(SourcePackage),
    /// `deb.installer_file`.
    InstallerFile(InstallerFile),
    /// `deb.additions`.
    Additions(Additions),
}

/// The release file of a distribution: `InRelease`, or `Release` with its signature, or all three.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReleaseFile {
    /// The path between `dists/` and the release file; ends in `/` for flat repositories.
    pub distribution: String,
    /// What it says of the distribution.
    pub fields: ReleaseFields,
    /// The components that were mirrored, as the release file names them.
    pub components: Vec<String>,
    /// The architectures that were mirrored, without `all`.
    pub architectures: Vec<String>,
    /// When it was made, in seconds since the epoch.
    pub date: Option<i64>,
    /// Fingerprints of the keys whose signatures were good; empty if none was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed_by: Vec<String>,
    /// Whether packages were left out that its indices list: it cannot be published as it is.
    #[serde(default)]
    pub filtered: bool,
    /// The files by name.
    pub files: Vec<(String, Sha256)>,
}

/// An index file or another file that a release file lists, in the compressions that were mirrored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IndexFile {
    /// The distribution that lists it.
    pub distribution: String,
    /// Its component; `None` in flat repositories and for files of all components.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// Its architecture, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// What it is for.
    pub family: Family,
    /// The uncompressed file's path below the repository's root.
    pub path: RelativePath,
    /// The files by suffix, with all digests that the release file lists: they are published by
    /// hash too.
    pub files: Vec<(String, Digests)>,
    /// Whether clients may ask for it by hash.
    #[serde(default)]
    pub by_hash: bool,
    /// Whether nobody asked for it: it is fetched when a client wants it, and belongs to verbatim
    /// publications only, whose release file lists it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_demand: bool,
}

/// A binary package, for installed systems or for the Debian installer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Package {
    /// The stanza.
    #[serde(skip)]
    pub stanza: Bytes,
    /// The distribution in whose index it stands.
    pub distribution: String,
    /// The component in whose index it stands; empty in flat repositories.
    pub component: String,
    /// `Package`.
    pub package: String,
    /// `Version`.
    pub version: String,
    /// `Architecture`.
    pub architecture: String,
    /// The source package's name, if it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// `Section`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub section: String,
    /// `Priority`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub priority: String,
    /// `Filename`: the path below the repository's root.
    pub filename: RelativePath,
    /// Whether it is one for the Debian installer (`.udeb`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub installer: bool,
}

/// A source package.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SourcePackage {
    /// The stanza.
    #[serde(skip)]
    pub stanza: Bytes,
    /// The distribution in whose index it stands.
    pub distribution: String,
    /// The component in whose index it stands; empty in flat repositories.
    pub component: String,
    /// `Package`.
    pub package: String,
    /// `Version`.
    pub version: String,
    /// `Section`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub section: String,
}

/// A file of the Debian installer, listed in one of its checksum files.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InstallerFile {
    /// The path below the repository's root.
    pub path: RelativePath,
    /// Its digest.
    pub sha256: Sha256,
}

/// Says that the version holds packages that were not mirrored with the rest: upstream's indices
/// list only some of what is there. Has no files; a version holds at most one.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Additions {}

const PACKAGE: &str = "deb.package";
const INSTALLER_PACKAGE: &str = "deb.installer_package";
const SOURCE_PACKAGE: &str = "deb.source_package";
pub(crate) const RELEASE_FILE: &str = "deb.release_file";
pub(crate) const INDEX_FILE: &str = "deb.index_file";
pub(crate) const INSTALLER_FILE: &str = "deb.installer_file";
pub(crate) const ADDITIONS: &str = "deb.additions";

impl ReleaseFile {
    /// The repository key of a distribution's release file.
    pub(crate) fn place(distribution: &str) -> Key {
        Key::of(RELEASE_FILE).field(distribution).finish()
    }

    /// The digest of the file `name`: `InRelease`, `Release` or `Release.gpg`.
    pub fn digest(&self, name: &str) -> Option<Sha256> {
        self.files.iter().find_map(|(known, digest)| (known == name).then_some(*digest))
    }
}

impl Package {
    /// The package of a stanza that stands in an index of `component` of `distribution`.
    pub fn new(
        fields: &PackageFields<'_>,
        stanza: Bytes,
        distribution: &str,
        component: &str,
        installer: bool,
    ) -> Self {
        Self {
            stanza,
            distribution: distribution.to_owned(),
            component: component.to_owned(),
            package: fields.package.to_owned(),
            version: fields.version.to_owned(),
            architecture: fields.architecture.to_owned(),
            source: (fields.source != fields.package).then(|| fields.source.to_owned()),
            section: fields.section.clone().into_owned(),
            priority: fields.priority.clone().into_owned(),
            filename: fields.filename.clone(),
            installer,
        }
    }

    /// The source package's name.
    pub fn source(&self) -> &str {
        self.source.as_deref().unwrap_or(&self.package)
    }

    fn type_name(&self) -> &'static str {
        if self.installer { INSTALLER_PACKAGE } else { PACKAGE }
    }
}

impl SourcePackage {
    /// The source package of a stanza that stands in an index of `component` of `distribution`.
    pub fn new(
        fields: &SourceFields<'_>,
        stanza: Bytes,
        distribution: &str,
        component: &str,
    ) -> Self {
        Self {
            stanza,
            distribution: distribution.to_owned(),
            component: component.to_owned(),
            package: fields.package.to_owned(),
            version: fields.version.to_owned(),
            section: fields.section.clone(),
        }
    }
}

/// As much of a digest as people compare.
fn short(sha256: Sha256) -> String {
    sha256.to_string()[..12].to_owned()
}

impl Content for DebContent {
    type Extra = ();

    fn type_name(&self) -> &'static str {
        match self {
            Self::ReleaseFile(_) => RELEASE_FILE,
            Self::IndexFile(_) => INDEX_FILE,
            Self::Package(package) => package.type_name(),
            Self::SourcePackage(_) => SOURCE_PACKAGE,
            Self::InstallerFile(_) => INSTALLER_FILE,
            Self::Additions(_) => ADDITIONS,
        }
    }

    fn natural_key(&self) -> Option<Key> {
        let key = Key::of(self.type_name());
        Some(match self {
            Self::ReleaseFile(release) => {
                let key = key.field(&release.distribution);
                let key = key.field(release.components.join(" "));
                let key = key.field(release.architectures.join(" "));
                let key = key.field(release.signed_by.join(" "));
                let key = key.field([u8::from(release.filtered)]);
                let add = |key: pulp_models::key::KeyBuilder, (name, sha256): &(String, Sha256)| {
                    key.field(name).field(sha256.0)
                };
                release.files.iter().fold(key, add).finish()
            }
            Self::IndexFile(index) => {
                let key = key.field(&index.distribution).field(index.path.as_str());
                let key = key.field([u8::from(index.by_hash)]);
                let key = if index.on_demand { key.field("on_demand") } else { key };
                let add = |key: pulp_models::key::KeyBuilder,
                           (suffix, digests): &(String, Digests)| {
                    let key = key.field(suffix);
                    digests
                        .iter()
                        .fold(key, |key, (name, digest)| key.field(name.name()).field(digest))
                };
                index.files.iter().fold(key, add).finish()
            }
            Self::Package(package) => key
                .near_name(&package.package)
                .field(&package.distribution)
                .field(&package.component)
                .field(&package.stanza)
                .finish(),
            Self::SourcePackage(package) => key
                .near_name(&package.package)
                .field(&package.distribution)
                .field(&package.component)
                .field(&package.stanza)
                .finish(),
            Self::InstallerFile(file) => key.path(&file.path).field(file.sha256.0).finish(),
            Self::Additions(_) => key.finish(),
        })
    }

    fn repo_key(&self) -> Option<Key> {
        let key = Key::of(self.type_name());
        Some(match self {
            Self::ReleaseFile(release) => ReleaseFile::place(&release.distribution),
            Self::IndexFile(index) => key.field(index.path.as_str()).finish(),
            Self::Package(package) => key
                .near_name(&package.package)
                .field(&package.distribution)
                .field(&package.component)
                .field(&package.package)
                .field(&package.version)
                .field(&package.architecture)
                .finish(),
            Self::SourcePackage(package) => key
                .near_name(&package.package)
                .field(&package.distribution)
                .field(&package.component)
                .field(&package.package)
                .field(&package.version)
                .finish(),
            Self::InstallerFile(file) => key.path(&file.path).finish(),
            Self::Additions(_) => key.finish(),
        })
    }

    fn raw(&self) -> Option<Bytes> {
        match self {
            Self::Package(package) => Some(package.stanza.clone()),
            Self::SourcePackage(package) => Some(package.stanza.clone()),
            Self::ReleaseFile(_)
            | Self::IndexFile(_)
            | Self::InstallerFile(_)
            | Self::Additions(_) => None,
        }
    }

    fn label(&self) -> Option<Label> {
        let (name, version, architecture, distribution, component) = match self {
            Self::Package(one) => {
                let Package { package, version, architecture, distribution, component, .. } = one;
                (package, version, architecture.as_str(), distribution, component)
            }
            Self::SourcePackage(one) => {
                let SourcePackage { package, version, distribution, component, .. } = one;
                (package, version, "source", distribution, component)
            }
            Self::ReleaseFile(release) => {
                let date = release.date.map(crate::openpgp::day).unwrap_or_default();
                return Some(Label { name: release.distribution.clone(), state: date });
            }
            Self::IndexFile(index) => {
                let digests = index.files.iter().filter_map(|(_, digests)| digests.sha256());
                let state = digests.map(short).next().unwrap_or_default();
                return Some(Label { name: index.path.to_string(), state });
            }
            Self::InstallerFile(file) => {
                return Some(Label { name: file.path.to_string(), state: short(file.sha256) });
            }
            Self::Additions(_) => {
                let (name, state) = ("beside upstream's packages".into(), "yes".into());
                return Some(Label { name, state });
            }
        };
        let place = if component.is_empty() { "" } else { " " };
        let name = format!("{name} {architecture} ({distribution}{place}{component})");
        Some(Label { name, state: version.clone() })
    }

    fn load(stored: StoredContent) -> Result<Self, serde_json::Error> {
        let json = stored.metadata.as_str();
        let stanza = || Bytes::from(stored.raw.unwrap_or_default());
        Ok(match stored.type_name.as_str() {
            PACKAGE | INSTALLER_PACKAGE => {
                Self::Package(Package { stanza: stanza(), ..serde_json::from_str(json)? })
            }
            SOURCE_PACKAGE => Self::SourcePackage(SourcePackage {
                stanza: stanza(),
                ..serde_json::from_str(json)?
            }),
            RELEASE_FILE => Self::ReleaseFile(serde_json::from_str(json)?),
            INDEX_FILE => Self::IndexFile(serde_json::from_str(json)?),
            INSTALLER_FILE => Self::InstallerFile(serde_json::from_str(json)?),
            ADDITIONS => Self::Additions(Additions {}),
            other => {
                let message = format!("`{other}` is no content type of apt repositories");
                return Err(serde::de::Error::custom(message));
            }
        })
    }
}
