//! What is noted of each request: a correlation id, a line in the log, a count.
//!
//! A proxy or client that sends `X-Request-ID` (or `Correlation-ID`, Pulp's name) finds its id in
//! every line that is logged for its request, and in the response; others get a new one. Queries are
//! never logged: they may hold tokens.

use std::{net::SocketAddr, time::Instant};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tracing::Instrument as _;
use uuid::Uuid;

use super::ContentApp;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const CORRELATION_ID: HeaderName = HeaderName::from_static("correlation-id");

/// Longest id that is taken from a client.
const LONGEST: usize = 128;

/// Who sent a request, as an extension of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client(pub(super) SocketAddr);

/// Wraps the whole router.
pub(super) async fn observe(
    State(app): State<ContentApp>,
    request: Request,
    next: Next,
) -> Response {
    let begin = Instant::now();
    let id = correlation_id(request.headers());
    let shown = id.to_str().unwrap_or_default();
    // Whatever is logged at whatever level has it.
    let span = tracing::error_span!("request", request.id = shown);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let client = request.extensions().get::<Client>().map(|client| client.0.ip());
    let mut response = next.run(request).instrument(span.clone()).await;
    let duration = begin.elapsed();
    let status = response.status().as_u16();
    app.inner.metrics.request(&method, status, duration);
    span.in_scope(|| {
        tracing::info!(
            %method, path, status,
            client = client.map(tracing::field::display),
            duration_ms = duration.as_secs_f64() * 1e3,
            size_bytes = response.headers().get(header::CONTENT_LENGTH)
                .and_then(|length| length.to_str().ok()),
            "Answered a request"
        );
    });
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// The client's id, if it is one that may stand in a log; otherwise a new one.
fn correlation_id(headers: &HeaderMap) -> HeaderValue {
    let given = [REQUEST_ID, CORRELATION_ID].iter().find_map(|name| headers.get(name));
    if let Some(id) = given.filter(|id| is_sane(id.as_bytes())) {
        return id.clone();
    }
    let id = Uuid::now_v7().to_string();
    HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("unknown"))
}

fn is_sane(id: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:+/=@".contains(byte);
    (1..=LONGEST).contains(&id.len()) && id.iter().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_could_forge_a_log_are_replaced() {
        for (name, id, taken) in [
            ("x-request-id", "0af7651916cd43dd8448eb211c80319c", true),
            ("correlation-id", "job/42:a=b@c", true),
            ("x-request-id", "a b", false),
            ("x-request-id", "a\"b", false),
            ("x-request-id", "", false),
            ("x-request-id", &"x".repeat(129), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_str(id).expect("a header"));
            let chosen = correlation_id(&headers);
            assert_eq!(chosen == id, taken, "{name}: {id}");
            assert!(is_sane(chosen.as_bytes()));
        }
    }
}
