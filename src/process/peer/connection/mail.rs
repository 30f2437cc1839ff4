//! What the rest of the tree tells a connection.
//!
//! Part of `peer`. It routes; what follows is in the files beside it.

use super::*;

impl Connection<'_> {
    pub(super) fn mail(&mut self, message: Msg) -> Result<(), End> {
        match message {
            Msg::Welcome { .. } => {}
            Msg::Grant { run } => self.granted(run),
            Msg::Interest { interested } => {
                if interested != self.am_interested {
                    self.am_interested = interested;
                    self.counts.am_interested.store(interested, Ordering::Relaxed);
                    self.out.message(if interested { &Message::Interested } else { &Message::NotInterested });
                }
                self.ask();
                self.part_if_useless()?;
            }
            Msg::Choke { choked } => self.choke(choked),
            Msg::Suggest { pieces } => self.suggest(&pieces),
            Msg::Finished { piece } => self.finished(piece)?,
            Msg::Cancel { run } => self.cancelled_by_us(run),
            Msg::Complete => self.part_if_useless()?,
            Msg::Swarm { peers } => self.tell_of_swarm(&peers),
            Msg::Close { reason } => return Err(End::Goodbye(reason.to_owned())),
            Msg::Read { ranges, blocks } => self.send_blocks(ranges, blocks),
        }
        Ok(())
    }

    fn finished(&mut self, piece: PieceIndex) -> Result<(), End> {
        self.have.set(piece.0);
        let (layout, out) = (self.layout, &mut self.out);
        self.pipeline.cancel(piece, |p, n| layout.block(p, n), |range| out.message(&Message::Cancel(range)));
        // Also to whom has it: a seed that knows what is spread already gives what is not.
        self.out.message(&Message::Have { piece });
        self.floods.told_of_piece();
        self.request();
        self.ask();
        self.part_if_useless()
    }

    /// Two seeds have nothing to say to each other, and neither have a seed and somebody who wants no more (BEP 21).
    pub(super) fn part_if_useless(&self) -> Result<(), End> {
        let we_want_nothing = self.have.all() || self.torrent.wants_nothing();
        if we_want_nothing && (self.theirs.all() || self.extending.is_upload_only()) {
            return Err(End::BothSeed);
        }
        Ok(())
    }
}
