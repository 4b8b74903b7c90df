//! One file: attempts on each URL in turn, resumed where that is sound, until its bytes are verified.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use pulp_models::{
    Mismatch, RemoteUrl,
    store::{Growing, Verified, Verifier, VerifyError},
};
use tokio::time::sleep;

use super::{
    DEFAULT_LIMIT, DownloadError, DownloadRequest, Downloaded, IfChanged, Inner, Validators,
    body::Body,
    file,
    redirect::Hop,
    resume::{Anchor, Answer},
    retry::Attempts,
    send::{Sent, with_credentials_of},
};

/// A download under way.
pub(super) struct Fetch<'a> {
    inner: &'a Inner,
    request: &'a DownloadRequest,
    condition: Option<&'a Validators>,
    follow: Option<&'a mut (dyn FnMut(Growing) + Send + Sync)>,
}

/// What an attempt leaves to the next one on the same URL.
#[derive(Default)]
struct Left {
    /// The first bytes, and what must hold for the others to fit.
    beginning: Option<(Verifier, Anchor)>,
    /// Somebody on the way may keep wrong bytes: they are to ask the origin.
    distrust: bool,
}

impl<'a> Fetch<'a> {
    pub(super) fn new(
        inner: &'a Inner,
        request: &'a DownloadRequest,
        condition: Option<&'a Validators>,
        follow: Option<&'a mut (dyn FnMut(Growing) + Send + Sync)>,
    ) -> Self {
        Self { inner, request, condition, follow }
    }

    pub(super) async fn run(mut self) -> Result<IfChanged, DownloadError> {
        let urls = &self.request.urls;
        let mut made = 0;
        let mut last = DownloadError::NoUrl;
        for (position, url) in urls.iter().enumerate() {
            last = match self.try_url(url, &mut made).await {
                Ok(outcome) => return Ok(outcome),
                Err(error) => error,
            };
            if !last.is_upstreams() {
                return Err(last);
            }
            if position + 1 < urls.len() {
                tracing::info!(%url, error = %last, "Moving on to the next URL");
            }
        }
        Err(last.after(made, urls.len()))
    }

    /// Counts the attempts in `made`.
    async fn try_url(
        &mut self,
        url: &RemoteUrl,
        made: &mut u32,
    ) -> Result<IfChanged, DownloadError> {
        if url.expose().scheme() == "file" {
            *made += 1;
            return self.read_file(url).await;
        }
        let mut attempts = Attempts::new(&self.inner.settings);
        let mut left = Left::default();
        loop {
            attempts.begin();
            *made += 1;
            let error = match self.attempt(url, &mut left).await {
                Ok(outcome) => return Ok(outcome),
                Err(error) => error,
            };
            let is_final = self.request.final_mismatch && error.is_mismatch();
            let Some(delay) = attempts.next_delay(&error).filter(|_| !is_final) else {
                return Err(error);
            };
            tracing::debug!(%url, attempt = attempts.made(), %error, "Trying again");
            if !error.leaves_a_beginning() {
                left = Left { beginning: None, distrust: true };
            }
            self.inner.counters.retry();
            sleep(delay).await;
        }
    }

    async fn attempt(
        &mut self,
        url: &RemoteUrl,
        left: &mut Left,
    ) -> Result<IfChanged, DownloadError> {
        let mut sent = self.inner.send(self.hop(url, left)).await?;
        if self.condition.is_some() && sent.response.status() == StatusCode::NOT_MODIFIED {
            self.inner.counters.not_modified();
            return Ok(IfChanged::NotModified);
        }
        let (verifier, anchor) = self.place(&sent, left)?;
        let headers = std::mem::take(sent.response.headers_mut());
        let final_url = sent.url.clone();
        let verified = self.receive(sent, verifier, anchor, left).await?;
        Ok(IfChanged::Changed(Box::new(Downloaded {
            verified,
            url: url.clone(),
            final_url,
            validators: Validators::of(&headers),
            headers,
        })))
    }

