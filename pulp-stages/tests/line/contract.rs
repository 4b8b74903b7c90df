//! What is stored behind a pointer can be, and what goes from thread to thread may: a change that
//! breaks either does not compile.

use std::sync::Arc;

use pulp_models::{ArtifactStore, RemoteUrl, store::Verified};
use pulp_stages::{
    Batches, Child, Content, DeclarativeContent, Inbox, Items, Line, Outbox, Permit, Pipeline,
    Resolution, Resolved, Scope, Stage, StageError,
    download::{Authorize, DownloadRequest, Downloader},
    installation::Installation,
    plugin::{AnyPlugin, CommandContext, FirstStage, Plugin, Plugins},
    progress::Reporter,
    publish::{PublicationWriter, PublishContext},
    serve::ContentApp,
    stages::Fetch,
    sync::{self, AddRequest, SyncContext, SyncRequest, VersionDraft},
    testing::Empty,
};
use tokio_util::sync::CancellationToken;

use crate::kit::Number;

fn is_sent<T: Send + 'static>() {}
fn is_shared<T: Send + Sync + 'static>() {}
/// A future that is awaited on a runtime of several threads.
fn is_awaited<T: Future + Send>(_: T) {}

#[test]
fn what_is_stored_behind_a_pointer_is_object_safe() {
    is_shared::<Arc<dyn AnyPlugin>>();
    is_shared::<Arc<dyn Authorize>>();
    is_shared::<Arc<dyn Fetch>>();
    is_shared::<Arc<dyn Reporter>>();
    is_sent::<Box<dyn Stage<Number>>>();
}

/// [`Plugin`] itself has types and constants of its own: behind a pointer it is an [`AnyPlugin`].
#[test]
fn every_plugin_can_be_stored() {
    fn stored<P: Plugin>(plugin: P) -> Arc<dyn AnyPlugin> {
        Arc::new(plugin)
    }
    fn shared<P: Plugin>() {
        is_shared::<P>();
        is_shared::<SyncContext<P>>();
        is_shared::<PublishContext<P>>();
        is_sent::<FirstStage<P::Content>>();
    }
    let _ = |plugin: Empty| (stored(plugin), shared::<Empty>());
    is_shared::<Plugins>();
    is_shared::<CommandContext>();
    is_shared::<ContentApp>();
    is_shared::<Downloader>();
    is_shared::<Installation>();
    is_shared::<VersionDraft>();
    is_shared::<PublicationWriter>();
}

#[test]
fn what_moves_along_the_line_may_change_threads() {
    fn of<C: Content>() {
        is_sent::<DeclarativeContent<C>>();
        is_sent::<Inbox<C>>();
        is_sent::<Items<C>>();
        is_sent::<Batches<C>>();
        is_shared::<Outbox<C>>();
        is_sent::<Line<C>>();
        is_sent::<Pipeline<C>>();
        is_shared::<Resolution<C>>();
        is_shared::<Resolved<C>>();
    }
    of::<Number>();
    is_sent::<Permit>();
    is_shared::<Scope>();
    is_sent::<Child<()>>();
    is_shared::<StageError>();
}

#[test]
fn what_a_stage_awaits_may_change_threads() {
    fn of<C: Content>(inbox: Inbox<C>, outbox: &Outbox<C>, units: Vec<DeclarativeContent<C>>) {
        fn unit<C: Content>() -> DeclarativeContent<C> {
            unreachable!("this is compiled and never called")
        }
        is_awaited(inbox.items().next());
        is_awaited(outbox.put(unit()));
        is_awaited(outbox.put_all(units));
        is_awaited(outbox.put_awaitable(unit()));
        is_awaited(outbox.put_parsed(std::iter::from_fn(|| None::<Result<_, StageError>>)));
    }
    fn batches<C: Content>(inbox: Inbox<C>, resolution: Resolution<C>) {
        is_awaited(inbox.batches(1).next());
        is_awaited(resolution);
    }
    fn opened<C: Content>(resolved: &Resolved<C>, store: &ArtifactStore) {
        is_awaited(resolved.open(store));
    }
    fn run<C: Content>(pipeline: Pipeline<C>, cancelled: &CancellationToken) {
        is_awaited(pipeline.run(cancelled));
    }
    let _ = (of::<Number>, batches::<Number>, opened::<Number>, run::<Number>);
}

#[test]
fn what_a_plugin_awaits_may_change_threads() {
    fn syncs<P: Plugin>(
        plugin: &P,
        context: &SyncContext<P>,
        draft: &VersionDraft,
        url: &RemoteUrl,
    ) {
        is_awaited(plugin.first_stage(context));
        is_awaited(plugin.finalize_version(draft));
        is_awaited(context.fetch_document(url));
        is_awaited(draft.associate(Vec::new()));
    }
    fn publishes<P: Plugin>(
        plugin: &P,
        context: &PublishContext<P>,
        writer: &mut PublicationWriter,
        bytes: Verified,
    ) {
        is_awaited(plugin.publish(context, writer));
        is_awaited(context.contents().next_page());
        is_awaited(writer.verified([], bytes));
    }
    fn adds<P: Plugin>(plugin: &P, at: &Installation, request: AddRequest<P::Content>) {
        is_awaited(sync::add_content(plugin, at, request));
    }
    fn is_driven(plugin: &dyn AnyPlugin, at: &Installation, request: SyncRequest) {
        is_awaited(plugin.sync(at, request));
    }
    fn downloads(downloader: &Downloader, request: &DownloadRequest) {
        is_awaited(downloader.fetch(request));
    }
    let _ = (syncs::<Empty>, publishes::<Empty>, adds::<Empty>, is_driven, downloads);
}
