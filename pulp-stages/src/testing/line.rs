//! Runs one stage between a stage that feeds it and one that keeps what it put.
//!
//! For tests of a plugin's own stages, first or not, without database, store and network.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::{
    Content, DeclarativeContent, Inbox, Line, Outbox, Pipeline, PipelineError, Stage, StageError,
};

/// What `stage` puts when it is given `units`, in order; a first stage is given none.
///
/// Every unit is resolved when the stage has put it, as it is then: a first stage that awaits what
/// it puts goes on, and gets what it declared.
///
/// ```
/// # use async_trait::async_trait;
/// # use pulp_stages::{Content, DeclarativeContent, Inbox, Outbox, Stage, StageError};
/// # #[derive(Clone, serde::Serialize, serde::Deserialize)]
/// # struct Note { text: String }
/// # impl Content for Note {
/// #     type Extra = ();
/// #     fn type_name(&self) -> &'static str { "note.note" }
/// #     fn natural_key(&self) -> Option<pulp_models::Key> { None }
/// # }
/// # struct Notes;
/// # #[async_trait]
/// # impl Stage<Note> for Notes {
/// #     fn name(&self) -> &'static str { "Notes" }
/// #     async fn run(
/// #         self: Box<Self>,
/// #         input: Inbox<Note>,
/// #         output: Outbox<Note>,
/// #     ) -> Result<(), StageError> {
/// #         let mut units = input.items();
/// #         while let Some(unit) = units.next().await {
/// #             output.put(unit).await?;
/// #         }
/// #         let note = DeclarativeContent::new(Note { text: "one".to_owned() }, Vec::new());
/// #         Ok(output.put(note).await?)
/// #     }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let notes = pulp_stages::testing::run_stage(Notes, Vec::new()).await.expect("nothing fails");
/// assert_eq!(notes[0].content.text, "one");
/// # assert_eq!(pulp_stages::testing::run_stage(Notes, notes).await.expect("units").len(), 2);
/// # }
/// ```
pub async fn run_stage<C: Content>(
    stage: impl Stage<C>,
    units: Vec<DeclarativeContent<C>>,
) -> Result<Vec<DeclarativeContent<C>>, PipelineError> {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let line = Line::new().push(Box::new(stage)).push(Box::new(Keep(Arc::clone(&kept))));
    // Before a first stage stands nothing, and it may do without looking there.
    let line = if units.is_empty() { line } else { line.push_front(Box::new(Feed(units))) };
    Pipeline::new(line)?.run(&CancellationToken::new()).await?;
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(std::mem::take(&mut *kept))
}

struct Feed<C: Content>(Vec<DeclarativeContent<C>>);

#[async_trait]
impl<C: Content> Stage<C> for Feed<C> {
    fn name(&self) -> &'static str {
        "(test feeds)"
    }

    async fn run(self: Box<Self>, _: Inbox<C>, output: Outbox<C>) -> Result<(), StageError> {
        Ok(output.put_all(self.0).await?)
    }
}

struct Keep<C: Content>(Arc<Mutex<Vec<DeclarativeContent<C>>>>);

#[async_trait]
impl<C: Content> Stage<C> for Keep<C> {
    fn name(&self) -> &'static str {
        "(test keeps)"
    }

    async fn run(self: Box<Self>, input: Inbox<C>, _: Outbox<C>) -> Result<(), StageError> {
        let mut units = input.items();
        while let Some(mut unit) = units.next().await {
            unit.resolve();
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(unit);
        }
        Ok(())
    }
}
