//! What a client is told when upstream could not be pulled through.
//!
//! Upstream's "not there" is ours, too, its "too many requests" is passed on, whatever else it says
//! is a bad gateway (502), and silence a gateway time-out (504). Details are for the log.

use std::error::Error;

use http::{HeaderValue, StatusCode, header};
use pulp_stages::{download::DownloadError, sync::SyncError};

use super::Behind;
use crate::{
    client::RegistryClientError,
    errors::{ErrorCode, RegistryError},
    reference::Reference,
    survey::chain,
};

/// Upstream has it not, or not for us.
pub(super) fn missing(behind: &Behind, reference: &Reference) -> RegistryError {
    let message = format!("Upstream has no `{}` of `{}`", reference, behind.upstream);
    RegistryError::new(ErrorCode::ManifestUnknown, message)
}

/// The registry's client failed.
pub(super) fn of_registry(behind: &Behind, error: &RegistryClientError) -> RegistryError {
    told(behind, error)
}

/// The sync failed.
pub(super) fn of_sync(behind: &Behind, error: &SyncError) -> RegistryError {
    match error {
        SyncError::Download(error) => told(behind, error),
        error => told(behind, error),
    }
}

/// We are the ones who failed.
pub(super) fn ours(error: &dyn Error) -> RegistryError {
    tracing::error!(error = chain(error), "Failed to pull through");
    RegistryError::new(ErrorCode::Unknown, "The registry failed to fetch from upstream")
}

/// There is no room for one more repository.
pub(super) fn full(behind: &Behind) -> RegistryError {
    let Behind { parent, upstream, limit, .. } = behind;
    tracing::warn!(
        repository.name = parent,
        upstream = %upstream,
        limit,
        "As many upstream repositories are kept as `--pull-through-limit` allows; \
         `pulp container repository destroy` makes room"
    );
    let message = format!("No more than {limit} repositories of upstream are kept here");
    RegistryError::new(ErrorCode::Denied, message)
}

/// The server is ending.
pub(super) fn broken_off() -> RegistryError {
    RegistryError::new(ErrorCode::Unknown, "The fetch from upstream broke off")
        .with_status(StatusCode::SERVICE_UNAVAILABLE)
}

fn told(behind: &Behind, error: &(dyn Error + 'static)) -> RegistryError {
    let upstream = &behind.upstream;
    let status = status(error);
    if status == StatusCode::NOT_FOUND {
        let message = format!("Upstream has no such `{upstream}`, or not for us");
        return RegistryError::new(ErrorCode::ManifestUnknown, message);
    }
    tracing::warn!(
        repository.name = behind.repository,
        remote.name = behind.remote,
        error = chain(error),
        "Failed to pull through"
    );
    match status {
        StatusCode::TOO_MANY_REQUESTS => {
            let message = format!("Upstream answers too many requests for `{upstream}`");
            RegistryError::new(ErrorCode::TooManyRequests, message)
                .with_header(header::RETRY_AFTER, HeaderValue::from_static("60"))
        }
        StatusCode::GATEWAY_TIMEOUT => {
            let message = format!("Upstream does not answer for `{upstream}`");
            RegistryError::new(ErrorCode::Unknown, message).with_status(status)
        }
        status => {
            let message = format!("Upstream's answers for `{upstream}` are of no use");
            RegistryError::new(ErrorCode::Unknown, message).with_status(status)
        }
    }
}

/// Ours for what is at the bottom of `error`.
fn status(error: &(dyn Error + 'static)) -> StatusCode {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<RegistryClientError>() {
            match error {
                RegistryClientError::NotFound { .. } => return StatusCode::NOT_FOUND,
                RegistryClientError::Status { status, .. } => return mapped(*status),
                _ => {}
            }
        }
        if let Some(error) = error.downcast_ref::<DownloadError>() {
            return of_download(error);
        }
        next = error.source();
    }
    StatusCode::BAD_GATEWAY
}

fn of_download(error: &DownloadError) -> StatusCode {
    match error {
        DownloadError::GaveUp { source, .. } => of_download(source),
        DownloadError::Connect { .. }
        | DownloadError::ConnectTimeout { .. }
        | DownloadError::Idle { .. }
        | DownloadError::TooSlow { .. } => StatusCode::GATEWAY_TIMEOUT,
        DownloadError::RetryAfter { .. } => StatusCode::TOO_MANY_REQUESTS,
        // Registries refuse a token for what they don't have.
        DownloadError::Unauthorized { .. } => StatusCode::NOT_FOUND,
        other => other.status().map_or(StatusCode::BAD_GATEWAY, mapped),
    }
}

/// Some registries say of what they don't have that it is forbidden.
fn mapped(status: StatusCode) -> StatusCode {
    match status {
        StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            StatusCode::NOT_FOUND
        }
        StatusCode::TOO_MANY_REQUESTS => status,
        _ => StatusCode::BAD_GATEWAY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstreams_answers_become_ours() {
        let url: pulp_models::RemoteUrl = "http://h/v2/a/manifests/b".parse().expect("valid");
        let answered = |status| RegistryClientError::Status {
            url: url.clone(),
            status: StatusCode::from_u16(status).expect("a status"),
            message: String::new(),
        };
        let sent = |source: DownloadError| RegistryClientError::Transport {
            url: url.clone(),
            source: source.into(),
        };
        let silent = DownloadError::ConnectTimeout {
            url: url.clone().into(),
            after: std::time::Duration::from_secs(5),
        };
        let broken = DownloadError::Status {
            url: url.clone().into(),
            status: StatusCode::INTERNAL_SERVER_ERROR,
            redirected_from: None,
        };
        let again = |source: DownloadError| DownloadError::GaveUp {
            attempts: 2,
            urls: 1,
            source: source.into(),
        };
        for (error, expected) in [
            (RegistryClientError::NotFound { url: url.clone() }, 404),
            (answered(403), 404),
            (answered(429), 429),
            (answered(418), 502),
            (sent(again(silent)), 504),
            (sent(again(broken)), 502),
        ] {
            let nested = SyncError::upstream(&url, error);
            assert_eq!(status(&nested).as_u16(), expected, "{nested:?}");
        }
    }
}
