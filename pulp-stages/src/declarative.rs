//! What a first stage declares: content units and the artifacts that belong to them.
//!
//! A [`DeclarativeContent`] is in one place at a time: it is moved from stage to stage and never
//! shared. On its way its artifacts go from declared over downloaded to saved, it gets its row's
//! id, and at the end whoever holds one of its [`Resolution`]s learns what became of it.

use std::fmt;

use pulp_models::{
    ContentId, Expected, RelativePath, RemoteId, RemoteUrl, Sha256,
    alternate_content_source::offers::Alternate,
    store::{Saved, Verified},
};

use crate::{
    budget::Permit,
    content::Content,
    resolution::{Promise, Resolution, resolved},
};

/// Units that this process has made, for the kit that looks for stages which collect them.
#[cfg(feature = "testing")]
static MADE: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

#[cfg(feature = "testing")]
pub(crate) fn made() -> u64 {
    MADE.load(std::sync::atomic::Ordering::Relaxed)
}

/// A content unit on its way through the line.
///
/// Displays as its type and first path, e.g. `deb.package` `pool/main/h/hello.deb`.
pub struct DeclarativeContent<C: Content> {
    /// The content itself.
    pub content: C,
    /// Its artifacts; their relative paths differ.
    pub artifacts: Vec<DeclarativeArtifact>,
    /// The plugin's own.
    pub extra: C::Extra,
    id: Option<ContentId>,
    permit: Option<Permit>,
    pub(crate) promise: Promise<C>,
}

impl<C: Content> DeclarativeContent<C> {
    /// A unit that nobody knows yet.
    pub fn new(content: C, artifacts: Vec<DeclarativeArtifact>) -> Self {
        #[cfg(feature = "testing")]
        MADE.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Self {
            content,
            artifacts,
            extra: C::Extra::default(),
            id: None,
            permit: None,
            promise: Promise::new(),
        }
    }

    /// A handle to what will become of this unit, to be awaited after the unit was put; see
    /// [`resolution`](crate::resolution). All handles of a unit tell the same.
    pub fn resolution(&mut self) -> Resolution<C> {
        let unit = self.content.type_name();
        let Self { content, artifacts, id, promise, .. } = self;
        promise.handle(unit, || resolved(*id, content, artifacts))
    }

    /// Delivers the unit as it is now to whoever holds a handle. The default line does this once
    /// everything is saved; a stage that takes a unit out of the line does it before dropping it.
    /// Later calls do nothing.
    pub fn resolve(&mut self) {
        let Self { content, artifacts, id, promise, .. } = self;
        promise.resolve(|| resolved(*id, content, artifacts));
    }

    /// Whether [`resolve`](Self::resolve) was called.
    pub const fn is_resolved(&self) -> bool {
        self.promise.is_resolved()
    }

    /// The content's row, once it was found or written.
    pub const fn id(&self) -> Option<ContentId> {
        self.id
    }

    /// Notes the content's row.
    pub const fn set_id(&mut self, id: ContentId) {
        self.id = Some(id);
    }

    /// Puts the budget's permit into the unit; it is given back with the unit, wherever it ends,
    /// or by [`release`](Self::release).
    pub fn charge(&mut self, permit: Permit) {
        self.permit = Some(permit);
    }

    /// Gives the budget's permit back: the unit's bytes are saved.
    pub fn release(&mut self) {
        self.permit = None;
    }

    pub(crate) const fn permit(&self) -> Option<&Permit> {
        self.permit.as_ref()
    }
}

// Units are moved, never pinned.
impl<C: Content> Unpin for DeclarativeContent<C> {}

impl<C: Content> fmt::Display for DeclarativeContent<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.content.type_name())?;
        match (self.artifacts.first(), self.content.natural_key()) {
            (Some(artifact), _) => write!(f, " `{}`", artifact.relative_path),
            (None, Some(key)) => write!(f, " with natural key {key}"),
            (None, None) => Ok(()),
        }
    }
}

impl<C: Content> fmt::Debug for DeclarativeContent<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeclarativeContent")
            .field("type", &self.content.type_name())
            .field("id", &self.id)
            .field("artifacts", &self.artifacts)
            .finish_non_exhaustive()
    }
}

/// One file of a content unit: what is known of its bytes, and where they are to be had.
#[derive(Debug)]
pub struct DeclarativeArtifact {
    /// Where it lies within its content; often the path that is published.
    pub relative_path: RelativePath,
    /// Where the bytes are, tried in order.
    pub urls: Vec<RemoteUrl>,
    /// Where else they are known to be, with whose settings: asked before `urls`, and not remembered.
    pub alternates: Vec<Alternate>,
    /// What is known of the bytes.
    pub expected: Expected,
    /// Whose settings the download uses, and which source is remembered for later.
    pub remote: Option<RemoteId>,
    /// Whether the line leaves the download to the first request (policy `on_demand`). Without
    /// any expected digest it cannot: such an artifact is downloaded all the same.
    pub deferred_download: bool,
    state: State,
    recorded: Recorded,
}

/// How far an artifact has come.
#[derive(Debug)]
enum State {
    Declared,
    Downloaded(Verified),
    Saved(Saved),
}

