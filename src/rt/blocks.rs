//! Memory for blocks: a pool of 16 KiB buffers that are used again, and the budget that bounds what is on its way.
//!
//! The only place where block buffers are made. It decides nothing: who may reserve how much is the client's matter.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of a buffer: the field's block size.
const BUFFER_BYTES: usize = 16 * 1024;

/// Free buffers kept for the next block (64 MiB); more go back to the system.
const MAX_FREE: usize = 4096;

/// Buffers that are used again. Cheap to clone; clones share the buffers.
#[derive(Clone, Debug, Default)]
pub struct BlockPool(Arc<Shelf>);

#[derive(Debug, Default)]
struct Shelf {
    free: Mutex<Vec<Box<[u8]>>>,
    /// Buffers in use now.
    lent: AtomicUsize,
    /// Most buffers ever in use at once.
    peak: AtomicUsize,
}

/// One block's memory, 1 to 16,384 bytes long. Goes back to its pool when dropped.
#[derive(Debug)]
pub struct Block {
    bytes: Box<[u8]>,
    length: usize,
    shelf: Arc<Shelf>,
}

impl BlockPool {
    /// A block of `length` bytes (capped at 16 KiB) with whatever was in it before.
    pub fn take(&self, length: usize) -> Block {
        let reused = self.shelf().pop();
        let bytes = reused.unwrap_or_else(|| vec![0; BUFFER_BYTES].into_boxed_slice());
        let lent = self.0.lent.fetch_add(1, Ordering::Relaxed) + 1;
        self.0.peak.fetch_max(lent, Ordering::Relaxed);
        Block { bytes, length: length.min(BUFFER_BYTES), shelf: self.0.clone() }
    }

    /// A block that holds a copy of `bytes` (at most 16 KiB of them).
    pub fn copy(&self, bytes: &[u8]) -> Block {
        let mut block = self.take(bytes.len());
        let length = block.length;
        block.copy_from_slice(&bytes[..length]);
        block
    }

    /// Most bytes that were in use at once since the start.
    pub fn peak_bytes(&self) -> u64 {
        (self.0.peak.load(Ordering::Relaxed) * BUFFER_BYTES) as u64
    }

    /// Bytes in use now.
    pub fn lent_bytes(&self) -> u64 {
        (self.0.lent.load(Ordering::Relaxed) * BUFFER_BYTES) as u64
    }

    fn shelf(&self) -> std::sync::MutexGuard<'_, Vec<Box<[u8]>>> {
        self.0.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for Block {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl DerefMut for Block {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.shelf.lent.fetch_sub(1, Ordering::Relaxed);
        let bytes = std::mem::take(&mut self.bytes);
        let mut free = self.shelf.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < MAX_FREE {
            free.push(bytes);
        }
    }
}

/// A piece that would take more than one part in this many of a budget is *large*: it is never held whole.
const LARGE: u64 = 4;

/// How many bytes may be on their way at once, over all torrents of a session.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Purse>);

#[derive(Debug)]
struct Purse {
    limit: u64,
    reserved: AtomicU64,
}

impl Purse {
    fn try_take(&self, bytes: u64) -> bool {
        let fits = |reserved: u64| (reserved + bytes <= self.limit).then_some(reserved + bytes);
        self.reserved.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).is_ok()
    }
}

/// Bytes reserved from a [`Budget`]; given back when dropped.
#[derive(Debug)]
pub struct Lease {
    bytes: u64,
    purse: Arc<Purse>,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self(Arc::new(Purse { limit, reserved: AtomicU64::new(0) }))
    }

    /// Reserves `bytes` when they fit.
    pub fn try_reserve(&self, bytes: u64) -> Option<Lease> {
        self.0.try_take(bytes).then(|| Lease { bytes, purse: self.0.clone() })
    }

    /// True when so many bytes are too much to be held at once: with a few of them, nothing else would have room.
    pub fn is_large(&self, bytes: u64) -> bool {
        bytes > self.0.limit / LARGE
    }

    /// Counts `bytes` that are in memory already, fit or not.
    pub fn reserve_anyway(&self, bytes: u64) -> Lease {
        self.0.reserved.fetch_add(bytes, Ordering::AcqRel);
        Lease { bytes, purse: self.0.clone() }
    }
}

