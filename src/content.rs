//! A torrent's content: one range of bytes laid over its files, read and written by position.
//!
//! Sits between the workers of `storage_sup` and `rt::files`. All calls block. It checks no hash and knows no process;
//! pad files (BEP 47) are zeros that are never on disk. A file that nobody wants is left as it is, but for the parts of it that share a
//! piece with a wanted one: these are written, and make the file if there is none. `looks` is about what is there, and whether it is as we
//! left it, `names` about what a file is called while it is not whole, `room` about room for what is still to come.

mod looks;
mod names;
mod room;

use std::io::{IoSlice, IoSliceMut};
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use crate::hashing::Source;
use crate::protocol::metainfo::PartNames;
use crate::protocol::resume::Stamp;
use crate::protocol::{Bitfield, FileRange, Layout, Metainfo, PieceIndex, Selection};
use crate::rt::files::{DiskError, DiskFault, FilePool, Folder, Found, NewName, PooledFile, Standing, Walk};
pub(crate) use looks::Loss;
use looks::stamp_of;

/// The files of one torrent.
#[derive(Debug)]
pub(crate) struct Content {
    layout: Layout,
    folder: Arc<Folder>,
    /// `None` for a pad file.
    files: Vec<Option<PooledFile>>,
    lengths: Vec<u64>,
    selection: Selection,
    parts: PartNames,
    /// What a file is called at first.
    new: NewName,
}

impl Content {
    /// Opens (or makes) the download folder `dir`; touches none of the files. `Err` also when a file that is not whole could not
    /// be written: better now than when the first piece has come. `new`: what a file is called as long as it is not whole.
    pub(crate) fn open(
        metainfo: &Metainfo,
        selection: &Selection,
        dir: &Path,
        pool: &Arc<FilePool>,
        new: NewName,
    ) -> Result<Self, DiskError> {
        let content = Self::below(Folder::open(dir)?, metainfo, selection.clone(), pool, new);
        let mut walk = content.folder.walk();
        for (position, file) in content.touched() {
            let (length, wanted) = (content.lengths[position], selection.wants_file(position));
            let found = content.find_name(&mut walk, position, file)?.0.map(|found| found.length());
            match found {
                None => walk.check_makeable(file.components())?,
                Some(found) if found < length => content.folder.check_writable(file.components())?,
                Some(_) => {}
            }
            if let Some(found) = found.filter(|found| *found > length && wanted) {
                let path = file.path();
                let path = path.display();
                log::warn!("{path} has {found} bytes and the torrent says {length}: it will be cut when it is whole");
            }
        }
        drop(walk);
        Ok(content)
    }

    /// The files below `dir`, which has to be there, to be read and nothing else.
    pub(crate) fn open_to_read(metainfo: &Metainfo, dir: &Path, pool: &Arc<FilePool>) -> Result<Self, DiskError> {
        let (folder, all) = (Folder::open_existing(dir)?, Selection::all(&metainfo.layout));
        let content = Self::below(folder, metainfo, all, pool, NewName::Own);
        content.find_names(&mut Vec::new())?;
        Ok(content)
    }

    fn below(
        folder: Arc<Folder>,
        metainfo: &Metainfo,
        selection: Selection,
        pool: &Arc<FilePool>,
        new: NewName,
    ) -> Self {
        let file = |f: &crate::protocol::metainfo::File| (!f.pad).then(|| pool.file(&folder, f.path.clone()));
        Self {
            layout: metainfo.layout.clone(),
            files: metainfo.files.iter().map(file).collect(),
            folder,
            lengths: metainfo.files.iter().map(|f| f.length).collect(),
            selection,
            parts: PartNames::new(&metainfo.files),
            new,
        }
    }

    /// The files that are written to, all or at their edges, with their positions.
    fn touched(&self) -> impl Iterator<Item = (usize, &PooledFile)> {
        let files = self.files.iter().enumerate().filter_map(|(position, file)| Some((position, file.as_ref()?)));
        files.filter(|(position, _)| self.selection.touches_file(&self.layout, *position))
    }

    /// Waits until everything written so far is on the disk itself.
    pub(crate) fn sync_written(&self) -> Result<(), DiskError> {
        self.files.iter().flatten().try_for_each(PooledFile::sync_written)
    }

    /// Writes `slices`, one after the other, from `offset` on.
    pub(crate) fn write(&self, offset: u64, slices: &[&[u8]]) -> Result<(), DiskError> {
        let length = slices.iter().map(|s| s.len() as u64).sum();
        let mut rest = slices.iter().copied();
        let mut part: &[u8] = &[];
        for range in self.layout.file_ranges(offset, length) {
            let mut left = range.length as usize;
            let mut io = Vec::with_capacity(slices.len());
            while left > 0 {
                if part.is_empty() {
                    let Some(next) = rest.next() else { break };
                    part = next;
                }
                let (now, later) = part.split_at(part.len().min(left));
                io.push(IoSlice::new(now));
                left -= now.len();
                part = later;
            }
            if let Some(Some(file)) = self.files.get(range.file) {
                file.write_at(range.offset, &mut io)?;
            }
        }
        Ok(())
    }

