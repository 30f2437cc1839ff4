//! Making a torrent file from content on disk: every core hashes.
//!
//! Reads the files once and writes nothing; where the torrent file goes is the caller's business. Needs no session.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use sha1::{Digest, Sha1};

use crate::protocol::{Draft, Layout, LayoutError, PieceIndex};
use crate::rt::files::DiskError;
use crate::rt::{given, spawn};

/// Read and hashed in one go: small enough to stay in the cache between the two.
const SLICE_BYTES: u64 = 256 << 10;

/// Why no torrent was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreateError {
    /// A file cannot be read, or became shorter meanwhile.
    Disk(DiskError),
    /// There is no such torrent: no bytes, or a piece length that cannot be.
    Layout(LayoutError),
    /// The path has no name, as `/` or `..`; give one.
    NoName {
        /// What was to be shared.
        path: PathBuf,
    },
}

impl fmt::Display for CreateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(error) => error.fmt(f),
            Self::Layout(error) => error.fmt(f),
            Self::NoName { path } => write!(f, "{} has no name that others could use; name a folder", path.display()),
        }
    }
}

impl std::error::Error for CreateError {}

/// How far it is; may be read while [`create`] runs.
#[derive(Debug, Default)]
pub struct CreateProgress {
    /// Bytes to be hashed; 0 until the files are known.
    pub total: AtomicU64,
    /// Bytes hashed.
    pub hashed: AtomicU64,
}

/// Makes the torrent file for the file or folder at `path`. Of `draft`, `files` is filled in here, `name` if it is empty, and
/// `piece_bytes` if it is 0.
pub async fn create(path: &Path, mut draft: Draft, progress: Arc<CreateProgress>) -> Result<Vec<u8>, CreateError> {
    if draft.name.is_empty() {
        draft.name = name_of(path)?;
    }
    let root = path.to_owned();
    draft.files = spawn::blocking(move || given::walk(&root)).await.map_err(CreateError::Disk)?;
    let lengths = || draft.files.iter().map(|(_, length)| *length);
    let total = lengths().fold(0u64, u64::saturating_add);
    if draft.piece_bytes == 0 {
        draft.piece_bytes = Draft::piece_bytes_for(total);
    }
    let layout = Layout::new(draft.piece_bytes, lengths()).map_err(CreateError::Layout)?;
    progress.total.store(total, Ordering::Relaxed);
    let work = Arc::new(Work { root: path.to_owned(), draft, layout, next: AtomicU32::new(0), progress });
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(work.layout.pieces() as usize);
    let done = (0..threads).map(|_| {
        let work = work.clone();
        spawn::blocking(move || work.hash_some())
    });
    let mut hashes = vec![[0; 20]; work.layout.pieces() as usize];
    for some in futures::future::join_all(done).await {
        for (piece, hash) in some.map_err(CreateError::Disk)? {
            hashes[piece.0 as usize] = hash;
        }
    }
    Ok(work.draft.encode(&hashes))
}

fn name_of(path: &Path) -> Result<String, CreateError> {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let name = whole.file_name().and_then(|name| name.to_str()).filter(|name| *name != "..");
    name.map(str::to_owned).ok_or_else(|| CreateError::NoName { path: path.to_owned() })
}

struct Work {
    root: PathBuf,
    draft: Draft,
    layout: Layout,
    /// The first piece that nobody has taken.
    next: AtomicU32,
    progress: Arc<CreateProgress>,
}

impl Work {
    /// Takes pieces until none is left, or one cannot be read: then the others stop too.
    fn hash_some(&self) -> Result<Vec<(PieceIndex, [u8; 20])>, DiskError> {
        let mut reader = given::Reader::new(&self.root);
        let mut slice = vec![0; SLICE_BYTES as usize];
        let mut hashes = Vec::new();
        loop {
            let piece = PieceIndex(self.next.fetch_add(1, Ordering::Relaxed));
            if piece.0 >= self.layout.pieces() {
                return Ok(hashes);
            }
            match self.hash(piece, &mut reader, &mut slice) {
                Ok(hash) => hashes.push((piece, hash)),
                Err(error) => {
                    self.next.store(self.layout.pieces(), Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
    }

    fn hash(&self, piece: PieceIndex, reader: &mut given::Reader, slice: &mut [u8]) -> Result<[u8; 20], DiskError> {
        let mut sha1 = Sha1::new();
        let (offset, length) = (self.layout.piece_offset(piece), u64::from(self.layout.piece_length(piece)));
        for range in self.layout.file_ranges(offset, length) {
            let mut done = 0;
            while done < range.length {
                let part = &mut slice[..(range.length - done).min(SLICE_BYTES) as usize];
                reader.read_at(&self.draft.files[range.file].0, range.offset + done, part)?;
                sha1.update(&*part);
                done += part.len() as u64;
            }
        }
        self.progress.hashed.fetch_add(length, Ordering::Relaxed);
        Ok(sha1.finalize().into())
    }
}
