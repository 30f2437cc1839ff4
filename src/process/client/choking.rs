//! Whom we serve, and how fast everybody is.
//!
//! Part of `client`. Who deserves a slot is `protocol::Choker`'s decision; here the rates are measured for it, and everybody hears
//! what was decided.

use std::sync::atomic::{AtomicBool, AtomicU64};

use super::*;
use crate::protocol::choker::{Candidate, Choker, Role, slots_for};
use crate::protocol::rate::Rate;

/// How often everybody's slot is decided anew, whatever happens.
const RECHOKE_EVERY: Duration = Duration::from_secs(10);

/// Pause between two rounds, for each connection: a round costs a microsecond or less for each. When thousands come and go together, each is
/// no reason for a round of its own.
const REST: Duration = Duration::from_micros(50);

/// The choker, and when it is asked next.
pub(super) struct Choking {
    choker: Choker,
    /// A slot may have come free, or somebody may want one.
    pub(super) soon: bool,
    next: Duration,
    /// Somebody wants a slot or has one.
    busy: bool,
    /// Not decided anew before that, whoever comes, goes or changes its mind.
    not_before: Duration,
}

impl Choking {
    pub(super) fn new() -> Self {
        Self {
            choker: Choker::new(dice::seed()),
            soon: false,
            next: Duration::ZERO,
            busy: false,
            not_before: Duration::ZERO,
        }
    }

    /// When everybody's slot is decided anew; `None`: there is nothing to decide.
    pub(super) fn due(&self) -> Option<Duration> {
        if self.soon { Some(self.not_before) } else { self.busy.then_some(self.next) }
    }
}

/// How fast one connection is: for the choker over twenty seconds, for people over three.
pub(super) struct Rates {
    down: [Rate; 2],
    up: [Rate; 2],
}

/// Over how long the rates are averaged: for the choker, for people.
const SPANS: [Duration; 2] = [Duration::from_secs(20), Duration::from_secs(3)];

impl Rates {
    pub(super) fn new() -> Self {
        let rates = || SPANS.map(Rate::over);
        Self { down: rates(), up: rates() }
    }

    /// What has moved so far, down and up. Returns bytes per second for people, down and up.
    fn measure(&mut self, [down, up]: [&AtomicU64; 2], now: Duration) -> [u64; 2] {
        self.down.iter_mut().for_each(|rate| rate.sample(down.load(Ordering::Relaxed), now));
        self.up.iter_mut().for_each(|rate| rate.sample(up.load(Ordering::Relaxed), now));
        [self.down[1].per_second(), self.up[1].per_second()]
    }

    /// Something moves, or did lately.
    pub(super) fn are_above_zero(&self) -> bool {
        self.down.iter().chain(&self.up).any(|rate| rate.per_second() > 0)
    }
}

impl Client {
    /// Once a second. True when something moves, or did lately.
    pub(super) fn measure_peers(&mut self, now: Duration) -> bool {
        let mut moves = false;
        for Connection { rates, counts, .. } in self.peers.values_mut() {
            let [down, up] = rates.measure([&counts.downloaded, &counts.uploaded], now);
            counts.download_rate.store(down, Ordering::Relaxed);
            counts.upload_rate.store(up, Ordering::Relaxed);
            moves |= rates.are_above_zero();
        }
        moves
    }

    /// The torrent as a whole.
    pub(super) fn measure(&mut self, now: Duration) {
        let counts = &self.torrent.counts;
        let [down, up] = self.rates.measure([&counts.downloaded, &counts.uploaded], now);
        counts.download_rate.store(down, Ordering::Relaxed);
        counts.upload_rate.store(up, Ordering::Relaxed);
    }

    /// While we seed: tells a peer that is served which pieces nobody else has.
    pub(super) fn suggest(&mut self, key: PeerKey) {
        if let Some(connection) = self.peers.get(&key).filter(|connection| connection.unchoked) {
            let pieces = self.suggestions.next(key, &lock(&self.torrent.giving));
            if !pieces.is_empty() {
                let _ = connection.addr.cast(peer::Msg::Suggest { pieces });
            }
        }
    }

    /// The other side has become interested, or is no longer.
    pub(super) fn interested(&mut self, key: PeerKey) {
        self.choking.soon |= self.peers.contains_key(&key);
    }

    /// Decides anew when ten seconds are over, or when somebody came, went or changed its mind.
    pub(super) fn rechoke_if_due(&mut self) {
        let now = clock::since_start();
        if self.choking.due().is_none_or(|due| now < due) {
            return;
        }
        (self.choking.soon, self.choking.not_before) = (false, now + REST * self.peers.len() as u32);
        let is = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        let candidate = |(key, c): (&PeerKey, &Connection)| Candidate {
            key: *key,
            interested: is(&c.counts.peer_interested),
            snubbed: is(&c.counts.snubbed),
            download_rate: c.rates.down[0].per_second(),
            upload_rate: c.rates.up[0].per_second(),
            wanted: c.wanted,
            given: c.counts.downloaded.load(Ordering::Relaxed),
            taken: c.counts.uploaded.load(Ordering::Relaxed),
            connected: c.counts.since,
        };
        let candidates: Vec<Candidate> = self.peers.iter().map(candidate).collect();
        let role = if self.pieces.is_complete() { Role::Seed } else { Role::Leech };
        let limits = [self.torrent.options.upload_limit, self.torrent.session.config.upload_limit];
        let slots = self.torrent.options.upload_slots.unwrap_or_else(|| slots_for(limits.into_iter().flatten().min()));
        let unchoked = self.choking.choker.rechoke(now, &candidates, slots, role);
        for (key, connection) in &mut self.peers {
            let unchoke = unchoked.contains(key);
            if connection.unchoked != unchoke {
                connection.unchoked = unchoke;
                let _ = connection.addr.cast(peer::Msg::Choke { choked: !unchoke });
                if !unchoke {
                    self.suggestions.ended(*key);
                }
            }
        }
        if role == Role::Seed {
            unchoked.iter().for_each(|key| self.suggest(*key));
        }
        self.torrent.counts.unchoked.store(unchoked.len() as u32, Ordering::Relaxed);
        self.choking.busy = !unchoked.is_empty() || candidates.iter().any(|candidate| candidate.interested);
        if now >= self.choking.next {
            self.choking.next = now + RECHOKE_EVERY;
        }
    }
}
