//! Hashes all pieces of a content that lies on disk, on every core.
//!
//! For making and checking torrents without a session. It knows neither files nor what the hashes ought to be.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use sha1::{Digest, Sha1};

use crate::protocol::{Layout, PieceIndex};
use crate::rt::spawn;

/// Read and hashed in one go: small enough to stay in the cache between the two.
const SLICE_BYTES: u64 = 256 << 10;

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

/// The hash of every piece, or why it has none. `reader` makes a function for each thread that fills a buffer from an offset in the
/// content. With [`OnError::Stop`] there may be fewer than all, an error among them.
pub(crate) async fn hash_all<R, E>(
    layout: &Layout,
    progress: &Arc<HashProgress>,
    on_error: OnError,
    reader: impl Fn() -> R,
) -> Vec<(PieceIndex, Result<[u8; 20], E>)>
where
    R: FnMut(u64, &mut [u8]) -> Result<(), E> + Send + 'static,
    E: Send + 'static,
{
    progress.total.store(layout.total_bytes(), Ordering::Relaxed);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(layout.pieces() as usize);
    let next = Arc::new(AtomicU32::new(0));
    let some = (0..threads).map(|_| {
        let (layout, progress, next, mut reader) = (layout.clone(), progress.clone(), next.clone(), reader());
        spawn::blocking(move || {
            let (mut hashes, mut slice) = (Vec::new(), vec![0; SLICE_BYTES as usize]);
            loop {
                let piece = PieceIndex(next.fetch_add(1, Ordering::Relaxed));
                if piece.0 >= layout.pieces() {
                    return hashes;
                }
                let hash = hash(&layout, piece, &mut reader, &mut slice);
                if hash.is_err() && on_error == OnError::Stop {
                    next.store(layout.pieces(), Ordering::Relaxed);
                }
                progress.hashed.fetch_add(layout.piece_length(piece).into(), Ordering::Relaxed);
                hashes.push((piece, hash));
            }
        })
    });
    futures::future::join_all(some).await.into_iter().flatten().collect()
}

fn hash<E>(
    layout: &Layout,
    piece: PieceIndex,
    reader: &mut impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    slice: &mut [u8],
) -> Result<[u8; 20], E> {
    let (offset, length) = (layout.piece_offset(piece), u64::from(layout.piece_length(piece)));
    let (mut sha1, mut done) = (Sha1::new(), 0);
    while done < length {
        let part = &mut slice[..(length - done).min(SLICE_BYTES) as usize];
        reader(offset + done, part)?;
        sha1.update(&*part);
        done += part.len() as u64;
    }
    Ok(sha1.finalize().into())
}
