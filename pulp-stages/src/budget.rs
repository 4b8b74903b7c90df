//! The byte budget: how much may be downloaded and not saved yet.
//!
//! The downloader acquires a [`Permit`] before it downloads a unit and puts it into the unit;
//! `ArtifactSaver` takes it out once the bytes are saved. A unit that ends elsewhere, by an error or
//! a cancellation, gives its permit back by being dropped, so the account cannot drift. While
//! somebody waits for the budget, the batches that hold its permits do not wait for company: see
//! [`Inbox::batches`](crate::inbox::Inbox::batches). Nothing here knows stages or content.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes in flight, counted in KiB. Cheap to clone; clones share the account.
#[derive(Clone)]
pub struct Budget(Arc<Account>);

/// A share of the budget, given back when dropped.
pub struct Permit {
    share: OwnedSemaphorePermit,
    budget: Budget,
}

struct Account {
    free: Arc<Semaphore>,
    /// In KiB; at least 1.
    capacity: u32,
    /// How many wait for a permit.
    blocked: AtomicUsize,
    /// Whom to ring when somebody begins to wait.
    bells: Mutex<Vec<Weak<dyn Bell>>>,
}

/// Something that may hold permits and looks at [`Budget::is_blocked`] when rung.
pub(crate) trait Bell: Send + Sync {
    fn ring(&self);
}

impl Budget {
    /// What may be in flight by default: 5 GiB.
    pub const DEFAULT_BYTES: u64 = 5 << 30;

    /// A budget of `bytes`, rounded up to whole KiB; at least one KiB, at most 4 TiB.
    pub fn new(bytes: u64) -> Self {
        let capacity = kib(bytes);
        let free = Arc::new(Semaphore::new(capacity as usize));
        let (blocked, bells) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        Self(Arc::new(Account { free, capacity, blocked, bells }))
    }

    /// Waits until `bytes` fit, first come, first served, and takes them. What is larger than the
    /// whole budget takes all of it, and so passes alone. Nothing is taken if the future is
    /// dropped.
    pub async fn acquire(&self, bytes: u64) -> Permit {
        let share = kib(bytes).min(self.0.capacity);
        if let Ok(share) = Arc::clone(&self.0.free).try_acquire_many_owned(share) {
            return Permit { share, budget: self.clone() };
        }
        let _blocked = Blocked::new(&self.0);
        let share = Arc::clone(&self.0.free).acquire_many_owned(share).await;
        Permit { share: share.expect("the semaphore is never closed"), budget: self.clone() }
    }

    /// Whether somebody waits.
    pub fn is_blocked(&self) -> bool {
        self.0.blocked.load(Ordering::SeqCst) > 0
    }

    /// Bytes that are free, in KiB.
    pub fn available_kib(&self) -> u64 {
        self.0.free.available_permits() as u64
    }

    /// The whole budget, in KiB.
    pub fn capacity_kib(&self) -> u64 {
        u64::from(self.0.capacity)
    }

    /// Rings `bell` whenever somebody begins to wait. Whoever watches looks at
    /// [`is_blocked`](Self::is_blocked) afterwards, since somebody may be waiting already.
    pub(crate) fn watch(&self, bell: &Weak<dyn Bell>) {
        let mut bells = self.0.bells.lock().unwrap_or_else(PoisonError::into_inner);
        bells.retain(|known| known.strong_count() > 0);
        if !bells.iter().any(|known| known.ptr_eq(bell)) {
            bells.push(Weak::clone(bell));
        }
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Permit {
    /// Its size in KiB.
    pub fn kib(&self) -> u64 {
        self.share.num_permits() as u64
    }

    pub(crate) const fn budget(&self) -> &Budget {
        &self.budget
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("available_kib", &self.available_kib())
            .field("capacity_kib", &self.capacity_kib())
            .finish()
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("kib", &self.kib()).finish_non_exhaustive()
    }
}

/// Counts somebody who waits, for as long as they do.
struct Blocked<'a>(&'a Account);

impl<'a> Blocked<'a> {
    fn new(account: &'a Account) -> Self {
        // Counted before anybody is rung: see `watch`.
        account.blocked.fetch_add(1, Ordering::SeqCst);
        let bells = account.bells.lock().unwrap_or_else(PoisonError::into_inner).clone();
        bells.iter().filter_map(Weak::upgrade).for_each(|bell| bell.ring());
        Self(account)
    }
}

impl Drop for Blocked<'_> {
    fn drop(&mut self) {
        self.0.blocked.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whole KiB, at least one.
fn kib(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).max(1)
}
