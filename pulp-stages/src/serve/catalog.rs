//! The distributions and what each of them serves at present.
//!
//! A [`Catalog`] is a snapshot, read in one transaction and shared by the requests of the next moment.
//! What is published becomes visible with the next snapshot: at most one second later, in practice a
//! twentieth; and nobody is told that something does not exist by a snapshot older than the question.
//! Paths within a publication are the business of [`super::resolve`].

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use pulp_models::{
    Connection, DbError, PublicationId, RepositoryId, Timestamp, VersionNumber,
    distribution::{self, Distribution},
    publication::{self, Publication},
    repository, version,
};
use tokio::sync::Mutex;

use super::{
    CONTENT_PREFIX,
    listing::{Entry, EntryKind},
    request_path::RequestPath,
    settings::{DistributionSettings, ServeSettings},
};
use crate::{installation::Installation, plugin::Plugins};

/// How old a snapshot may be, if reading it is cheap; else it may be older, up to [`OLDEST`].
const FRESH: Duration = Duration::from_millis(50);
/// How old a snapshot may be at all.
const OLDEST: Duration = Duration::from_secs(1);
/// Reading snapshots takes at most this fraction of the time.
const SHARE: u32 = 20;

/// All distributions at one moment.
#[derive(Debug)]
pub(super) struct Catalog {
    /// By base path.
    sites: BTreeMap<String, Arc<Site>>,
    /// When reading it began, and how long it took.
    begun: Instant,
    cost: Duration,
}

/// One distribution.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) base_path: String,
    /// When the distribution was last pointed elsewhere.
    pub(super) updated: Timestamp,
    pub(super) target: Target,
    hidden: bool,
}

/// What a distribution serves.
#[derive(Debug)]
pub(super) enum Target {
    /// An edition; then the ones it superseded not long ago, newest first.
    Edition(Edition, Vec<Edition>),
    /// Editions by the time they were made.
    Checkpoints(BTreeMap<String, Edition>),
    /// Nothing, for this reason.
    Nothing(String),
}

/// An immutable map of paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edition {
    pub(super) source: Source,
    pub(super) created: Timestamp,
}

/// Where an edition's paths are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Source {
    /// `None`: the version's own paths.
    pub(super) publication: Option<PublicationId>,
    pub(super) repository: RepositoryId,
    pub(super) version: VersionNumber,
    /// Whether the version's own paths count where the publication has none.
    pub(super) pass_through: bool,
}

impl Edition {
    fn published(publication: &Publication) -> Self {
        let source = Source {
            publication: Some(publication.id),
            repository: publication.repository,
            version: publication.version,
            pass_through: publication.pass_through,
        };
        Self { source, created: publication.created }
    }
}

impl Site {
    /// The text for a path that an edition does not have.
    pub(super) fn lacks(&self, edition: &Edition, path: &str) -> String {
        let base = &self.base_path;
        let version = edition.source.version;
        match edition.source.publication {
            Some(id) => {
                format!("`{path}` is not in `{base}`: publication {id} of version {version}")
            }
            None => format!("`{path}` is not in `{base}`: version {version}"),
        }
    }
}

impl Catalog {
    /// The distribution that `path` belongs to: the one with the longest base path.
    pub(super) fn site(&self, path: &RequestPath) -> Option<&Arc<Site>> {
        path.prefixes().find_map(|prefix| self.sites.get(prefix))
    }

    /// The next segments of the base paths below `path`, hidden distributions left out.
    pub(super) fn children(&self, path: &str) -> Vec<Entry> {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let below =
            self.sites.range(prefix.clone()..).take_while(|(base, _)| base.starts_with(&prefix));
        let mut names: Vec<_> = below
            .filter(|(_, site)| !site.hidden)
            .filter_map(|(base, _)| base[prefix.len()..].split('/').next())
            .map(str::to_owned)
            .collect();
        names.dedup();
        names.into_iter().map(|name| Entry { name, kind: EntryKind::Folder }).collect()
    }

    /// Whether it was read after `moment`.
    pub(super) fn is_newer_than(&self, moment: Instant) -> bool {
        self.begun >= moment
    }

    fn is_fresh(&self) -> bool {
        self.begun.elapsed() < (self.cost * SHARE).clamp(FRESH, OLDEST)
    }
}

