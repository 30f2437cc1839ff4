//! What waits to be written to one socket: small messages packed together, blocks by reference.
//!
//! Part of `peer`. It knows no message's meaning. What it holds is bounded by its user: `connection` reads no more requests
//! and no more blocks while much is waiting.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::io::AsyncWrite;

use crate::protocol::Message;
use crate::protocol::wire;
use crate::rt::blocks::Block;
use crate::rt::net::Socket;

/// Parts given to one write.
const SLICES: usize = 64;

enum Part {
    Messages(Vec<u8>),
    Block(Block),
}

impl Part {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Messages(bytes) => bytes,
            Self::Block(block) => block,
        }
    }
}

/// Bytes on their way out.
#[derive(Default)]
pub(super) struct Outbox {
    parts: VecDeque<Part>,
    /// Bytes of the first part that are written already.
    written: usize,
    waiting: usize,
}

impl Outbox {
    /// Adds a message.
    pub(super) fn message(&mut self, message: &Message<'_>) {
        let bytes = self.tail();
        let before = bytes.len();
        wire::encode(message, bytes);
        self.waiting += self.tail().len() - before;
    }

    /// Adds the bytes of a header.
    pub(super) fn bytes(&mut self, header: &[u8]) {
        self.tail().extend_from_slice(header);
        self.waiting += header.len();
    }

    /// Adds a block without copying it.
    pub(super) fn block(&mut self, block: Block) {
        self.waiting += block.len();
        self.parts.push_back(Part::Block(block));
    }

    fn tail(&mut self) -> &mut Vec<u8> {
        if !matches!(self.parts.back(), Some(Part::Messages(_))) {
            self.parts.push_back(Part::Messages(Vec::with_capacity(64)));
        }
        match self.parts.back_mut() {
            Some(Part::Messages(bytes)) => bytes,
            _ => unreachable!("a part for messages was just put there"),
        }
    }

    /// Bytes not written yet.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Writes what the socket takes. `Ready(Ok(n))`: n bytes went out. Pending when the socket is full.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, socket: &Socket) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut used = 0;
        for (n, part) in self.parts.iter().take(SLICES).enumerate() {
            let skip = if n == 0 { self.written } else { 0 };
            slices[used] = IoSlice::new(&part.bytes()[skip..]);
            used += 1;
        }
        let mut writer = socket;
        let n = futures::ready!(Pin::new(&mut writer).poll_write_vectored(cx, &slices[..used]))?;
        self.waiting -= n;
        self.written += n;
        while let Some(first) = self.parts.front()
            && self.written >= first.bytes().len()
        {
            self.written -= first.bytes().len();
            self.parts.pop_front();
        }
        Poll::Ready(Ok(n))
    }
}
