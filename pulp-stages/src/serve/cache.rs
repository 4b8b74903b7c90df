//! A bounded map of what never changes: what published paths resolved to, so that a file asked for
//! often costs no query, and the bytes of small artifacts, so that it costs no read either.
//!
//! Publications and repository versions never change, so an entry is right for as long as its source
//! is served at all (which [`super::catalog`] decides, for each request). Only bytes that were in the
//! store are remembered; should they be gone since, [`super::deliver`] finds out and fetches them.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
};

/// A map that forgets what was not asked for lately. Two generations: when the younger is full, the
/// older is dropped; what is found in the older one moves to the younger.
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    generations: Mutex<Generations<K, V>>,
    /// Entries per generation.
    capacity: usize,
}

#[derive(Debug)]
struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    /// A cache of at most `capacity` entries.
    pub(super) fn new(capacity: usize) -> Self {
        let generations = Generations { young: HashMap::new(), old: HashMap::new() };
        Self { generations: Mutex::new(generations), capacity: (capacity / 2).max(1) }
    }

    pub(super) fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let mut generations = self.lock();
        if let Some(value) = generations.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = generations.old.remove_entry(key)?;
        self.put(&mut generations, key, value.clone());
        Some(value)
    }

    pub(super) fn insert(&self, key: K, value: V) {
        self.put(&mut self.lock(), key, value);
    }

    fn put(&self, generations: &mut Generations<K, V>, key: K, value: V) {
        if generations.young.len() >= self.capacity {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(key, value);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Generations<K, V>> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_rest_goes() {
        let cache = Cache::new(20);
        cache.insert("kept".to_owned(), 0);
        for number in 1..1000 {
            cache.insert(number.to_string(), number);
            assert_eq!(cache.get("kept"), Some(0), "after {number}");
        }
        let generations = cache.lock();
        assert!(generations.young.len() + generations.old.len() <= 20);
        drop(generations);
        assert_eq!(cache.get("1"), None);
    }
}
