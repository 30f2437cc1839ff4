//! What the other side says, message by message, and how much of it is too much.
//!
//! Part of `peer`. Each message is known to be about this torrent (`protocol::wire` sees to that); here is decided whether it may
//! come now.

use super::*;

/// Blocks that nobody ever asked for that a peer may send per minute before it counts as a flood.
const MAX_UNREQUESTED: u32 = 60;
/// The same for bitfields that are not the first message.
const MAX_LATE_BITFIELDS: u32 = 60;
/// The same for requests that we cannot answer: of a choked peer that should know, or of a piece that we never had.
const MAX_VAIN_REQUESTS: u32 = 3000;
/// The same for changes of choke and interest.
const MAX_FLIPS: u32 = 600;
/// The same for messages of the extension protocol.
const MAX_EXTENDED: u32 = 600;

/// What came that nobody needs. Each number falls by a sixth of its limit every ten seconds.
#[derive(Default)]
pub(super) struct Floods {
    unrequested: u32,
    late_bitfields: u32,
    vain_requests: u32,
    flips: u32,
    extended: u32,
}

impl Floods {
    pub(super) fn ten_seconds(&mut self) {
        let all = [
            (&mut self.unrequested, MAX_UNREQUESTED),
            (&mut self.late_bitfields, MAX_LATE_BITFIELDS),
            (&mut self.vain_requests, MAX_VAIN_REQUESTS),
            (&mut self.flips, MAX_FLIPS),
            (&mut self.extended, MAX_EXTENDED),
        ];
        for (number, limit) in all {
            *number = number.saturating_sub(limit / 6);
        }
    }

    /// Nothing is left that could fall.
    pub(super) fn are_over(&self) -> bool {
        self.unrequested + self.late_bitfields + self.vain_requests + self.flips + self.extended == 0
    }

    fn count(number: &mut u32, limit: u32, what: &str) -> Result<(), End> {
        *number += 1;
        if *number > limit { Err(End::Misbehaved(what.to_owned())) } else { Ok(()) }
    }

    /// We have told of a piece: some clients look anew at each whether they are interested.
    pub(super) fn told_of_piece(&mut self) {
        self.flips = self.flips.saturating_sub(2);
    }

    pub(super) fn unrequested_block(&mut self) -> Result<(), End> {
        Self::count(&mut self.unrequested, MAX_UNREQUESTED, "keeps sending blocks that nobody asked for")
    }

    pub(super) fn vain_request(&mut self) -> Result<(), End> {
        Self::count(&mut self.vain_requests, MAX_VAIN_REQUESTS, "floods us with requests that we cannot answer")
    }

    pub(super) fn extended(&mut self) -> Result<(), End> {
        Self::count(&mut self.extended, MAX_EXTENDED, "floods us with extension messages")
    }

    fn late_bitfield(&mut self) -> Result<(), End> {
        Self::count(&mut self.late_bitfields, MAX_LATE_BITFIELDS, "floods us with bitfields")
    }

    fn flip(&mut self) -> Result<(), End> {
        Self::count(&mut self.flips, MAX_FLIPS, "changes its mind about choke and interest all the time")
    }
}

impl Connection<'_> {
    pub(super) fn message(&mut self, message: Message<'_>) -> Result<(), End> {
        let first = std::mem::take(&mut self.first);
        match message {
            Message::KeepAlive => self.first = first,
            Message::Choke => {
                self.floods.flip()?;
                self.choked_by_them();
            }
            Message::Unchoke => {
                self.floods.flip()?;
                self.am_choked = false;
                self.pipeline.unchoked();
                // What was asked for while choked was for allowed pieces only.
                self.asked = false;
                self.counts.am_choked.store(false, Ordering::Relaxed);
            }
            Message::Interested => self.their_interest(true)?,
            Message::NotInterested => self.their_interest(false)?,
            Message::Have { piece } => {
                if self.theirs.set(piece.0) {
                    self.haves.push(piece);
                    self.part_if_useless()?;
                }
            }
            Message::Bitfield(bits) => {
                let pieces = Bitfield::from_wire(bits, self.layout.pieces())
                    .map_err(|error| End::Misbehaved(format!("sent a bad bitfield: {error}")))?;
                self.bitfield(pieces, first)?;
            }
            Message::HaveAll | Message::HaveNone if !self.side.fast => {
                return Err(End::Misbehaved("uses the fast extension, which its handshake did not claim".to_owned()));
            }
            Message::HaveAll => self.bitfield(Bitfield::full(self.layout.pieces()), first)?,
            Message::HaveNone => self.bitfield(Bitfield::new(self.layout.pieces()), first)?,
            Message::Request(range) => self.requested(range)?,
            Message::Cancel(range) => self.cancelled(range),
            Message::Block { piece, begin, bytes } => self.block(piece, begin, bytes)?,
            Message::Reject(range) => self.rejected(range)?,
            Message::Suggest { piece } => self.suggested(piece)?,
            Message::AllowedFast { piece } => self.allowed_fast(piece),
            Message::Extended { id, payload } => self.extended(id, payload)?,
            Message::Port(_) => {}
            Message::Unknown { id, length } => {
                log::trace!("peer {}: message {id} of {length} bytes skipped", self.side.address)
            }
        }
        Ok(())
    }

    fn their_interest(&mut self, interested: bool) -> Result<(), End> {
        self.peer_interested = interested;
        self.floods.flip()
    }

    fn bitfield(&mut self, pieces: Bitfield, first: bool) -> Result<(), End> {
        if !first {
            // Not in BEP 3, but aria2 sends one in place of many haves.
            self.floods.late_bitfield()?;
            let news = pieces.iter_ones().filter(|piece| self.theirs.set(*piece));
            self.haves.extend(news.map(PieceIndex));
            return self.part_if_useless();
        }
        self.counts.pieces.store(pieces.count(), Ordering::Relaxed);
        self.theirs = pieces.clone();
        self.torrent.client.cast(client::Msg::Bitfield { key: self.key, pieces });
        self.offer_fast_pieces();
        self.part_if_useless()
    }

    /// After a batch of messages: more requests out, finished runs reported, work asked for, reads started.
    pub(super) fn after_reading(&mut self) {
        if !self.haves.is_empty() {
            let pieces = std::mem::take(&mut self.haves);
            self.torrent.client.cast(client::Msg::Has { key: self.key, pieces });
            self.counts.pieces.store(self.theirs.count(), Ordering::Relaxed);
        }
        if self.counts.peer_interested.swap(self.peer_interested, Ordering::Relaxed) != self.peer_interested {
            self.torrent.client.cast(client::Msg::Interested { key: self.key });
        }
        self.request();
        self.ask();
        self.read_for_them();
    }
}
