//! Making a torrent file from content on disk: every core hashes.
//!
//! Reads the files once and writes nothing; where the torrent file goes is the caller's business. Needs no session.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::hashing::{HashProgress, OnError, Source, hash_all};
use crate::protocol::{Draft, Layout, LayoutError};
use crate::rt::files::DiskError;
use crate::rt::{given, spawn};

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

/// Makes the torrent file for the file or folder at `path`. Of `draft`, `files` is filled in here, `name` if it is empty, and
/// `piece_bytes` if it is 0.
pub async fn create(path: &Path, mut draft: Draft, progress: Arc<HashProgress>) -> Result<Vec<u8>, CreateError> {
    if draft.name.is_empty() {
        draft.name = name_of(path)?;
    }
    let walked = path.to_owned();
    draft.files = spawn::blocking(move || given::walk(&walked)).await.map_err(CreateError::Disk)?;
    let lengths = || draft.files.iter().map(|(_, length)| *length);
    let total = lengths().fold(0u64, u64::saturating_add);
    if draft.piece_bytes == 0 {
        draft.piece_bytes = Draft::piece_bytes_for(total);
    }
    let layout = Layout::new(draft.piece_bytes, lengths()).map_err(CreateError::Layout)?;
    let files = Arc::new(std::mem::take(&mut draft.files));
    let given = || Given { layout: layout.clone(), reader: given::Reader::new(path, &files) };
    let mut hashes = vec![[0; 20]; layout.pieces() as usize];
    for (piece, hash) in hash_all(&layout, &progress, OnError::Stop, given).await {
        hashes[piece.0 as usize] = hash.map_err(CreateError::Disk)?;
    }
    draft.files = files.to_vec();
    Ok(draft.encode(&hashes))
}

/// The files that were found, read as one content.
struct Given {
    layout: Layout,
    reader: given::Reader,
}

impl Source for Given {
    type Error = DiskError;

    fn read<'a>(&mut self, mut offset: u64, buffers: impl Iterator<Item = &'a mut [u8]>) -> Result<(), DiskError> {
        for mut buffer in buffers {
            for range in self.layout.file_ranges(offset, buffer.len() as u64) {
                let (now, later) = buffer.split_at_mut(range.length as usize);
                self.reader.read_at(range.file, range.offset, now)?;
                offset += range.length;
                buffer = later;
            }
        }
        Ok(())
    }

    fn expect(&mut self, offset: u64, length: u64) {
        for range in self.layout.file_ranges(offset, length) {
            self.reader.expect(range.file, range.offset, range.length);
        }
    }
}

fn name_of(path: &Path) -> Result<String, CreateError> {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let name = whole.file_name().and_then(|name| name.to_str()).filter(|name| *name != "..");
    name.map(str::to_owned).ok_or_else(|| CreateError::NoName { path: path.to_owned() })
}
