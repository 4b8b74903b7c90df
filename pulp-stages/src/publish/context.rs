//! What a plugin's publisher has at hand, and how it reads a version's content.

use std::{collections::HashMap, sync::Arc};

use pulp_models::{
    ContentId,
    content::StoredContent,
    content_artifact::{self, ContentArtifact},
    repository::Repository,
    version::{self, Columns, Version},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{PublishError, PublishRequest};
use crate::{
    content::Content,
    installation::Installation,
    plugin::Plugin,
    progress::{Counter, Progress},
    sync::Warnings,
    task::TaskHandle,
};

/// The services and the settings of one publication.
pub struct PublishContext<P: Plugin> {
    /// Database and artifact store.
    pub installation: Installation,
    /// The repository.
    pub repository: Repository,
    /// The version that is published.
    pub version: Version,
    /// The plugin's options.
    pub options: P::PublicationOptions,
    /// Counters for people to watch.
    pub progress: Progress,
    /// What was left out or looked wrong without stopping it.
    pub warnings: Warnings,
    /// Fires when it is to end early.
    pub cancel: CancellationToken,
}

impl<P: Plugin> PublishContext<P> {
    pub(super) fn new(
        installation: &Installation,
        request: &PublishRequest,
        task: &TaskHandle,
        version: Version,
        options: P::PublicationOptions,
    ) -> Self {
        Self {
            installation: installation.clone(),
            repository: task.repository.clone(),
            version,
            options,
            progress: task.progress.clone(),
            warnings: Warnings::new(Arc::clone(&request.reporter)),
            cancel: task.cancel.clone(),
        }
    }

    /// The version's content, in order of its ids, a page at a time.
    pub fn contents(&self) -> Contents<'_, P> {
        self.pages(None, self.version.counts.total())
    }

    /// The version's content of one type, e.g. `deb.package`; as [`contents`](Self::contents).
    pub fn contents_of(&self, type_name: &'static str) -> Contents<'_, P> {
        let present = self.version.counts.present.get(type_name).copied();
        self.pages(Some(type_name), present.unwrap_or_default())
    }

    fn pages(&self, only: Option<&'static str>, total: u64) -> Contents<'_, P> {
        let counter = self.progress.counter("publish.reading.content", "Reading Content");
        counter.set_total(total);
        let read = if total == 0 { Read::Ended } else { Read::First };
        Contents { context: self, only, read, left: total, counter }
    }

    /// Notes something that does not stop it but that a person should know.
    pub fn warn(&self, message: impl Into<String>) {
        self.warnings.add(message);
    }
}

/// A unit of the version with its artifacts.
#[derive(Debug)]
pub struct PublishedUnit<C> {
    /// Its row.
    pub id: ContentId,
    /// The content.
    pub content: C,
    /// Its artifacts, stored or on demand.
    pub artifacts: Vec<ContentArtifact>,
}

/// Units of one page.
const PAGE: u32 = 2000;

/// Pages of a version's content; see [`PublishContext::contents`]. While a page is worked on, the
/// next one is read.
pub struct Contents<'a, P: Plugin> {
    context: &'a PublishContext<P>,
    only: Option<&'static str>,
    read: Read<P::Content>,
    /// Units that have not been read yet. Nothing is looked for after the last one: what there is
    /// little of mostly comes first, and the rest of the version is long.
    left: u64,
    counter: Counter,
}

type Page<C> = Result<Vec<PublishedUnit<C>>, PublishError>;

/// How far the reading is.
enum Read<C> {
    First,
    Next(JoinHandle<Page<C>>),
    Ended,
}

impl<P: Plugin> Contents<'_, P> {
    /// The next page, never empty; `None` after the last.
    pub async fn next_page(
        &mut self,
    ) -> Result<Option<Vec<PublishedUnit<P::Content>>>, PublishError> {
        if self.context.cancel.is_cancelled() {
            return Err(PublishError::Cancelled);
        }
        let reading = match std::mem::replace(&mut self.read, Read::Ended) {
            Read::First => self.page_after(None),
            Read::Next(reading) => reading,
            Read::Ended => return Ok(None),
        };
        let units = reading.await.map_err(|_| PublishError::Cancelled)??;
        let Some(last) = units.last() else { return Ok(None) };
        self.left = self.left.saturating_sub(units.len() as u64);
        if self.left > 0 {
            self.read = Read::Next(self.page_after(Some(last.id)));
        }
        self.counter.add(units.len() as u64);
        Ok(Some(units))
    }

    /// Begins to read a page.
    fn page_after(&self, after: Option<ContentId>) -> JoinHandle<Page<P::Content>> {
        let (repository, number) = (self.context.repository.id, self.context.version.number);
        let (db, only) = (self.context.installation.db.clone(), self.only);
        let limit = u32::try_from(self.left).unwrap_or(PAGE).min(PAGE);
        tokio::spawn(async move {
            let (stored, artifacts) = db
                .read(move |connection| {
                    let columns = Columns::All;
                    let stored =
                        version::page(connection, repository, number, only, columns, after, limit)?;
                    let ids: Vec<ContentId> = stored.iter().map(|unit| unit.id).collect();
                    let artifacts = content_artifact::load(connection, &ids)?;
                    Ok((stored, artifacts))
                })
                .await?;
            tokio::task::spawn_blocking(|| load(stored, artifacts))
                .await
                .map_err(|_| PublishError::Cancelled)?
        })
    }
}

/// Makes units of rows.
fn load<C: Content>(
    stored: Vec<StoredContent>,
    mut artifacts: HashMap<ContentId, Vec<ContentArtifact>>,
) -> Page<C> {
    let units = stored.into_iter().map(|stored| {
        let id = stored.id;
        let content =
            C::load(stored).map_err(|error| PublishError::Content(id.to_string(), error))?;
        Ok(PublishedUnit { id, content, artifacts: artifacts.remove(&id).unwrap_or_default() })
    });
    units.collect()
}
