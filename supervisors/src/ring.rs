//! A queue that never makes its writer wait: when it is full, the oldest is lost, and counted.

use crate::table::lock;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

/// What waits for one reader, at most.
pub(crate) const LENGTH: usize = 4096;

struct Queue<T> {
    waiting: VecDeque<T>,
    missed: u64,
    closed: bool,
}

pub(crate) struct Ring<T> {
    queue: Mutex<Queue<T>>,
    signal: flume::Sender<()>,
}

/// The reading end; there is one.
pub(crate) struct Reader<T> {
    ring: Arc<Ring<T>>,
    signal: flume::Receiver<()>,
}

/// `closed`: nothing will be written.
pub(crate) fn ring<T>(closed: bool) -> (Arc<Ring<T>>, Reader<T>) {
    let (signal, heard) = flume::bounded(1);
    let queue = Queue { waiting: VecDeque::new(), missed: 0, closed };
    let ring = Arc::new(Ring { queue: Mutex::new(queue), signal });
    (ring.clone(), Reader { ring, signal: heard })
}

impl<T> Ring<T> {
    /// `last`: the reader hears the end after it.
    pub(crate) fn push(&self, item: T, last: bool) {
        let lost = {
            let mut queue = lock(&self.queue);
            let full = queue.waiting.len() >= LENGTH;
            let lost = full.then(|| queue.waiting.pop_front());
            queue.missed += u64::from(full);
            queue.waiting.push_back(item);
            queue.closed |= last;
            lost
        };
        drop(lost);
        // Full: the reader has been told already.
        self.signal.try_send(()).ok();
    }

    /// Puts `past` before what waits, of which only what `keep` likes stays.
    pub(crate) fn prepend(&self, past: Vec<T>, keep: impl Fn(&T) -> bool) {
        let mut queue = lock(&self.queue);
        queue.waiting.retain(keep);
        past.into_iter().rev().for_each(|item| queue.waiting.push_front(item));
    }
}

impl<T> Reader<T> {
    /// `None`: closed, and all has been read.
    pub(crate) async fn recv(&self) -> Option<T> {
        loop {
            let closed = {
                let mut queue = lock(&self.ring.queue);
                if let Some(item) = queue.waiting.pop_front() {
                    return Some(item);
                }
                queue.closed
            };
            if closed {
                return None;
            }
            self.signal.recv_async().await.ok()?;
        }
    }

    pub(crate) fn try_recv(&self) -> Option<T> {
        lock(&self.ring.queue).waiting.pop_front()
    }

    pub(crate) fn missed(&self) -> u64 {
        lock(&self.ring.queue).missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_lost_and_counted_and_the_past_comes_first() {
        let (ring, reader) = ring(false);
        (0..LENGTH + 2).for_each(|n| ring.push(n, false));
        assert_eq!((reader.missed(), reader.try_recv()), (2, Some(2)));
        ring.prepend(vec![10_000, 10_001], |n| *n > LENGTH);
        let rest: Vec<usize> = std::iter::from_fn(|| reader.try_recv()).collect();
        assert_eq!(rest, [10_000, 10_001, LENGTH + 1]);
    }
}
