//! Hashes all pieces of a content that lies on disk, on every core.
//!
//! For making and checking torrents without a session. It knows neither files nor what the hashes ought to be.

mod batch;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::protocol::{Lanes, Layout, PieceIndex};
use crate::rt::spawn;

pub(crate) use batch::{Batch, Source};

/// Of a piece, read and hashed in one go: those of all pieces of a batch stay in the cache between the two.
const SLICE_BYTES: usize = 64 << 10;

/// How far [`create`](crate::create()) or [`check`](crate::check()) is; may be read while it runs.
#[derive(Debug, Default)]
pub struct HashProgress {
    /// Bytes to be hashed; 0 until that is known.
    pub total: AtomicU64,
    /// Bytes hashed, or found to be missing.
    pub hashed: AtomicU64,
}

/// What to do about a piece that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnError {
    /// Nothing is worth anything then.
    Stop,
    /// It has no hash; the others do.
    GoOn,
}

/// The hash of every piece, or why it has none. `source` makes one for each thread. With [`OnError::Stop`] there may be fewer than all, an
/// error among them.
pub(crate) async fn hash_all<S: Source<Error: Send> + Send + 'static>(
    layout: &Layout,
    progress: &Arc<HashProgress>,
    on_error: OnError,
    source: impl Fn() -> S,
) -> Vec<(PieceIndex, Result<[u8; 20], S::Error>)> {
    progress.total.store(layout.total_bytes(), Ordering::Relaxed);
    let pieces = layout.pieces();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(pieces as usize) as u32;
    // What a thread takes at once: few pieces are divided evenly.
    let some = pieces.div_ceil(threads).min(Lanes::width() as u32);
    let next = Arc::new(AtomicU32::new(0));
    let threads = (0..threads).map(|_| {
        let (layout, progress, next, mut source) = (layout.clone(), progress.clone(), next.clone(), source());
        spawn::blocking(move || {
            let mut hashes = Vec::new();
            let mut memory: Vec<_> = (0..some).map(|_| vec![0; SLICE_BYTES]).collect();
            loop {
                let first = next.fetch_add(some, Ordering::Relaxed).min(pieces);
                let mut mine = (first..pieces.min(first + some)).map(PieceIndex).peekable();
                if mine.peek().is_none() {
                    return hashes;
                }
                while let Some(mut batch) = Batch::next(&layout, &mut mine, some as usize) {
                    while !batch.is_done() {
                        progress.hashed.fetch_add(batch.advance(&mut source, &mut memory), Ordering::Relaxed);
                    }
                    for (piece, hash) in batch.finish() {
                        if hash.is_err() && on_error == OnError::Stop {
                            next.store(pieces, Ordering::Relaxed);
                        }
                        hashes.push((piece, hash));
                    }
                }
            }
        })
    });
    futures::future::join_all(threads).await.into_iter().flatten().collect()
}
