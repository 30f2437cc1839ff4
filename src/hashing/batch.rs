//! Pieces of one length that lie on disk, hashed side by side: a slice of each is read, then all slices are hashed.
//!
//! For `create` and `check`, and for the check at the start of a download. It opens no file and knows no right hash; how much is done at
//! a time, and where the memory comes from, is the caller's business. A piece that cannot be read leaves the others as they are.

use std::iter::Peekable;
use std::ops::DerefMut;

use crate::protocol::{Lanes, Layout, PieceIndex};

/// Of each piece, so many bytes are announced to the disk at once, in their order in the content: 16 places that are read in turn would
/// cost a hard disk a seek for each slice.
const AHEAD_BYTES: u32 = 1 << 20;

/// Where the bytes of a content come from. Blocks.
pub(crate) trait Source {
    type Error;

    /// Fills `buffers`, one after the other, from `offset` in the content on.
    fn read<'a>(&mut self, offset: u64, buffers: impl Iterator<Item = &'a mut [u8]>) -> Result<(), Self::Error>;

    /// `length` bytes from `offset` on will be read soon: the disk may begin.
    fn expect(&mut self, offset: u64, length: u64);
}

/// Pieces of one length, as far as they are hashed.
pub(crate) struct Batch<E> {
    layout: Layout,
    /// And why it cannot be read, once that is known.
    pieces: Vec<(PieceIndex, Option<E>)>,
    lanes: Lanes,
    /// Bytes of each piece: all, hashed so far, announced so far.
    length: u32,
    done: u32,
    expected: u32,
}

impl<E> Batch<E> {
    /// Takes from the front of `pieces` those that are as long as the first, at most `most` and as many as this processor hashes at
    /// once. `None`: there are no more.
    pub(crate) fn next(
        layout: &Layout,
        pieces: &mut Peekable<impl Iterator<Item = PieceIndex>>,
        most: usize,
    ) -> Option<Self> {
        let first = pieces.next()?;
        let length = layout.piece_length(first);
        let more = std::iter::from_fn(|| pieces.next_if(|piece| layout.piece_length(*piece) == length));
        let more = more.take(most.min(Lanes::width()).saturating_sub(1));
        let pieces: Vec<_> = std::iter::once(first).chain(more).map(|piece| (piece, None)).collect();
        let lanes = Lanes::new(pieces.len());
        Some(Self { layout: layout.clone(), pieces, lanes, length, done: 0, expected: 0 })
    }

    pub(crate) fn pieces(&self) -> impl Iterator<Item = PieceIndex> {
        self.pieces.iter().map(|(piece, _)| *piece)
    }

    /// Reads and hashes the next bytes of every piece, as many as `memory` holds: at least one buffer, all of one length, a multiple of
    /// 1 KiB. How many bytes that was, of all pieces together.
    pub(crate) fn advance<S: Source<Error = E>>(
        &mut self,
        source: &mut S,
        memory: &mut [impl DerefMut<Target = [u8]>],
    ) -> u64 {
        if self.pieces.iter().all(|(_, failed)| failed.is_some()) {
            return self.skip(self.length - self.done);
        }
        if self.done == self.expected {
            self.expect(source);
        }
        // With fewer buffers than pieces, each buffer is for several.
        let cuts = self.pieces.len().div_ceil(memory.len().max(1)).next_power_of_two();
        let buffer = memory.first().map_or(0, |buffer| buffer.len()) / cuts;
        let mut memory: Vec<&mut [u8]> = memory.iter_mut().flat_map(|memory| memory.chunks_mut(buffer)).collect();
        let each = memory.len() / self.pieces.len();
        let now = (each * buffer).min((self.expected - self.done) as usize);
        let parts = |n: usize| now.saturating_sub(n * buffer).min(buffer);
        for ((piece, failed), memory) in self.pieces.iter_mut().zip(memory.chunks_mut(each)) {
            if failed.is_none() {
                let offset = self.layout.piece_offset(*piece) + u64::from(self.done);
                let buffers = memory.iter_mut().enumerate().map(|(n, buffer)| &mut buffer[..parts(n)]);
                *failed = source.read(offset, buffers.filter(|buffer| !buffer.is_empty())).err();
            }
        }
        for n in 0..now.div_ceil(buffer) {
            let slices: Vec<&[u8]> = (0..self.pieces.len()).map(|lane| &memory[lane * each + n][..parts(n)]).collect();
            self.lanes.update(&slices);
        }
        self.skip(now as u32)
    }

    /// Every piece is hashed, or cannot be.
    pub(crate) fn is_done(&self) -> bool {
        self.done == self.length
    }

    fn skip(&mut self, bytes: u32) -> u64 {
        self.done += bytes;
        u64::from(bytes) * self.pieces.len() as u64
    }

    /// Pieces that follow each other, and are announced whole, are announced as one.
    fn expect(&mut self, source: &mut impl Source) {
        let (from, to) = (self.done, self.length.min(self.done.saturating_add(AHEAD_BYTES)));
        self.expected = to;
        let ranges = self.pieces.iter().filter(|(_, failed)| failed.is_none()).map(|(piece, _)| {
            let offset = self.layout.piece_offset(*piece);
            offset + u64::from(from)..offset + u64::from(to)
        });
        let mut ranges = ranges.peekable();
        while let Some(mut range) = ranges.next() {
            while let Some(next) = ranges.next_if(|next| next.start == range.end) {
                range.end = next.end;
            }
            source.expect(range.start, range.end - range.start);
        }
    }

    /// The hash of each piece, or why it could not be read. To be called when [all are done](Self::is_done).
    pub(crate) fn finish(self) -> impl Iterator<Item = (PieceIndex, Result<[u8; 20], E>)> {
        let hashed = self.pieces.into_iter().zip(self.lanes.finish());
        hashed.map(|((piece, failed), hash)| (piece, failed.map_or(Ok(hash), Err)))
    }
}

#[cfg(test)]
mod tests;
