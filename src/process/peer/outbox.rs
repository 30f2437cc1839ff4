//! What waits to be written to one socket: small messages packed together, blocks by reference.
//!
//! Part of `peer`. Messages go before answers that have not begun, so that a request never waits behind a megabyte of upload;
//! answers keep their order. It knows no message's meaning. What it holds is bounded by its user: `connection` reads no
//! more requests and no more blocks while much is waiting.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::io::AsyncWrite;

use crate::protocol::wire::{self, BLOCK_HEADER_BYTES};
use crate::protocol::{BLOCK_BYTES, BlockRange, Message};
use crate::rt::blocks::Block;
use crate::rt::net::Socket;

/// Parts given to one write.
const SLICES: usize = 64;

/// The answer to one request.
struct Answer {
    range: BlockRange,
    header: [u8; BLOCK_HEADER_BYTES],
    /// The bytes of the range, in buffers of 16 KiB. Nearly every request is for one block, and needs no vector.
    first: Block,
    others: Vec<Block>,
    /// Bytes written already, the header included.
    sent: usize,
}

impl Answer {
    fn bytes(&self) -> usize {
        BLOCK_HEADER_BYTES + self.range.length as usize
    }

    fn left(&self) -> usize {
        self.bytes() - self.sent
    }

    /// What is not written yet.
    fn rest(&self) -> impl Iterator<Item = &[u8]> {
        let mut skip = self.sent;
        let parts = std::iter::once(&self.header[..]);
        let parts = parts.chain(std::iter::once(&self.first).chain(&self.others).map(|block| &block[..]));
        parts.map(move |part| {
            let from = skip.min(part.len());
            skip -= from;
            &part[from..]
        })
    }
}

/// Bytes on their way out.
#[derive(Default)]
pub(super) struct Outbox {
    messages: Vec<u8>,
    /// Bytes of `messages` that are written already.
    said: usize,
    answers: VecDeque<Answer>,
    /// Bytes of answers that are not written yet.
    unsent: usize,
}

/// What one write took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wrote {
    /// Bytes of everything.
    pub(super) bytes: usize,
    /// Bytes of answers, their headers included.
    pub(super) of_answers: usize,
    /// Bytes of blocks.
    pub(super) of_blocks: usize,
}

impl Outbox {
    /// Adds a message.
    pub(super) fn message(&mut self, message: &Message<'_>) {
        wire::encode(message, &mut self.messages);
    }

    /// Adds the answer to a request without copying it. `first` and `others` hold exactly the bytes of `range`.
    pub(super) fn answer(&mut self, range: BlockRange, first: Block, others: Vec<Block>) {
        let answer = Answer { range, header: wire::block_header(range), first, others, sent: 0 };
        self.unsent += answer.bytes();
        self.answers.push_back(answer);
    }

    /// Takes back the answers for which `unwanted` says so, but the one that has begun: half of it is with the other side.
    pub(super) fn take_back(&mut self, unwanted: impl Fn(BlockRange) -> bool) -> Vec<BlockRange> {
        let mut taken = Vec::new();
        self.answers.retain(|answer| {
            let keep = answer.sent > 0 || !unwanted(answer.range);
            if !keep {
                self.unsent -= answer.bytes();
                taken.push(answer.range);
            }
            keep
        });
        taken
    }

    /// Gives back the memory that nothing is in.
    pub(super) fn shrink(&mut self) {
        self.messages.shrink_to_fit();
        self.answers.shrink_to_fit();
    }

    /// Bytes of messages that are not written yet.
    pub(super) fn messages_waiting(&self) -> usize {
        self.messages.len() - self.said
    }

    /// Bytes of answers that are not written yet.
    pub(super) fn answers_waiting(&self) -> usize {
        self.unsent
    }

    /// What the blocks that wait take of memory.
    pub(super) fn block_memory(&self) -> u64 {
        let blocks: usize = self.answers.iter().map(|answer| 1 + answer.others.len()).sum();
        blocks as u64 * u64::from(BLOCK_BYTES)
    }

