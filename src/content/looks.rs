//! What is there of the files, and whether it is as we left it; which pieces are worth hashing.
//!
//! It hashes nothing but zeros, and changes nothing but empty files, which are whole when they are made.

use std::ops::Range;

use sha1::{Digest, Sha1};

use super::*;

impl Content {
    /// Takes the stamps of files of which nobody knows whether all that was written is on the disk.
    pub(crate) fn without_doubtful(&self, mut stamps: Vec<Option<Stamp>>) -> Vec<Option<Stamp>> {
        for (stamp, file) in stamps.iter_mut().zip(&self.files) {
            if file.as_ref().is_some_and(PooledFile::is_doubtful) {
                *stamp = None;
            }
        }
        stamps
    }

    /// How each file stands; `None` where there is none, and for pad files. An error when the download folder itself was deleted.
    pub(crate) fn stamps(&self) -> Result<Vec<Option<Stamp>>, DiskError> {
        self.each_file(|walk, _, file| Ok(file.find_in(walk)?.map(stamp_of)))
    }

    /// As [`stamps`](Self::stamps), but files that are not as we left them have none, and are noted in `lost`, once: what is opened next
    /// is what is there now.
    pub(crate) fn stamps_and_losses(&self, lost: &mut Vec<Loss>) -> Result<Vec<Option<Stamp>>, DiskError> {
        self.each_file(|walk, position, file| {
            let (found, standing) = file.look_back(walk, |walk| walk.find(file.components()))?;
            if standing == Standing::Lost {
                lost.push(Loss::of(position, file, found));
            }
            Ok(found.map(stamp_of).filter(|_| standing == Standing::AsLeft))
        })
    }

    pub(super) fn each_file<T>(
        &self,
        mut see: impl FnMut(&mut Walk<'_>, usize, &PooledFile) -> Result<Option<T>, DiskError>,
    ) -> Result<Vec<Option<T>>, DiskError> {
        self.folder.check_there()?;
        let mut walk = self.folder.walk();
        let mut see = |(position, file): (usize, &Option<PooledFile>)| match file {
            Some(file) => see(&mut walk, position, file),
            None => Ok(None),
        };
        self.files.iter().enumerate().map(&mut see).collect()
    }

    /// Makes the empty files that are wanted, and says which pieces may be on disk already: `known` ones, and those whose files reach
    /// far enough and hold something other than a hole there. Only these are worth hashing. `stamps`: how the files stand.
    pub(crate) fn survey(
        &self,
        metainfo: &Metainfo,
        stamps: &[Option<Stamp>],
        known: Option<&Bitfield>,
    ) -> Result<Bitfield, DiskError> {
        self.make_empty_files(stamps)?;
        let mut present = Vec::with_capacity(self.files.len());
        for (position, (file, length)) in self.files.iter().zip(&self.lengths).enumerate() {
            if file.is_none() {
                present.push(*length);
                continue;
            }
            present.push(stamps.get(position).copied().flatten().map_or(0, |found| found.length));
        }
        let (mut zeros, mut holes) = (Zeros::default(), Holes::default());
        let mut maybe = known.cloned().unwrap_or_else(|| Bitfield::new(self.layout.pieces()));
        for piece in (0..self.layout.pieces()).map(PieceIndex) {
            let length = self.layout.piece_length(piece);
            let ranges = || self.layout.file_ranges(self.layout.piece_offset(piece), u64::from(length));
            if !ranges().all(|r| present.get(r.file).is_some_and(|p| *p >= r.offset + r.length)) {
                // Whatever a record says: it was written while this file had no stamp.
                maybe.clear(piece.0);
                continue;
            }
            if maybe.get(piece.0) {
                continue;
            }
            let mut hole = true;
            for range in ranges() {
                hole = hole && holes.covers(&self.files, range)?;
            }
            if !hole || zeros.hash(length).as_ref() == Some(metainfo.hashes.get(piece)) {
                maybe.set(piece.0);
            }
        }
        Ok(maybe)
    }

    /// Those that are wanted and not there.
    pub(super) fn make_empty_files(&self, stamps: &[Option<Stamp>]) -> Result<(), DiskError> {
        let empty = self.files.iter().enumerate().filter(|(position, _)| self.lengths[*position] == 0);
        let mut missing =
            empty.filter(|(position, _)| stamps[*position].is_none() && self.selection.wants_file(*position));
        missing.try_for_each(|(_, file)| file.as_ref().map_or(Ok(()), PooledFile::create))
    }
}

/// A file that is not as we left it.
#[derive(Debug)]
pub(crate) struct Loss {
    /// Its position.
    pub(crate) file: usize,
    pub(crate) error: DiskError,
}

impl Loss {
    pub(super) fn of(position: usize, file: &PooledFile, found: Option<Found>) -> Self {
        let fault = if found.is_some() { DiskFault::Changed } else { DiskFault::Vanished };
        Self { file: position, error: DiskError { doing: "trust", path: file.path(), fault } }
    }
}

pub(super) fn stamp_of(found: Found) -> Stamp {
    Stamp { length: found.length(), modified: found.modified() }
}

/// Where the data of a file is, found out once per run of it and not once per piece.
#[derive(Default)]
struct Holes {
    /// Of this file, from `from` on, the first bytes that are not in a hole; an empty range when there are none.
    file: Option<usize>,
    from: u64,
    data: Range<u64>,
}

impl Holes {
    /// True when every byte of `range` lies in a hole (and so reads as zero), or in a pad file.
    fn covers(&mut self, files: &[Option<PooledFile>], range: FileRange) -> Result<bool, DiskError> {
        let Some(Some(file)) = files.get(range.file) else { return Ok(true) };
        let end = range.offset + range.length;
        if self.file != Some(range.file) || range.offset < self.from || range.offset >= self.data.end {
            self.data = file.next_data(range.offset)?.unwrap_or(u64::MAX..u64::MAX);
            (self.file, self.from) = (Some(range.file), range.offset);
        }
        Ok(end <= self.data.start)
    }
}

/// The hash of a piece that is all zeros, computed once per length.
#[derive(Default)]
struct Zeros {
    known: Option<(u32, [u8; 20])>,
}

impl Zeros {
    fn hash(&mut self, length: u32) -> Option<[u8; 20]> {
        if self.known.is_none_or(|(of, _)| of != length) {
            let mut sha1 = Sha1::new();
            let block = [0; 16384];
            let mut left = length as usize;
            while left > 0 {
                let now = left.min(block.len());
                sha1.update(&block[..now]);
                left -= now;
            }
            self.known = Some((length, sha1.finalize().into()));
        }
        self.known.map(|(_, hash)| hash)
    }
}
