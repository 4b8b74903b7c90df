//! One client's view of a fill: its range of the bytes, in order, and never the end of them before
//! the whole file is verified.
//!
//! That last part is the store's doing ([`pulp_models::store::Follower`]). Here it is decided what
//! happens when an attempt fails: a reader that has given nothing yet goes on to the next attempt, any
//! other must stop without an end, so that its connection is cut.

use std::{io, ops::Range, sync::Arc};

use bytes::Bytes;
use futures::stream::{self, Stream};
use pulp_models::store::Follower;
use tokio::sync::watch;

use super::{demand::Stored, fill::Progress, fill_error::FillError};

/// A fill's progress, as one reader hears of it. While there is one, a `streamed` fill goes on.
pub(super) type Listener = watch::Receiver<Progress>;

/// How a fill answers a reader.
pub(super) enum Beginning {
    /// The first bytes that may be given.
    Bytes(Bytes, Rest),
    /// The range is empty, and the file is verified.
    Empty,
    /// The file was in the store after all.
    Stored(Stored),
}

/// What follows the first bytes.
pub(super) struct Rest {
    follower: Follower,
    _listener: Listener,
}

/// Waits for the first bytes of `range` (`None`: of everything, however long it is) that may be given,
/// through as many attempts as it takes.
pub(super) async fn begin(
    mut listener: Listener,
    range: Option<Range<u64>>,
) -> Result<Beginning, Arc<FillError>> {
    let (start, end) = range.map_or((0, None), |range| (range.start, Some(range.end)));
    let mut failed = 0;
    loop {
        let (attempt, body) = match beyond(&mut listener, failed).await {
            Progress::Starting => return Err(Arc::new(FillError::Abandoned)),
            Progress::Stored(stored) => return Ok(Beginning::Stored(stored)),
            Progress::Failed(error) => return Err(error),
            Progress::Receiving { attempt, body } => (attempt, body),
        };
        let mut follower = body.follow(start, end);
        match follower.next().await {
            Ok(Some(bytes)) => {
                return Ok(Beginning::Bytes(bytes, Rest { follower, _listener: listener }));
            }
            Ok(None) => return Ok(Beginning::Empty),
            Err(_) => failed = attempt,
        }
    }
}

/// The fill's progress once it is past the attempt `failed`; `Starting` if it never will be.
async fn beyond(listener: &mut Listener, failed: u32) -> Progress {
    let past = |progress: &Progress| match progress {
        Progress::Starting => false,
        Progress::Receiving { attempt, .. } => *attempt > failed,
        Progress::Stored(_) | Progress::Failed(_) => true,
    };
    listener.wait_for(past).await.map_or(Progress::Starting, |progress| progress.clone())
}

impl Rest {
    /// The bytes after the first ones. An error ends the stream without a proper end.
    pub(super) fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        stream::try_unfold(self, |mut rest| async move {
            match rest.follower.next().await {
                Ok(bytes) => Ok(bytes.map(|bytes| (bytes, rest))),
                Err(error) => {
                    tracing::debug!(%error, "Cutting off a client");
                    Err(io::Error::new(io::ErrorKind::InvalidData, error))
                }
            }
        })
    }
}
