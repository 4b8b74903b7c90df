//! Memory for what is read from a disk to be sent.
//!
//! Large buffers are shared and limited in number, so that many slow clients do not take much
//! memory: readers beyond the limit get along with small ones.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Bytes per read while there are large buffers left.
pub(super) const LARGE: usize = 256 * 1024;
/// Bytes per read of everybody else.
pub(super) const SMALL: usize = 16 * 1024;
/// Large buffers in use at once: 64 MiB.
const LARGE_BUFFERS: usize = 256;

/// The large buffers that are not in use, and how many are.
#[derive(Debug, Default)]
pub(super) struct Buffers(Mutex<Spare>);

#[derive(Debug, Default)]
struct Spare {
    free: Vec<Box<[u8]>>,
    in_use: usize,
}

impl Buffers {
    /// A buffer for a read of `wanted` bytes; may be shorter.
    pub(super) fn take(self: &Arc<Self>, wanted: usize) -> Buffer {
        if wanted <= SMALL {
            return Buffer::own(wanted);
        }
        let mut spare = self.lock();
        if spare.in_use == LARGE_BUFFERS {
            return Buffer::own(SMALL);
        }
        spare.in_use += 1;
        let free = spare.free.pop();
        drop(spare);
        let bytes = free.unwrap_or_else(|| vec![0; LARGE].into_boxed_slice());
        Buffer { bytes, length: 0, home: Some(self.clone()) }
    }

    /// Large buffers that are in use.
    #[cfg(test)]
    pub(super) fn in_use(&self) -> usize {
        self.lock().in_use
    }

    fn lock(&self) -> MutexGuard<'_, Spare> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes that return to [`Buffers`] when the response no longer needs them.
pub(super) struct Buffer {
    bytes: Box<[u8]>,
    /// How many of them were read.
    length: usize,
    home: Option<Arc<Buffers>>,
}

impl Buffer {
    fn own(size: usize) -> Self {
        Self { bytes: vec![0; size].into_boxed_slice(), length: 0, home: None }
    }

    /// Room for a read of `wanted` bytes; may be shorter.
    pub(super) fn room(&mut self, wanted: usize) -> &mut [u8] {
        let length = self.bytes.len().min(wanted);
        &mut self.bytes[..length]
    }

    /// The first `length` bytes, which were read.
    pub(super) fn filled(mut self, length: usize) -> Bytes {
        self.length = length;
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            let mut spare = home.lock();
            spare.in_use -= 1;
            spare.free.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_limit_buffers_are_small_and_all_come_back() {
        let buffers = Arc::new(Buffers::default());
        let held: Vec<_> = (0..LARGE_BUFFERS).map(|_| buffers.take(LARGE)).collect();
        assert!(held.iter().all(|buffer| buffer.bytes.len() == LARGE));
        assert_eq!(buffers.take(LARGE).bytes.len(), SMALL);
        assert_eq!(buffers.take(5).bytes.len(), 5);
        drop(held);
        let spare = buffers.lock();
        assert_eq!((spare.in_use, spare.free.len()), (0, LARGE_BUFFERS));
    }
}