/// Reads snapshots and keeps the newest.
pub(super) struct Catalogs {
    installation: Installation,
    plugins: Plugins,
    grace: Duration,
    newest: RwLock<Option<Arc<Catalog>>>,
    /// Held while one is read.
    reading: Mutex<()>,
}

impl Catalogs {
    pub(super) fn new(
        installation: Installation,
        plugins: Plugins,
        settings: &ServeSettings,
    ) -> Self {
        let grace = settings.superseded_grace;
        Self { installation, plugins, grace, newest: RwLock::default(), reading: Mutex::default() }
    }

    /// A snapshot that is fresh enough to serve from.
    pub(super) async fn current(&self) -> Result<Arc<Catalog>, DbError> {
        match self.newest().filter(|catalog| catalog.is_fresh()) {
            Some(catalog) => Ok(catalog),
            None => self.read_unless(Catalog::is_fresh).await,
        }
    }

    /// A snapshot read after `moment`.
    pub(super) async fn newer_than(&self, moment: Instant) -> Result<Arc<Catalog>, DbError> {
        self.read_unless(|catalog| catalog.is_newer_than(moment)).await
    }

    /// Reads one, unless somebody else has read one that will do while this request waited.
    async fn read_unless(
        &self,
        will_do: impl Fn(&Catalog) -> bool,
    ) -> Result<Arc<Catalog>, DbError> {
        let _turn = self.reading.lock().await;
        if let Some(catalog) = self.newest().filter(|catalog| will_do(catalog)) {
            return Ok(catalog);
        }
        let begun = Instant::now();
        let (plugins, grace) = (self.plugins.clone(), self.grace);
        let db = &self.installation.db;
        let sites = db.read(move |conn| Reading::new(conn, &plugins, grace).sites()).await?;
        let catalog = Arc::new(Catalog { sites, begun, cost: begun.elapsed() });
        *self.newest.write().unwrap_or_else(PoisonError::into_inner) = Some(catalog.clone());
        Ok(catalog)
    }

    fn newest(&self) -> Option<Arc<Catalog>> {
        self.newest.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One transaction that reads a snapshot.
struct Reading<'a> {
    conn: &'a mut Connection,
    plugins: &'a Plugins,
    /// Editions superseded before this are gone.
    oldest: Timestamp,
}

impl<'a> Reading<'a> {
    fn new(conn: &'a mut Connection, plugins: &'a Plugins, grace: Duration) -> Self {
        let grace = i64::try_from(grace.as_secs()).unwrap_or(i64::MAX);
        Self { conn, plugins, oldest: Timestamp::now().plus_seconds(-grace) }
    }

    fn sites(&mut self) -> Result<BTreeMap<String, Arc<Site>>, DbError> {
        let mut sites = BTreeMap::new();
        for distribution in distribution::list(self.conn)? {
            if !self.is_served_here(&distribution) {
                continue;
            }
            let settings = DistributionSettings::of(&distribution);
            let base_path = distribution.base_path.to_string();
            let site = Site {
                base_path: base_path.clone(),
                updated: distribution.updated,
                target: self.target_or_reason(&distribution, &settings)?,
                hidden: settings.hidden,
            };
            sites.insert(base_path, Arc::new(site));
        }
        Ok(sites)
    }

    /// Rows that are wrong or missing are the trouble of one distribution; a database that does not
    /// answer is everybody's.
    fn target_or_reason(
        &mut self,
        distribution: &Distribution,
        settings: &DistributionSettings,
    ) -> Result<Target, DbError> {
        match self.target(distribution, settings) {
            Err(error @ DbError::Corrupt { .. }) => {
                let name = &distribution.name;
                tracing::error!(distribution.name = name, %error, "Cannot serve a distribution");
                Ok(Target::Nothing(format!("What distribution `{name}` serves cannot be read")))
            }
            Err(error @ (DbError::NotFound { .. } | DbError::Version(_))) => {
                Ok(Target::Nothing(error.to_string()))
            }
            outcome => outcome,
        }
    }

