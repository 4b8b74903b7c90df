//! What a structured publication consists of: its distributions, and the indices of each.
//!
//! Release files describe them where there are any; where those leave something out (flat
//! repositories, packages of one's own), the packages do. What is written into the indices is
//! [`super::structured`]'s business.

use std::collections::{BTreeMap, BTreeSet};

use pulp_models::{RelativePath, store::ArtifactStore};
use pulp_stages::{
    plugin::PluginFailure,
    publish::{PublishContext, PublishError},
};

use super::contents::Names;
use crate::{
    Deb,
    content::{self, DebContent, Package, ReleaseFile},
    index_writer::IndexWriter,
    options::DebPublicationOptions,
    release::ReleaseFields,
};

/// What will be published, by upstream's distribution.
#[derive(Default)]
pub(super) struct Suites {
    pub(super) by_distribution: BTreeMap<String, Suite>,
}

/// One distribution of the publication.
pub(super) struct Suite {
    /// The path below `dists/`.
    pub(super) path: String,
    /// What its release file will say.
    pub(super) fields: ReleaseFields,
    /// Upstream's release file, if there is one.
    pub(super) release: Option<ReleaseFile>,
    /// The names of its packages, if some were left out that upstream has.
    pub(super) names: Option<Names>,
    /// Indices being written, by their path below the release file's directory.
    pub(super) indices: BTreeMap<String, IndexWriter>,
}

/// What a distribution's packages say of it.
#[derive(Default)]
struct Seen {
    components: BTreeSet<String>,
    architectures: BTreeSet<String>,
}

impl Suites {
    /// The distributions of which there is a release file, as that describes them.
    pub(super) async fn of_releases(context: &PublishContext<Deb>) -> Result<Self, PublishError> {
        let mut releases = BTreeMap::new();
        let mut contents = context.contents_of(content::RELEASE_FILE);
        while let Some(page) = contents.next_page().await? {
            for unit in page {
                if let DebContent::ReleaseFile(release) = unit.content {
                    releases.insert(release.distribution.clone(), release);
                }
            }
        }
        let mut suites = Self::default();
        for (name, release) in releases {
            suites.add(&name, Some(release), Seen::default(), &context.options)?;
        }
        Ok(suites)
    }

    /// The distributions as their packages describe them, beside their release files. Reads the
    /// whole version.
    pub(super) async fn of_packages(context: &PublishContext<Deb>) -> Result<Self, PublishError> {
        let mut releases = BTreeMap::new();
        let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
        let mut contents = context.contents();
        while let Some(page) = contents.next_page().await? {
            for unit in page {
                match unit.content {
                    DebContent::ReleaseFile(release) => {
                        seen.entry(release.distribution.clone()).or_default();
                        releases.insert(release.distribution.clone(), release);
                    }
                    DebContent::Package(package) => {
                        let seen = seen.entry(package.distribution).or_default();
                        seen.components.insert(component_or_main(&package.component).to_owned());
                        seen.architectures.insert(package.architecture);
                    }
                    DebContent::SourcePackage(package) => {
                        let seen = seen.entry(package.distribution).or_default();
                        seen.components.insert(component_or_main(&package.component).to_owned());
                    }
                    DebContent::IndexFile(_)
                    | DebContent::InstallerFile(_)
                    | DebContent::Additions(_) => {}
                }
            }
        }
        let mut suites = Self::default();
        for (name, seen) in seen {
            suites.add(&name, releases.remove(&name), seen, &context.options)?;
        }
        Ok(suites)
    }

    fn add(
        &mut self,
        name: &str,
        release: Option<ReleaseFile>,
        seen: Seen,
        options: &DebPublicationOptions,
    ) -> Result<(), PublishError> {
        let suite = Suite::new(name, release, seen, options);
        if let (Some(other), true) =
            (self.by_distribution.keys().next(), options.name_a_distribution())
        {
            let message = format!(
                "`--suite` and `--codename` name one distribution, not `{other}` and `{name}`"
            );
            let advice =
                "mirror them into repositories of their own, or leave their names as they are";
            return Err(PluginFailure::new(message).with_hint(advice).into());
        }
        let same = self.by_distribution.iter().find(|(_, other)| other.path == suite.path);
        if let Some((other, Suite { path, .. })) = same {
            let message = format!("`{other}` and `{name}` would both be published as `{path}`");
            let advice = "mirror them into repositories of their own";
            return Err(PluginFailure::new(message).with_hint(advice).into());
        }
        self.by_distribution.insert(name.to_owned(), suite);
        Ok(())
    }

