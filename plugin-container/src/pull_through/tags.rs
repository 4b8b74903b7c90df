//! Which tags can be asked for behind a name: those that upstream lists, as far as the remote's filters
//! allow.
//!
//! A list is asked for once by however many clients, page by page or at the same time, and kept for as
//! long as a tag counts as unmoved; so is, for a moment, that upstream could not say.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::{sync::OnceCell, time::Instant};

use super::{Behind, Inner, PAUSE, PullThrough, failure, lock};
use crate::errors::RegistryError;

/// Lists that are kept; each is as long as upstream likes.
const KEPT: usize = 16;

/// Tags, sorted; or why upstream did not say.
type Outcome = Result<Arc<Vec<String>>, RegistryError>;

/// What upstream said last, and until when that is good; by repository.
#[derive(Default)]
pub(super) struct TagLists(Mutex<HashMap<String, Answer>>);

type Answer = Arc<OnceCell<(Outcome, Instant)>>;

impl PullThrough {
    /// The tags that upstream has and clients may ask for, sorted.
    pub(crate) async fn tags(&self, behind: &Behind) -> Outcome {
        let ask = || async {
            let outcome = self.inner.list(behind).await.map(Arc::new);
            let time = if outcome.is_ok() { behind.max_age } else { PAUSE };
            (outcome, Instant::now() + time)
        };
        self.inner.lists.answer(&behind.repository).get_or_init(ask).await.0.clone()
    }
}

impl Inner {
    async fn list(&self, behind: &Behind) -> Result<Vec<String>, RegistryError> {
        let _room = self.room.acquire().await.map_err(|_| failure::broken_off())?;
        let (remote, options) = self.remote(behind).await?;
        let registry = self.client(&remote, &options, behind)?;
        let listed = registry.tags(|_| ()).await;
        let listed = listed.map_err(|error| failure::of_registry(behind, &error))?;
        Ok(options.tags().apply(listed).iter().map(ToString::to_string).collect())
    }
}

impl TagLists {
    /// The answer for `repository`: one that is still good, or one that is still to be had.
    fn answer(&self, repository: &str) -> Answer {
        let now = Instant::now();
        let is_good =
            |answer: &Answer| answer.get().is_none_or(|(_, good_until)| *good_until > now);
        let mut kept = lock(&self.0);
        if let Some(answer) = kept.get(repository).filter(|answer| is_good(answer)) {
            return Arc::clone(answer);
        }
        kept.retain(|_, answer| is_good(answer));
        if kept.len() >= KEPT {
            kept.clear();
        }
        let answer = Answer::default();
        kept.insert(repository.to_owned(), Arc::clone(&answer));
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn say(answer: &Answer, time: Duration) {
        let said = (Ok(Arc::default()), Instant::now() + time);
        answer.set(said).expect("nobody said anything yet");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_shared_while_it_is_awaited_and_while_it_is_good() {
        let lists = TagLists::default();
        let first = lists.answer("a");
        assert!(Arc::ptr_eq(&first, &lists.answer("a")), "asked for twice at once");
        say(&first, Duration::from_secs(5));
        assert!(Arc::ptr_eq(&first, &lists.answer("a")));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(!Arc::ptr_eq(&first, &lists.answer("a")), "it is too old");
    }

    #[tokio::test(start_paused = true)]
    async fn few_answers_are_kept() {
        let lists = TagLists::default();
        for number in 0..10 * KEPT {
            say(&lists.answer(&number.to_string()), Duration::from_secs(5));
        }
        assert!(lock(&lists.0).len() <= KEPT);
    }
}
