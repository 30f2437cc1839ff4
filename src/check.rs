//! What of a torrent's content is on disk, found out by hashing: every core hashes, nothing is changed.
//!
//! Needs no session. A download checks by itself when it starts.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use crate::content::Content;
use crate::hashing::{HashProgress, OnError, hash_all};
use crate::protocol::{Bitfield, Metainfo};
use crate::rt::files::{DiskError, FilePool};
use crate::rt::spawn;

/// Files kept open at most.
const OPEN_FILES: usize = 256;

/// How one file stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileState {
    /// Every piece that has a part in it is right.
    Whole,
    /// As whole, and the file goes on after its end.
    TooLong {
        /// Bytes that it has.
        found: u64,
    },
    /// Every piece is right, and the file still has the name of one that is not whole: `bt-erl run` ended before it could rename it.
    PartName {
        /// The name that it has.
        name: String,
    },
    /// Some pieces are missing or wrong.
    Partial {
        /// Pieces that are right.
        right: u32,
        /// Pieces that have a part in it.
        of: u32,
    },
    /// It is not there.
    Missing,
    /// It is there, and the operating system or the disk does not let it be read.
    Unreadable {
        /// What was answered, and what to do.
        error: DiskError,
    },
}

/// One file of the torrent, pad files left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedFile {
    /// Components below the download folder.
    pub path: Vec<String>,
    /// Bytes that the torrent says.
    pub length: u64,
    /// What was found.
    pub state: FileState,
}

/// Hashes what lies below `dir`: the pieces that are right, and what that means for each file.
pub async fn check(
    metainfo: &Metainfo,
    dir: &Path,
    progress: Arc<HashProgress>,
) -> Result<(Bitfield, Vec<CheckedFile>), DiskError> {
    let content = {
        let (metainfo, dir) = (metainfo.clone(), dir.to_owned());
        let pool = FilePool::new(OPEN_FILES);
        spawn::blocking(move || Content::open_to_read(&metainfo, &dir, &pool)).await?
    };
    let content = Arc::new(content);
    let layout = &metainfo.layout;
    let mut right = Bitfield::new(layout.pieces());
    let mut unreadable = HashMap::new();
    for (piece, hash) in hash_all(layout, &progress, OnError::GoOn, || content.clone()).await {
        match hash {
            Ok(hash) if hash == *metainfo.hashes.get(piece) => _ = right.set(piece.0),
            // Missing, or too short: the stamps say so.
            Err(error) if !error.content_lost() && !unreadable.contains_key(&error.path) => {
                unreadable.insert(error.path.clone(), error);
            }
            Ok(_) | Err(_) => {}
        }
    }
    let mut unreadable: HashMap<usize, DiskError> =
        unreadable.into_values().filter_map(|error| Some((content.file_at(&error.path)?, error))).collect();
    let stamps = {
        let content = content.clone();
        spawn::blocking(move || content.stamps()).await?
    };
    let files = metainfo.files.iter().zip(stamps).enumerate().filter(|(_, (file, _))| !file.pad);
    let files = files.map(|(number, (file, found))| {
        let pieces = layout.pieces_of_file(number);
        let (of, good) = (pieces.len() as u32, pieces.filter(|piece| right.get(*piece)).count() as u32);
        let state = match found {
            None => FileState::Missing,
            Some(_) if let Some(error) = unreadable.remove(&number) => FileState::Unreadable { error },
            Some(_) if good < of => FileState::Partial { right: good, of },
            Some(_) if let Some(name) = content.part_name(number) => FileState::PartName { name: name.to_owned() },
            Some(found) if found.length > file.length => FileState::TooLong { found: found.length },
            Some(_) => FileState::Whole,
        };
        CheckedFile { path: file.path.clone(), length: file.length, state }
    });
    let files = files.collect();
    Ok((right, files))
}