impl Lease {
    /// From now on it is for `bytes`, fit or not.
    pub fn resize(&mut self, bytes: u64) {
        self.purse.reserved.fetch_add(bytes, Ordering::AcqRel);
        self.purse.reserved.fetch_sub(std::mem::replace(&mut self.bytes, bytes), Ordering::AcqRel);
    }

    /// Grows by `bytes` if they fit.
    pub fn try_grow(&mut self, bytes: u64) -> bool {
        let grows = self.purse.try_take(bytes);
        self.bytes += if grows { bytes } else { 0 };
        grows
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.purse.reserved.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// Memory that is divided evenly among those who use it at the time.
#[derive(Debug)]
pub struct Shared {
    /// What there is, and what they have of it.
    budget: Budget,
    sharers: AtomicU64,
}

/// Has a share of [`Shared`] memory until it is dropped.
#[derive(Debug)]
pub struct Sharer(Arc<Shared>);

impl Shared {
    /// `bytes` to be shared.
    pub fn new(bytes: u64) -> Arc<Self> {
        Arc::new(Self { budget: Budget::new(bytes), sharers: AtomicU64::new(0) })
    }

    /// One more has a share.
    pub fn join(self: &Arc<Self>) -> Sharer {
        self.sharers.fetch_add(1, Ordering::Relaxed);
        Sharer(self.clone())
    }

    /// The share of each, in bytes; never less than four blocks, which then need not be there when they are wanted.
    pub fn share(&self) -> u64 {
        let even = self.budget.0.limit / self.sharers.load(Ordering::Relaxed).max(1);
        even.max(4 * BUFFER_BYTES as u64)
    }

    /// Nothing of it so far; what somebody has is in a lease that grows and shrinks.
    pub fn lease(&self) -> Lease {
        self.budget.reserve_anyway(0)
    }
}

impl Drop for Sharer {
    fn drop(&mut self) {
        self.0.sharers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_block_is_lent_again() {
        let pool = BlockPool::default();
        let first = pool.copy(b"abc");
        assert_eq!(&*first, b"abc");
        let place = first.as_ptr();
        drop(first);
        assert_eq!(pool.take(16384).as_ptr(), place);
        assert_eq!((pool.lent_bytes(), pool.peak_bytes()), (0, 16384));
    }

    #[test]
    fn shares_shrink_with_the_sharers_and_come_back() {
        let shared = Shared::new(1 << 20);
        assert_eq!(shared.share(), 1 << 20);
        let sharers: Vec<Sharer> = (0..4).map(|_| shared.join()).collect();
        assert_eq!(shared.share(), 1 << 18);
        let crowd: Vec<Sharer> = (0..96).map(|_| shared.join()).collect();
        assert_eq!(shared.share(), 1 << 16);
        drop((sharers, crowd));
        assert_eq!(shared.share(), 1 << 20);
    }

    #[test]
    fn the_budget_is_never_exceeded_and_what_is_large_for_it_is_known() {
        let budget = Budget::new(100);
        assert!(budget.try_reserve(101).is_none());
        let halves = [budget.try_reserve(50), budget.try_reserve(50)];
        assert!(halves.iter().all(Option::is_some) && budget.try_reserve(1).is_none());
        assert_eq!([25, 26].map(|bytes| budget.is_large(bytes)), [false, true]);
    }

    #[test]
    fn a_lease_grows_only_as_far_as_there_is_room() {
        let budget = Budget::new(100);
        let (_other, mut lease) = (budget.try_reserve(60), budget.reserve_anyway(0));
        assert_eq!([30, 11, 10].map(|bytes| lease.try_grow(bytes)), [true, false, true]);
        lease.resize(5);
        assert!(budget.try_reserve(36).is_none() && budget.try_reserve(35).is_some());
        drop(lease);
        assert!(budget.try_reserve(40).is_some());
    }
}
