//! From a file, a fault and a request to a response: conditions and ranges as RFC 9110 has them, then
//! what the script spoils.

use std::sync::{Arc, atomic::AtomicU64};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use pulp_models::Sha256;

use super::{
    Fault, ValidatorKind,
    body::{Ending, ScriptedBody},
};

/// When every file was last changed.
const LAST_MODIFIED: &str = "Sat, 03 Jan 2026 10:00:00 GMT";

/// A response with nothing in it.
pub(super) fn empty(status: StatusCode, sent: &Arc<AtomicU64>) -> Response<ScriptedBody> {
    let body = ScriptedBody::new(Bytes::new(), Ending::Proper, Arc::clone(sent));
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

/// Answers a GET or HEAD for `file` with `fault`. Faults without a head (`Disconnect`, `StallHead`)
/// and `Becomes` are the caller's.
pub(super) fn of_file(
    file: Bytes,
    fault: &Fault,
    request: &HeaderMap,
    validators: ValidatorKind,
    sent: &Arc<AtomicU64>,
) -> Response<ScriptedBody> {
    if let Some(response) = without_body(fault, sent) {
        return response;
    }
    let etag = etag_of(&file);
    let mut headers = validator_headers(&etag, validators, fault);
    if is_unchanged(request, &headers) {
        let mut response = empty(StatusCode::NOT_MODIFIED, sent);
        response.headers_mut().extend(headers);
        return response;
    }
    let total = file.len();
    let mut body = file;
    let mut status = StatusCode::OK;
    if *fault != Fault::IgnoreRange
        && let Some(start) = wanted_start(request, &etag, validators)
    {
        if start >= total {
            let mut response = empty(StatusCode::RANGE_NOT_SATISFIABLE, sent);
            insert(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{total}"));
            return response;
        }
        status = StatusCode::PARTIAL_CONTENT;
        insert(
            &mut headers,
            header::CONTENT_RANGE,
            &format!("bytes {start}-{}/{total}", total - 1),
        );
        body = body.slice(start..);
    }
    let (length, body) = spoil(body, fault, sent);
    if let Some(length) = length {
        insert(&mut headers, header::CONTENT_LENGTH, &length.to_string());
    }
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn without_body(fault: &Fault, sent: &Arc<AtomicU64>) -> Option<Response<ScriptedBody>> {
    let (status, extra) = match fault {
        Fault::Status(status) => (status, None),
        Fault::RetryAfter(status, after) => (status, Some((header::RETRY_AFTER, after))),
        Fault::Redirect(status, location) => (status, Some((header::LOCATION, location))),
        _ => return None,
    };
    let mut response = empty(StatusCode::from_u16(*status).expect("a status"), sent);
    if let Some((name, value)) = extra {
        insert(response.headers_mut(), name, value);
    }
    Some(response)
}

/// The announced length, if any, and the body that really comes.
fn spoil(body: Bytes, fault: &Fault, sent: &Arc<AtomicU64>) -> (Option<u64>, ScriptedBody) {
    let length = body.len() as u64;
    let scripted = |bytes, ending| ScriptedBody::new(bytes, ending, Arc::clone(sent));
    let half = body.len() / 2;
    match fault {
        Fault::HalfBody => (Some(length), scripted(body.slice(..half), Ending::Cut)),
        Fault::StallBody => (Some(length), scripted(body.slice(..half), Ending::Stall)),
        Fault::CutAfter(size) => {
            (Some(length), scripted(body.slice(..body.len().min(*size)), Ending::Cut))
        }
        Fault::FlipLastByte => {
            let mut flipped = body.to_vec();
            if let Some(last) = flipped.last_mut() {
                *last ^= 0xff;
            }
            (Some(length), scripted(flipped.into(), Ending::Proper))
        }
        Fault::Drip(size, pause) => {
            (Some(length), scripted(body, Ending::Proper).drip(*size, *pause))
        }
        Fault::ContentLength(claimed) if *claimed < length => {
            let kept = usize::try_from(*claimed).expect("less than a length in memory");
            (Some(*claimed), scripted(body.slice(..kept), Ending::Proper))
        }
        Fault::ContentLength(claimed) => (Some(*claimed), scripted(body, Ending::Cut)),
        // An ending that is not proper has no size hint, so the server falls back to chunks; for a
        // proper one it needs a drip.
        Fault::Chunked => {
            (None, scripted(body, Ending::Proper).drip(usize::MAX, std::time::Duration::ZERO))
        }
        Fault::Endless => (None, scripted(body, Ending::Endless)),
        _ => (Some(length), scripted(body, Ending::Proper)),
    }
}

fn etag_of(file: &[u8]) -> String {
    format!("\"{}\"", &Sha256::of(file).to_string()[..16])
}

fn validator_headers(etag: &str, validators: ValidatorKind, fault: &Fault) -> HeaderMap {
    let mut headers = HeaderMap::new();
    match validators {
        ValidatorKind::Strong => {
            insert(&mut headers, header::ETAG, etag);
            insert(&mut headers, header::LAST_MODIFIED, LAST_MODIFIED);
        }
        ValidatorKind::Weak => insert(&mut headers, header::ETAG, &format!("W/{etag}")),
        ValidatorKind::Date => insert(&mut headers, header::LAST_MODIFIED, LAST_MODIFIED),
        ValidatorKind::None => {}
    }
    if let Fault::ETag(etag) = fault {
        insert(&mut headers, header::ETAG, etag);
    }
    headers
}

/// `If-None-Match`, or without it `If-Modified-Since` (RFC 9110, 13.1.2 and 13.1.3).
fn is_unchanged(request: &HeaderMap, ours: &HeaderMap) -> bool {
    if let Some(theirs) = request.get(header::IF_NONE_MATCH) {
        return ours.get(header::ETAG) == Some(theirs);
    }
    let since = request.get(header::IF_MODIFIED_SINCE);
    since.is_some() && since == ours.get(header::LAST_MODIFIED)
}

/// Where the wanted range starts, if there is one and `If-Range` lets it count.
fn wanted_start(request: &HeaderMap, etag: &str, validators: ValidatorKind) -> Option<usize> {
    let range = request.get(header::RANGE)?.to_str().ok()?;
    let start = range.strip_prefix("bytes=")?.split('-').next()?.parse().ok()?;
    match request.get(header::IF_RANGE) {
        None => Some(start),
        Some(condition) if validators == ValidatorKind::Strong && condition == etag => Some(start),
        Some(condition)
            if matches!(validators, ValidatorKind::Strong | ValidatorKind::Date)
                && condition == LAST_MODIFIED =>
        {
            Some(start)
        }
        Some(_) => None,
    }
}

fn insert(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    headers.insert(name, value.parse().expect("a header value"));
}