    /// Fills `buffers`, one after the other, from `offset` on. Pad files read as zeros.
    pub(crate) fn read<'a>(&self, offset: u64, buffers: impl Iterator<Item = &'a mut [u8]>) -> Result<(), DiskError> {
        let mut buffers: Vec<_> = buffers.map(IoSliceMut::new).collect();
        let length = buffers.iter().map(|b| b.len() as u64).sum();
        let mut ranges = self.layout.file_ranges(offset, length);
        // Nearly always all of it lies in one file.
        if let Some(only) = ranges.next().filter(|range| range.length == length)
            && let Some(Some(file)) = self.files.get(only.file)
        {
            return file.read_at(only.offset, &mut buffers);
        }
        let mut buffers: Vec<&mut [u8]> = buffers.iter_mut().rev().map(|buffer| &mut buffer[..]).collect();
        for range in self.layout.file_ranges(offset, length) {
            let mut left = range.length as usize;
            let mut io = Vec::with_capacity(buffers.len());
            while left > 0
                && let Some(buffer) = buffers.pop()
            {
                let (now, later) = buffer.split_at_mut(buffer.len().min(left));
                left -= now.len();
                io.push(now);
                if !later.is_empty() {
                    buffers.push(later);
                }
            }
            match self.files.get(range.file) {
                Some(Some(file)) => {
                    let mut io: Vec<_> = io.into_iter().map(IoSliceMut::new).collect();
                    file.read_at(range.offset, &mut io)?;
                }
                _ => io.into_iter().for_each(|zeros| zeros.fill(0)),
            }
        }
        Ok(())
    }

    /// These bytes will be read soon: the disk may begin.
    pub(crate) fn expect(&self, offset: u64, length: u64) {
        for range in self.layout.file_ranges(offset, length) {
            if let Some(Some(file)) = self.files.get(range.file) {
                file.expect(range.offset, range.length);
            }
        }
    }

    /// Whether `piece` (`None`: anything) could be written, and how many bytes are free then.
    pub(crate) fn room(&self, piece: Option<PieceIndex>) -> Option<u64> {
        self.folder.check_there().ok()?;
        let range = piece.map(|piece| (self.layout.piece_offset(piece), u64::from(self.layout.piece_length(piece))));
        for range in range.into_iter().flat_map(|(offset, length)| self.layout.file_ranges(offset, length)) {
            if let Some(Some(file)) = self.files.get(range.file) {
                self.folder.check_writable(file.components()).ok()?;
            }
        }
        self.folder.free_bytes().ok()
    }

    /// The download folder by its path, where another one may be by now; that one is taken when it holds a file that was in the old one,
    /// or there was none. Then nothing is known of what is in it: an error that says so.
    pub(crate) fn find_again(&self) -> Result<(), DiskError> {
        let mut known = self.files.iter().flatten().filter(|file| file.was_there()).peekable();
        let ours = |there: &Folder| {
            known.peek().is_none() || known.any(|file| there.find(file.components()).is_ok_and(|found| found.is_some()))
        };
        if !self.folder.find_again(ours) {
            return Ok(());
        }
        self.files.iter().flatten().for_each(PooledFile::forget);
        Err(DiskError { doing: "go on in", path: self.folder.path().to_owned(), fault: DiskFault::FolderReplaced })
    }

    /// Which file of the torrent is at this path.
    pub(crate) fn file_at(&self, path: &Path) -> Option<usize> {
        self.files.iter().position(|file| file.as_ref().is_some_and(|file| file.is_at(path)))
    }

    /// Cuts wanted files that are longer than the torrent says (left over from something else) to their length, and gives all that are
    /// whole their own names. `have`: the finished pieces, among them all that are wanted. Does nothing when files are not as we left
    /// them, which are noted in `lost`.
    pub(crate) fn trim(&self, have: &Bitfield, lost: &mut Vec<Loss>) -> Result<(), DiskError> {
        let stamps = self.stamps_and_losses(lost)?;
        if !lost.is_empty() {
            return Ok(());
        }
        self.make_empty_files(&stamps)?;
        for (position, file) in self.touched().filter(|(position, _)| self.layout.is_whole(*position, have)) {
            self.end(position, file, stamps[position].map(|stamp| stamp.length))?;
        }
        Ok(())
    }

    /// Waits until everything written is on the disk itself, and closes the files.
    pub(crate) fn close(&self) {
        for file in self.files.iter().flatten() {
            file.close();
        }
    }
}

impl<C: Deref<Target = Content>> Source for C {
    type Error = DiskError;

    fn read<'a>(&mut self, offset: u64, buffers: impl Iterator<Item = &'a mut [u8]>) -> Result<(), DiskError> {
        Content::read(self, offset, buffers)
    }

    fn expect(&mut self, offset: u64, length: u64) {
        Content::expect(self, offset, length);
    }
}

#[cfg(test)]
mod tests;
