//! How many requests may hold a thread of the blocking pool at once.
//!
//! A hundred torrents with dozens of dead trackers each must not take all of the pool: the rest of the program needs it
//! too. Those without a permit wait for one, within their own time limit.

use std::sync::{Arc, OnceLock};

/// Half of the pool's threads.
const AT_ONCE: usize = 256;

/// A number of permits, free or taken. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Permits {
    free: flume::Receiver<()>,
    give_back: flume::Sender<()>,
}

/// Given back when the last clone is dropped: when the blocking thread is done, however long the asker has been gone.
#[derive(Debug, Clone)]
pub(super) struct Permit {
    _held: Arc<Held>,
}

#[derive(Debug)]
struct Held(flume::Sender<()>);

impl Permits {
    /// Those that all requests of this OS process share.
    pub(super) fn shared() -> &'static Self {
        static SHARED: OnceLock<Permits> = OnceLock::new();
        SHARED.get_or_init(|| Self::new(AT_ONCE))
    }

    fn new(count: usize) -> Self {
        let (give_back, free) = flume::bounded(count);
        for _ in 0..count {
            let _ = give_back.try_send(());
        }
        Self { free, give_back }
    }

    /// Waits for a free one. Dropping the future loses none.
    pub(super) async fn take(&self) -> Permit {
        // Cannot fail: `self` has a sender.
        let _ = self.free.recv_async().await;
        Permit { _held: Arc::new(Held(self.give_back.clone())) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.try_send(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::spawn::block_on;
    use futures::FutureExt;

    #[test]
    fn the_last_permit_is_waited_for_and_comes_back_with_its_last_clone() {
        let permits = Permits::new(2);
        let _one = permits.take().now_or_never().unwrap();
        let two = permits.take().now_or_never().unwrap();
        let clone = two.clone();
        drop(two);
        assert!(permits.take().now_or_never().is_none(), "a clone still holds it");
        drop(clone);
        assert!(permits.take().now_or_never().is_some());
        assert!(permits.take().now_or_never().is_some(), "the one before was dropped at once");
    }

    #[test]
    fn waiting_in_vain_loses_no_permit() {
        block_on(async {
            let permits = Permits::new(1);
            for _ in 0..100 {
                let held = permits.take().await;
                let mut given_up = Box::pin(permits.take());
                assert!(futures::poll!(&mut given_up).is_pending());
                drop(held);
                drop(given_up);
            }
            permits.take().await;
        });
    }
}
