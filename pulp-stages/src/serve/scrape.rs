//! `/metrics`: what this server counted, and what the database knows of everybody's tasks.

use axum::{extract::State, response::Response};
use http::StatusCode;
use pulp_models::{
    RepositoryId,
    repository::{self, Repository},
    task::{self, Latest, TaskState},
};

use super::{ContentApp, metrics::Page, response::text};

/// Answers even if the database does not: then without what it knows, and `pulp_database_up` is 0.
pub(super) async fn metrics(State(app): State<ContentApp>) -> Response {
    let mut page = app.inner.metrics.page(app.inner.fills.count());
    let known = app
        .inner
        .installation
        .db
        .read(|connection| Ok((repository::list(connection)?, task::latest(connection)?)))
        .await;
    page.family("pulp_database_up", "gauge", "Whether the database answers")
        .sample(&[], u8::from(known.is_ok()));
    match known {
        Ok((repositories, tasks)) => {
            known_tasks(&mut page, repositories.len(), &tasks);
            // Clients may not learn the names of repositories that they may not see.
            if app.inner.settings.metrics_apart {
                syncs(&mut page, &repositories, &tasks);
            }
        }
        Err(error) => tracing::error!(%error, "Failed to read what metrics tell of tasks"),
    }
    text(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", page.finish())
}

fn known_tasks(page: &mut Page, repositories: usize, tasks: &[Latest]) {
    page.family("pulp_repositories", "gauge", "Repositories").sample(&[], repositories);
    page.family("pulp_tasks", "gauge", "Tasks on record, by kind and state");
    let mut counts = std::collections::BTreeMap::<(&str, &str), u64>::new();
    for task in tasks {
        *counts.entry((&task.name, task.state.name())).or_default() += task.count;
    }
    for ((name, state), count) in counts {
        page.sample(&[("name", name), ("state", state)], count);
    }
}

fn syncs(page: &mut Page, repositories: &[Repository], tasks: &[Latest]) {
    for (name, help, state) in [
        (
            "pulp_sync_last_success_timestamp_seconds",
            "Unix time at which a repository was last synchronised",
            TaskState::Completed,
        ),
        (
            "pulp_sync_last_failure_timestamp_seconds",
            "Unix time at which the sync of a repository last failed",
            TaskState::Failed,
        ),
    ] {
        page.family(name, "gauge", help);
        for repository in repositories.iter().filter(|repository| !repository.hidden) {
            if let Some(seconds) = finished(tasks, repository.id, state) {
                let labels = [("repository", &*repository.name), ("plugin", &*repository.plugin)];
                page.sample(&labels, seconds);
            }
        }
    }
}

/// When a sync of the repository last ended in `state`.
fn finished(tasks: &[Latest], repository: RepositoryId, state: TaskState) -> Option<f64> {
    let task = tasks.iter().find(|task| {
        task.name == "sync" && task.repository == Some(repository) && task.state == state
    })?;
    Some(task.finished?.0 as f64 / 1e6)
}
