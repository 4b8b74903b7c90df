//! Publishing: from a repository version to a complete, immutable map of paths.
//!
//! A publication either passes the version's own paths through, or has rows of its own, or both
//! (rows win). It is written incomplete, nobody sees it, and completed in one transaction; a
//! failed one is deleted.

mod automatic;
mod context;
mod writer;
mod error;

use std::{sync::Arc, time::Instant};

use pulp_models::{
    Connection, PublicationId, Timestamp, VersionNumber,
    publication::{self, NewPublication},
    repository::Repository,
};
use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub use automatic::autopublish;
pub use context::{Contents, PublishContext, PublishedUnit};
pub use error::PublishError;
pub use writer::PublicationWriter;

use crate::{
    installation::Installation,
    options,
    plugin::Plugin,
    progress::Reporter,
    task::{self, TaskHandle, TaskKind},
};

/// What to publish, and how.
#[derive(Clone)]
pub struct PublishRequest {
    /// The repository whose version is published.
    pub repository: Repository,
    /// Which version; the latest if `None`.
    pub version: Option<VersionNumber>,
    /// The plugin's options.
    pub options: Value,
    /// Whether it is kept as a checkpoint, reachable by its time.
    pub checkpoint: bool,
    /// Ends it early; nothing becomes visible.
    pub cancel: CancellationToken,
    /// Is told how it goes.
    pub reporter: Arc<dyn Reporter>,
}

/// A publication that was made. Serialises as one JSON object.
#[derive(Debug, Clone, Serialize)]
pub struct Published {
    /// Its id.
    pub publication: PublicationId,
    /// The repository's name.
    pub repository: String,
    /// The version that was published.
    pub version: i64,
    /// What was left out or looked wrong without stopping it.
    pub warnings: Vec<String>,
    /// When it was made.
    pub created: Timestamp,
    /// Wall time in milliseconds.
    pub duration_ms: u64,
}

/// Publishes a version; see the module.
pub(crate) async fn publish<P: Plugin>(
    plugin: &P,
    installation: &Installation,
    request: PublishRequest,
) -> Result<Published, PublishError> {
    let PublishRequest { repository, cancel, reporter, .. } = &request;
    let kind = TaskKind::of::<P>("publish");
    let operation = |task| run(plugin, installation, &request, task);
    task::run(installation, kind, repository, cancel, &**reporter, operation).await
}

async fn run<P: Plugin>(
    plugin: &P,
    installation: &Installation,
    request: &PublishRequest,
    task: TaskHandle,
) -> Result<Published, PublishError> {
    let clock = Instant::now();
    let created = Timestamp::now();
    let options = options::parse::<P::PublicationOptions>(&request.options)?;
    let version = installation.version(&task.repository, request.version).await?;
    let context = PublishContext::<P>::new(installation, request, &task, version, options);
    let _store = installation.share_store().await?;

    let row = NewPublication {
        repository: context.repository.id,
        version: context.version.number,
        plugin: P::NAME.to_owned(),
        options: request.options.clone(),
        checkpoint: request.checkpoint,
    };
    let publication =
        installation.db.write(move |connection| publication::create(connection, &row)).await?;
    let mut writer = PublicationWriter::new(installation, publication);
    let written = tokio::select! {
        written = plugin.publish(&context, &mut writer) => written,
        () = task.cancel.cancelled() => Err(PublishError::Cancelled),
    };
    let finished = match written {
        Ok(()) => writer.finish().await,
        Err(error) => Err(error),
    };
    if let Err(error) = finished {
        let delete =
            move |connection: &mut Connection| publication::delete(connection, publication);
        installation.db.write(delete).await?;
        return Err(error);
    }
    Ok(Published {
        publication,
        repository: context.repository.name.clone(),
        version: context.version.number.0,
        warnings: context.warnings.taken(),
        created,
        duration_ms: u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}