    fn hop(&self, url: &RemoteUrl, left: &Left) -> Hop {
        let mut headers = with_credentials_of(url.expose(), self.request.headers.clone());
        match (&left.beginning, self.condition) {
            (Some((verifier, anchor)), _) => {
                anchor.ask_for_rest(verifier.received(), &mut headers);
            }
            (None, Some(validators)) => validators.ask_if_changed(&mut headers),
            (None, None) => {}
        }
        if left.distrust {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        // What a trusted digest vouches for may come over any channel.
        let may_downgrade = self.request.expected.digests.is_trusted();
        Hop::first(Method::GET, url.expose().clone(), headers, None, may_downgrade)
    }

    /// Where the body of `sent` belongs: behind the beginning, which is taken, or into a new
    /// verifier.
    fn place(
        &mut self,
        sent: &Sent,
        left: &mut Left,
    ) -> Result<(Verifier, Option<Anchor>), DownloadError> {
        let (status, headers) = (sent.response.status(), sent.response.headers());
        if let Some((verifier, anchor)) = left.beginning.take() {
            let from = verifier.received();
            let answer = anchor.judge(from, status, headers).map_err(|reason| {
                DownloadError::Resume { url: sent.url.clone().into(), from, reason }
            })?;
            if answer == Answer::Rest {
                self.inner.counters.resumed();
                return Ok((verifier, Some(anchor)));
            }
            if status != StatusCode::OK {
                left.beginning = Some((verifier, anchor));
            }
        }
        if status != StatusCode::OK {
            return Err(sent.unexpected_status());
        }
        self.check_announced_size(sent)?;
        let checked = !self.request.expected.digests.is_empty();
        Ok((self.new_verifier(), Anchor::of(headers, checked)))
    }

    /// A body of the wrong length need not be received to be refused.
    fn check_announced_size(&self, sent: &Sent) -> Result<(), DownloadError> {
        let Some(actual) = sent.response.content_length() else {
            return Ok(());
        };
        let url = || Box::new(sent.url.clone());
        match self.request.expected.size {
            Some(expected) if expected != actual => {
                let source = Mismatch::Size { expected, actual };
                Err(DownloadError::Mismatch { url: url(), source })
            }
            None if actual > self.limit() => {
                Err(DownloadError::TooLarge { url: url(), limit: self.limit() })
            }
            _ => Ok(()),
        }
    }

    async fn receive(
        &self,
        sent: Sent,
        mut verifier: Verifier,
        anchor: Option<Anchor>,
        left: &mut Left,
    ) -> Result<Verified, DownloadError> {
        let Sent { response, url, permit, .. } = sent;
        let mut body = Body::new(response, url.clone(), verifier.received());
        loop {
            match body.next(self.inner).await {
                Ok(Some(piece)) => self.take(&mut verifier, piece, &url).await?,
                Ok(None) => break,
                // Only the end is missing: the digests will tell.
                Err(_) if self.request.expected.size == Some(verifier.received()) => break,
                Err(error) => {
                    left.beginning =
                        anchor.filter(|_| verifier.received() > 0).map(|anchor| (verifier, anchor));
                    return Err(error);
                }
            }
        }
        // Others may ask while the last block is hashed.
        drop((body, permit));
        verifier.finish().await.map_err(|error| refused(error, &url))
    }

    async fn take(
        &self,
        verifier: &mut Verifier,
        piece: bytes::Bytes,
        url: &RemoteUrl,
    ) -> Result<(), DownloadError> {
        if self.request.expected.size.is_none()
            && verifier.received() + piece.len() as u64 > self.limit()
        {
            return Err(DownloadError::TooLarge { url: url.clone().into(), limit: self.limit() });
        }
        verifier.push(piece).await.map_err(|error| refused(error, url))
    }

    async fn read_file(&mut self, url: &RemoteUrl) -> Result<IfChanged, DownloadError> {
        let mut opened = file::open(url, &self.inner.settings.allowed_file_paths).await?;
        if self.condition.is_some_and(|condition| *condition == opened.validators) {
            self.inner.counters.not_modified();
            return Ok(IfChanged::NotModified);
        }
        let mut verifier = self.new_verifier();
        while let Some(piece) = opened.next().await? {
            self.inner.counters.bytes(piece.len());
            self.take(&mut verifier, piece, url).await?;
        }
        let verified = verifier.finish().await.map_err(|error| refused(error, url))?;
        Ok(IfChanged::Changed(Box::new(Downloaded {
            verified,
            url: url.clone(),
            final_url: url.clone(),
            validators: opened.validators,
            headers: HeaderMap::new(),
        })))
    }

    fn new_verifier(&mut self) -> Verifier {
        let mut verifier = self.inner.store.verifier(&self.request.expected, &self.request.also);
        if let Some(follow) = &mut self.follow {
            follow(verifier.growing());
        }
        verifier
    }

    fn limit(&self) -> u64 {
        self.request.limit.unwrap_or(DEFAULT_LIMIT)
    }
}

fn refused(error: VerifyError, url: &RemoteUrl) -> DownloadError {
    match error {
        VerifyError::Mismatch(source) => {
            DownloadError::Mismatch { url: url.clone().into(), source }
        }
        VerifyError::Store(error) => error.into(),
        other => unreachable!("a verifier that failed is not used again: {other}"),
    }
}
