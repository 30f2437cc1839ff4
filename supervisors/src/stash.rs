//! Messages that were taken out of a mailbox's queue and put back in front of it.

use crate::table::lock;
use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

pub(crate) struct Stash<M> {
    /// How many wait; read before every look into the queue.
    len: AtomicUsize,
    waiting: Mutex<VecDeque<M>>,
}

impl<M> Default for Stash<M> {
    fn default() -> Self {
        Self { len: AtomicUsize::new(0), waiting: Mutex::default() }
    }
}

impl<M> Stash<M> {
    /// The oldest; comes before all that is in the queue.
    pub(crate) fn pop(&self) -> Option<M> {
        if self.len.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut waiting = lock(&self.waiting);
        let message = waiting.pop_front();
        self.len.store(waiting.len(), Ordering::Release);
        message
    }

    /// What waits here, and behind it `queued`, becomes what `keep` likes of it. Returns the rest.
    pub(crate) fn keep(&self, queued: impl Iterator<Item = M>, mut keep: impl FnMut(&M) -> bool) -> Vec<M> {
        let mut all = std::mem::take(&mut *lock(&self.waiting));
        all.extend(queued);
        let (mut kept, mut rest) = (VecDeque::new(), Vec::new());
        for message in all {
            match keep(&message) {
                true => kept.push_back(message),
                false => rest.push(message),
            }
        }
        let mut waiting = lock(&self.waiting);
        waiting.extend(kept);
        self.len.store(waiting.len(), Ordering::Release);
        rest
    }
}
