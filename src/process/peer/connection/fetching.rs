//! What we ask of the other side, and what comes of it.
//!
//! Part of `peer`. Which run is fetched is the client's decision, how deep the pipeline is `protocol::Pipeline`'s.

use super::*;
use crate::protocol::Run;

impl Connection<'_> {
    pub(super) fn granted(&mut self, run: Run) {
        self.asked = false;
        if !self.pipeline.may_ask(run.piece) {
            return self.give_back(Landed { run, blocks: Vec::new() });
        }
        self.pipeline.grant(run, self.now);
        self.request();
        self.ask();
    }

    pub(super) fn request(&mut self) {
        let (layout, out) = (self.layout, &mut self.out);
        self.pipeline.requests(self.now, |p, n| layout.block(p, n), |range| out.message(&Message::Request(range)));
        self.counts.requests_out.store(self.pipeline.outstanding(), Ordering::Relaxed);
    }

    pub(super) fn ask(&mut self) {
        if !self.am_interested || self.asked || !self.pipeline.may_ask_any() {
            return;
        }
        let blocks = self.pipeline.room(self.now);
        if blocks > 0 {
            self.asked = true;
            let ask = client::Msg::Ask { key: self.key, blocks, fast: self.am_choked };
            self.torrent.client.cast(ask);
        }
    }

    pub(super) fn block(&mut self, piece: PieceIndex, begin: u32, bytes: &[u8]) -> Result<(), End> {
        let range = BlockRange { piece, begin, length: bytes.len() as u32 };
        let length = u64::from(range.length);
        self.torrent.counts.downloaded.fetch_add(length, Ordering::Relaxed);
        self.counts.downloaded.fetch_add(length, Ordering::Relaxed);
        let whole = self.layout.block(piece, begin / crate::protocol::BLOCK_BYTES) == range;
        let place = if whole { self.pipeline.accept(range) } else { None };
        let Some(place) = place else {
            let stray = self.pipeline.stray();
            for wasted in [&self.torrent.counts.wasted, &self.counts.wasted] {
                let reason = if stray == Stray::Late { &wasted.late } else { &wasted.unrequested };
                reason.fetch_add(length, Ordering::Relaxed);
            }
            return if stray == Stray::Late { Ok(()) } else { self.floods.unrequested_block() };
        };
        self.rejects = 0;
        let block = self.torrent.session.pool.copy(bytes);
        if let Some(landed) = self.pipeline.put(place, range, block, self.now) {
            self.land(landed);
            self.pipeline.overtaken().into_iter().for_each(|landed| self.land(landed));
        }
        Ok(())
    }

    /// Another peer was faster: these blocks need not come.
    pub(super) fn cancelled_by_us(&mut self, run: Run) {
        let (layout, out) = (self.layout, &mut self.out);
        let range = |piece, n| layout.block(piece, n);
        for landed in self.pipeline.cancel_blocks(run, range, |range| out.message(&Message::Cancel(range))) {
            self.give_back(landed);
        }
        self.request();
        self.ask();
    }

    /// They answer no more requests. Without the fast extension what was out is lost; with it each request is answered or rejected.
    pub(super) fn choked_by_them(&mut self) {
        self.am_choked = true;
        // What it asked for before was for any piece; now only some will do.
        self.asked = false;
        self.counts.am_choked.store(true, Ordering::Relaxed);
        for landed in self.pipeline.choked(self.side.fast) {
            self.give_back(landed);
        }
    }

    fn land(&self, landed: Landed<Block>) {
        let message = store::Msg::Landed { piece: landed.run.piece, blocks: landed.blocks, source: self.side.address };
        self.torrent.store.cast(message);
    }

    pub(super) fn give_back(&self, landed: Landed<Block>) {
        let runs = landed.missing();
        if !landed.blocks.is_empty() {
            self.land(landed);
        }
        self.torrent.client.cast(client::Msg::GiveBack { key: self.key, runs });
    }

    /// At the end of the connection: what has come is not thrown away.
    pub(super) fn hand_over(&mut self) {
        for landed in self.pipeline.drain() {
            self.give_back(landed);
        }
    }

    pub(super) fn give_back_stale(&mut self) {
        if self.count_throttled() {
            self.not_reading = Some(self.now);
        }
        for landed in self.pipeline.stale(self.now) {
            for run in landed.missing() {
                for block in run.numbers() {
                    self.out.message(&Message::Cancel(self.layout.block(run.piece, block)));
                }
            }
            self.give_back(landed);
        }
        self.counts.snubbed.store(self.pipeline.is_snubbed(self.now), Ordering::Relaxed);
        self.request();
        self.ask();
    }
}
