//! What can go wrong with one answer.

use std::time::Duration;

use bytes::Bytes;

/// One scripted answer. A path's faults are used up one per request, in order; then it answers well.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing: this request is answered well.
    None,
    /// This status and an empty body.
    Status(u16),
    /// This status with this `Retry-After`.
    RetryAfter(u16, String),
    /// A redirect with this status to this `Location`.
    Redirect(u16, String),
    /// The whole head, half the body (of the range, if one was asked for), then the connection is cut.
    HalfBody,
    /// The whole head, this many bytes of the body, then the connection is cut.
    CutAfter(usize),
    /// The connection is cut before anything is answered.
    Disconnect,
    /// The last byte of the body differs.
    FlipLastByte,
    /// Nothing is ever answered.
    StallHead,
    /// The whole head and half the body, then silence.
    StallBody,
    /// This many bytes, a pause, and so on.
    Drip(usize, Duration),
    /// `Content-Length` claims this; a shorter body is cut, a longer one ends there.
    ContentLength(u64),
    /// No `Content-Length`: the body is chunked.
    Chunked,
    /// The body, then zeros for ever, chunked.
    Endless,
    /// A range is ignored: status 200 and the whole body.
    IgnoreRange,
    /// The `ETag` header says this, whatever the file's own is.
    ETag(String),
    /// From this request on the file is another one (and so is its `ETag`).
    Becomes(Bytes),
}