/// What the database says of an artifact's path in its unit.
#[derive(Debug, Clone, Copy)]
enum Recorded {
    /// Nothing, as far as is known.
    Nothing,
    /// It is there, with these bytes or without any.
    Path(Option<Sha256>),
}

/// An artifact that cannot be declared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeclarationError {
    /// There is neither a URL to get the bytes from nor the bytes themselves.
    #[error("Artifact `{0}` has neither URL nor bytes")]
    NoSource(RelativePath),
}

impl DeclarativeArtifact {
    /// An artifact to be downloaded from the first of `urls` that gives what is `expected`.
    pub fn new(
        relative_path: RelativePath,
        urls: Vec<RemoteUrl>,
        expected: Expected,
    ) -> Result<Self, DeclarationError> {
        if urls.is_empty() {
            return Err(DeclarationError::NoSource(relative_path));
        }
        Ok(Self::at(relative_path, urls, expected))
    }

    /// The same for `urls` that are some.
    pub(crate) const fn at(
        relative_path: RelativePath,
        urls: Vec<RemoteUrl>,
        expected: Expected,
    ) -> Self {
        Self {
            relative_path,
            urls,
            alternates: Vec::new(),
            expected,
            remote: None,
            deferred_download: false,
            state: State::Declared,
            recorded: Recorded::Nothing,
        }
    }

    /// An artifact whose bytes are here already (an upload, generated metadata).
    pub fn from_verified(relative_path: RelativePath, bytes: Verified) -> Self {
        Self {
            relative_path,
            urls: Vec::new(),
            alternates: Vec::new(),
            expected: Expected { size: Some(bytes.size()), digests: bytes.digests().clone() },
            remote: None,
            deferred_download: false,
            state: State::Downloaded(bytes),
            recorded: Recorded::Nothing,
        }
    }

    /// An artifact that is in the store already.
    pub fn from_saved(relative_path: RelativePath, saved: Saved) -> Self {
        Self {
            relative_path,
            urls: Vec::new(),
            alternates: Vec::new(),
            expected: Expected { size: Some(saved.size), digests: saved.digests.clone() },
            remote: None,
            deferred_download: false,
            state: State::Saved(saved),
            recorded: Recorded::Nothing,
        }
    }

    /// Names the remote that `urls` belong to.
    #[must_use]
    pub const fn remote(mut self, remote: RemoteId) -> Self {
        self.remote = Some(remote);
        self
    }

    /// Adds URLs that are tried when those before fail.
    #[must_use]
    pub fn mirrors(mut self, urls: impl IntoIterator<Item = RemoteUrl>) -> Self {
        self.urls.extend(urls);
        self
    }

    /// Leaves the download to the first request, or not.
    #[must_use]
    pub const fn deferred(mut self, deferred: bool) -> Self {
        self.deferred_download = deferred;
        self
    }

    /// Whether the line has to download it.
    pub fn needs_download(&self) -> bool {
        let deferred = self.deferred_download && !self.expected.digests.is_empty();
        matches!(self.state, State::Declared) && !deferred
    }

    /// Takes the downloaded bytes.
    pub fn set_downloaded(&mut self, bytes: Verified) {
        self.state = State::Downloaded(bytes);
    }

    /// The downloaded bytes, as long as they wait to be saved.
    pub const fn downloaded(&self) -> Option<&Verified> {
        match &self.state {
            State::Downloaded(bytes) => Some(bytes),
            State::Declared | State::Saved(_) => None,
        }
    }

    /// Takes the downloaded bytes out, to save them; [`set_saved`](Self::set_saved) follows.
    pub fn take_downloaded(&mut self) -> Option<Verified> {
        match std::mem::replace(&mut self.state, State::Declared) {
            State::Downloaded(bytes) => Some(bytes),
            other => {
                self.state = other;
                None
            }
        }
    }

    /// Notes that the store has it.
    pub fn set_saved(&mut self, saved: Saved) {
        self.state = State::Saved(saved);
    }

    /// What the store has, once it has.
    pub const fn saved(&self) -> Option<&Saved> {
        match &self.state {
            State::Saved(saved) => Some(saved),
            State::Declared | State::Downloaded(_) => None,
        }
    }

    /// Notes that the database has its path in its unit, with these bytes or without any.
    pub(crate) const fn set_recorded(&mut self, bytes: Option<Sha256>) {
        self.recorded = Recorded::Path(bytes);
    }

    /// Whether the database is known to have its path in its unit, and its bytes if the store does.
    pub(crate) fn is_recorded(&self) -> bool {
        match self.recorded {
            Recorded::Nothing => false,
            Recorded::Path(bytes) => self.saved().is_none_or(|saved| bytes == Some(saved.sha256)),
        }
    }

    /// Its SHA-256: the real one if the bytes are here, else what upstream says, if it does.
    pub fn sha256(&self) -> Option<Sha256> {
        match &self.state {
            State::Declared => self.expected.digests.sha256(),
            State::Downloaded(bytes) => Some(bytes.sha256()),
            State::Saved(saved) => Some(saved.sha256),
        }
    }

    /// Its length in bytes: the real one if the bytes are here, else what upstream says, if it
    /// does.
    pub fn size(&self) -> Option<u64> {
        match &self.state {
            State::Declared => self.expected.size,
            State::Downloaded(bytes) => Some(bytes.size()),
            State::Saved(saved) => Some(saved.size),
        }
    }
}