    fn target(
        &mut self,
        distribution: &Distribution,
        settings: &DistributionSettings,
    ) -> Result<Target, DbError> {
        let mut found = self.find(distribution, distribution.target, settings)?;
        let Target::Edition(_, superseded) = &mut found else { return Ok(found) };
        let oldest = self.oldest;
        for left in settings.left.iter().filter(|left| left.until > oldest) {
            match self.find(distribution, left.target, settings) {
                Ok(Target::Edition(edition, older)) => {
                    superseded.push(edition);
                    superseded.extend(older);
                }
                Ok(_) | Err(DbError::NotFound { .. } | DbError::Version(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// What `target` stands for.
    fn find(
        &mut self,
        distribution: &Distribution,
        target: distribution::Target,
        settings: &DistributionSettings,
    ) -> Result<Target, DbError> {
        match target {
            distribution::Target::Nothing => {
                let name = &distribution.name;
                Ok(Target::Nothing(format!("Distribution `{name}` points to nothing")))
            }
            distribution::Target::Publication(id) => {
                let publication = publication::get(self.conn, id)?;
                if !publication.complete {
                    return Ok(Target::Nothing(format!("Publication {id} is not complete")));
                }
                Ok(Target::Edition(Edition::published(&publication), Vec::new()))
            }
            distribution::Target::Version(repository, number) => {
                self.version(distribution, repository, number)
            }
            distribution::Target::Repository(repository) if settings.checkpoint => {
                self.checkpoints(repository)
            }
            distribution::Target::Repository(repository) => self.latest(distribution, repository),
        }
    }

    fn latest(
        &mut self,
        distribution: &Distribution,
        repository: RepositoryId,
    ) -> Result<Target, DbError> {
        if let Some(newest) = publication::newest(self.conn, repository)? {
            let superseded = publication::superseded(self.conn, repository, self.oldest)?;
            let superseded =
                superseded.iter().map(|old| Edition::published(&old.publication)).collect();
            return Ok(Target::Edition(Edition::published(&newest), superseded));
        }
        if self.serves_versions(distribution) {
            let number = version::latest(self.conn, repository)?;
            return self.raw_version(repository, number);
        }
        let name = repository::get_by_id(self.conn, repository)?.name;
        Ok(Target::Nothing(format!(
            "Repository `{name}` has not been published yet\nhint: publish it, e.g. with `pulp {} \
             publication create --repository {name}`",
            distribution.plugin
        )))
    }

    fn version(
        &mut self,
        distribution: &Distribution,
        repository: RepositoryId,
        number: VersionNumber,
    ) -> Result<Target, DbError> {
        let publications = publication::list(self.conn, repository)?;
        let newest = publications.iter().find(|publication| publication.version == number);
        if let Some(newest) = newest {
            return Ok(Target::Edition(Edition::published(newest), Vec::new()));
        }
        if self.serves_versions(distribution) {
            return self.raw_version(repository, number);
        }
        let name = repository::get_by_id(self.conn, repository)?.name;
        Ok(Target::Nothing(format!("Version {number} of repository `{name}` is not published")))
    }

    /// Of two checkpoints in one second the newer counts.
    fn checkpoints(&mut self, repository: RepositoryId) -> Result<Target, DbError> {
        let mut kept = publication::list(self.conn, repository)?;
        kept.retain(|publication| publication.checkpoint);
        kept.sort_by_key(|publication| publication.created);
        let named = kept
            .iter()
            .map(|publication| (stamp(publication.created), Edition::published(publication)));
        Ok(Target::Checkpoints(named.collect()))
    }

    /// Whether it is this app's to serve, and not its plugin's own routes'.
    fn is_served_here(&self, distribution: &Distribution) -> bool {
        let plugin = self.plugins.get(&distribution.plugin);
        plugin.is_none_or(|plugin| plugin.served_below() == CONTENT_PREFIX)
    }

    fn serves_versions(&self, distribution: &Distribution) -> bool {
        let plugin = self.plugins.get(&distribution.plugin);
        plugin.is_some_and(|plugin| plugin.serves_versions())
    }

    fn raw_version(
        &mut self,
        repository: RepositoryId,
        number: VersionNumber,
    ) -> Result<Target, DbError> {
        let created = version::get(self.conn, repository, number)?.created;
        let source = Source { publication: None, repository, version: number, pass_through: true };
        Ok(Target::Edition(Edition { source, created }, Vec::new()))
    }
}

/// A checkpoint's name, as in `20261123T050232Z`. Names sort as their times do.
pub(super) fn stamp(time: Timestamp) -> String {
    let time = jiff::Timestamp::from_microsecond(time.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Whether `name` is a time that [`stamp`] could have written.
pub(super) fn is_stamp(name: &str) -> bool {
    jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", name)
        .is_ok_and(|time| time.strftime("%Y%m%dT%H%M%SZ").to_string() == name)
}