    /// True when nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.messages_waiting() + self.answers_waiting() == 0
    }

    /// True when there is something to write, even though not a byte of an answer may go.
    pub(super) fn has_free(&self) -> bool {
        self.messages_waiting() > 0 && self.answers.front().is_none_or(|first| first.sent == 0)
    }

    /// Writes what the socket takes, but at most `allowed` bytes of answers. Pending when the socket is full.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        socket: &Socket,
        allowed: usize,
    ) -> Poll<io::Result<Wrote>> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut used = 0;
        for part in self.parts(allowed).filter(|part| !part.is_empty()).take(SLICES) {
            slices[used] = IoSlice::new(part);
            used += 1;
        }
        let mut writer = socket;
        let bytes = futures::ready!(Pin::new(&mut writer).poll_write_vectored(cx, &slices[..used]))?;
        Poll::Ready(Ok(self.wrote(bytes, allowed)))
    }

    /// Bytes of the answer that has begun which have to go before any message.
    fn begun(&self) -> usize {
        self.answers.front().filter(|first| first.sent > 0).map_or(0, Answer::left)
    }

    /// What is left of the answer that has begun, then the messages, then the other answers, as far as they are allowed.
    fn parts(&self, allowed: usize) -> impl Iterator<Item = &[u8]> {
        let begun = self.begun();
        let messages = if begun <= allowed { &self.messages[self.said..] } else { &[] };
        let answers = |skip, take| self.answers.iter().skip(skip).take(take).flat_map(Answer::rest);
        let (first, others) = (answers(0, usize::from(begun > 0)), answers(usize::from(begun > 0), SLICES));
        let mut left = allowed;
        let mut limited = move |part: &[u8]| {
            let now = part.len().min(left);
            left -= now;
            now
        };
        let answers_and_messages = first.map(Some).chain([None]).chain(others.map(Some));
        answers_and_messages.map(move |part| part.map_or(messages, |part| &part[..limited(part)]))
    }

    /// Notes that `bytes` of what [`parts`](Self::parts) gave are written.
    fn wrote(&mut self, bytes: usize, allowed: usize) -> Wrote {
        let begun = self.begun().min(allowed).min(bytes);
        let mut of_blocks = self.sent(begun);
        let of_messages = (bytes - begun).min(self.messages_waiting());
        self.said += of_messages;
        if self.said == self.messages.len() {
            self.messages.clear();
            self.said = 0;
        }
        of_blocks += self.sent(bytes - begun - of_messages);
        Wrote { bytes, of_answers: bytes - of_messages, of_blocks }
    }

    /// Notes that `bytes` of answers are written. Returns how many of them were bytes of blocks.
    fn sent(&mut self, mut bytes: usize) -> usize {
        self.unsent -= bytes;
        let mut of_blocks = 0;
        while bytes > 0
            && let Some(first) = self.answers.front_mut()
        {
            let now = bytes.min(first.left());
            let of_header = BLOCK_HEADER_BYTES.saturating_sub(first.sent).min(now);
            of_blocks += now - of_header;
            first.sent += now;
            bytes -= now;
            if first.left() == 0 {
                self.answers.pop_front();
            }
        }
        of_blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::PieceIndex;
    use crate::rt::blocks::BlockPool;

    fn range(piece: u32) -> BlockRange {
        BlockRange { piece: PieceIndex(piece), begin: 0, length: 100 }
    }

    fn outbox(answers: u32) -> Outbox {
        let (mut outbox, pool) = (Outbox::default(), BlockPool::default());
        (0..answers).for_each(|piece| outbox.answer(range(piece), pool.copy(&[piece as u8; 100]), Vec::new()));
        outbox
    }

    /// Writes through sockets that take `most` bytes at a time, with `allowed` for answers; all that came out.
    fn written(outbox: &mut Outbox, most: usize, allowed: usize) -> Vec<u8> {
        let all: Vec<u8> = outbox.parts(allowed).flatten().copied().take(most).collect();
        let wrote = outbox.wrote(all.len(), allowed);
        assert!(wrote.of_answers <= allowed && wrote.bytes == all.len());
        all
    }

    #[test]
    fn a_message_goes_before_answers_that_have_not_begun_and_behind_the_one_that_has() {
        let mut outbox = outbox(2);
        assert_eq!(written(&mut outbox, usize::MAX, 20).len(), 20);
        outbox.message(&Message::Unchoke);
        let rest = written(&mut outbox, usize::MAX, usize::MAX);
        assert_eq!(rest.len(), 93 + 5 + 113);
        assert_eq!(rest[93..98], [0, 0, 0, 1, 1]);
        assert_eq!((outbox.messages_waiting(), outbox.answers_waiting()), (0, 0));
    }

    #[test]
    fn with_nothing_allowed_only_messages_go_and_never_into_the_middle_of_an_answer() {
        let mut outbox = outbox(1);
        outbox.message(&Message::Choke);
        assert!(outbox.has_free());
        assert_eq!(written(&mut outbox, usize::MAX, 0), [0, 0, 0, 1, 0]);
        written(&mut outbox, usize::MAX, 50);
        outbox.message(&Message::Unchoke);
        assert!(!outbox.has_free());
        assert_eq!(written(&mut outbox, usize::MAX, 0), b"");
        assert_eq!(outbox.messages_waiting(), 5);
    }

    #[test]
    fn however_little_a_write_takes_the_bytes_come_out_in_order() {
        let whole = written(&mut outbox(3), usize::MAX, usize::MAX);
        for most in 1..120 {
            let mut outbox = outbox(3);
            let mut bytes = Vec::new();
            while outbox.answers_waiting() > 0 {
                bytes.extend(written(&mut outbox, most, 70));
            }
            assert_eq!(bytes, whole, "{most}");
        }
    }

    #[test]
    fn an_answer_that_has_begun_cannot_be_taken_back() {
        let mut outbox = outbox(3);
        written(&mut outbox, 10, 10);
        assert_eq!(outbox.take_back(|_| true), [range(1), range(2)]);
        assert_eq!(outbox.answers_waiting(), 103);
    }
}