    /// Whether the release files leave out what a publication must name.
    pub(super) fn are_incomplete(&self) -> bool {
        let mut suites = self.by_distribution.values();
        self.by_distribution.is_empty() || suites.any(|suite| suite.fields.architectures.is_empty())
    }

    /// Begins the indices that exist even if they are empty: clients were promised them.
    pub(super) fn begin_indices(&mut self, store: &ArtifactStore) {
        for suite in self.by_distribution.values_mut() {
            for component in &suite.fields.components {
                for name in &suite.fields.architectures {
                    let index = format!("{component}/binary-{name}/Packages");
                    suite.indices.insert(index, IndexWriter::new(store));
                }
            }
        }
    }
}

impl Suite {
    fn new(
        name: &str,
        release: Option<ReleaseFile>,
        seen: Seen,
        options: &DebPublicationOptions,
    ) -> Self {
        let mut fields = release.as_ref().map(|release| release.fields.clone()).unwrap_or_default();
        options.lay_over(&mut fields);
        let (mut components, mut architectures) = match &release {
            Some(release) => (release.components.clone(), release.architectures.clone()),
            None => (Vec::new(), Vec::new()),
        };
        add_new(&mut components, seen.components);
        if components.is_empty() {
            components.push(component_or_main("").to_owned());
        }
        add_new(&mut architectures, seen.architectures.into_iter().filter(|name| name != "all"));
        let path = if name.ends_with('/') {
            let flat = fields.codename.clone().or_else(|| fields.suite.clone());
            let flat = flat.filter(|name| RelativePath::new(name).is_ok());
            flat.unwrap_or_else(|| "flat".to_owned())
        } else {
            name.to_owned()
        };
        if fields.codename.is_none() && fields.suite.is_none() {
            fields.codename = Some(path.clone());
        }
        fields.components = components;
        fields.architectures = architectures;
        let filtered = release.as_ref().is_some_and(|release| release.filtered);
        let names = filtered.then(Names::new);
        Self { path, fields, release, names, indices: BTreeMap::new() }
    }

    /// Notes the name of a package, if names are of use.
    pub(super) fn note(&mut self, content: &DebContent) {
        let name = match content {
            DebContent::Package(package) => &package.package,
            DebContent::SourcePackage(package) => &package.package,
            _ => return,
        };
        if let Some(names) = self.names.as_mut().filter(|names| !names.contains(name.as_str())) {
            names.insert(name.as_str().into());
        }
    }

    /// The indices in which a package stands; `None` if its component or its architecture is not
    /// known yet.
    pub(super) fn indices_of(&self, content: &DebContent) -> Option<Vec<String>> {
        let component = match content {
            DebContent::Package(package) => component_or_main(&package.component),
            DebContent::SourcePackage(package) => component_or_main(&package.component),
            _ => return Some(Vec::new()),
        };
        if !self.fields.components.iter().any(|known| known == component) {
            return None;
        }
        match content {
            DebContent::Package(package) => self.indices_of_package(component, package),
            _ => Some(vec![format!("{component}/source/Sources")]),
        }
    }

    fn indices_of_package(&self, component: &str, package: &Package) -> Option<Vec<String>> {
        let folder = if package.installer { "debian-installer/" } else { "" };
        let index = |name: &String| format!("{component}/{folder}binary-{name}/Packages");
        let all = &self.fields.architectures;
        if package.architecture == "all" {
            return Some(all.iter().map(index).collect());
        }
        all.contains(&package.architecture).then(|| vec![index(&package.architecture)])
    }
}

/// Appends those of `found` that `names` does not hold.
fn add_new(names: &mut Vec<String>, found: impl IntoIterator<Item = String>) {
    for name in found {
        if !names.contains(&name) {
            names.push(name);
        }
    }
}

/// Flat repositories have no components; structured ones must.
fn component_or_main(component: &str) -> &str {
    if component.is_empty() { "main" } else { component }
}
