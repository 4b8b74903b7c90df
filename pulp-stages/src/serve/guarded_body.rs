//! A request body that cannot be sent so slowly that it holds what waits for it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::{Body, Bytes};
use http_body::{Body as _, Frame, SizeHint};

use super::pace::Pace;

/// A body that fails when its client keeps us waiting, at less than the [`Pace`] asks for.
pub(super) struct GuardedBody {
    body: Body,
    pace: Pace,
}

impl GuardedBody {
    /// `body` under `pace`; one that has ended is left as it is.
    pub(super) fn guard(body: Body, pace: Pace) -> Body {
        if body.is_end_stream() { body } else { Body::new(Self { body, pace }) }
    }
}

impl http_body::Body for GuardedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(frame) = polled {
            let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
            let length = data.map_or(0, |data| data.len() as u64);
            self.pace.moved(length);
            return Poll::Ready(frame);
        }
        self.pace.poll_too_slow(context).map(|()| {
            let error = io::Error::new(io::ErrorKind::TimedOut, "The client sends too little");
            Some(Err(axum::Error::new(error)))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::{StreamExt as _, stream};
    use http_body_util::BodyExt as _;
    use tokio::time::{Instant, sleep};

    use super::*;

    /// 20 pieces of this many bytes, one every 10 seconds.
    fn sent(piece: usize) -> Body {
        let pieces = stream::iter(0..20).then(move |_| async move {
            sleep(Duration::from_secs(10)).await;
            Ok::<_, io::Error>(vec![0; piece])
        });
        GuardedBody::guard(Body::from_stream(pieces), Pace::new(Duration::from_secs(60), 1000))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_is_cut_after_one_window() {
        let begin = Instant::now();
        let error = sent(1).collect().await.expect_err("too slow");
        assert!(error.to_string().contains("too little"), "{error}");
        assert_eq!(begin.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_body_that_makes_progress_arrives_whole() {
        let body = sent(500).collect().await.expect("fast enough");
        assert_eq!(body.to_bytes().len(), 10_000);
    }
}
