//! Whom to serve: tit-for-tat while leeching, turns while seeding, and one slot for whoever has had no chance yet (BEP 3).
//!
//! Pure; time and seed are parameters. It is asked every ten seconds, and whenever somebody comes, goes or changes its mind: then
//! slots that came free are filled, and nobody loses one before its ten seconds are over (choking to and fro costs everybody's
//! pipelines). Only peers that want something hold slots.
//!
//! - While leeching, slots go to those who give us most; first to those who do not owe us blocks for a minute (*snub* us). Who takes and
//!   takes and never gave anything earns none, even if one stays empty.
//! - While seeding, each round goes to those who have waited the longest.
//! - One slot is *optimistic*: somebody at random for thirty seconds, newcomers three times as likely.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::PeerKey;

/// Between two rounds, in which everybody's slot is decided anew.
const ROUND: Duration = Duration::from_secs(10);
/// A slot that is younger than this in a round stays: it has hardly begun.
const YOUNG: Duration = Duration::from_secs(5);
/// How long the optimistic slot is somebody's.
const OPTIMISTIC: Duration = Duration::from_secs(30);
/// A peer is new for so long.
const NEW: Duration = Duration::from_secs(60);
/// How much likelier a new peer gets the optimistic slot.
const NEWCOMERS_LOTS: usize = 3;
/// Where nobody but freeloaders is left, one lot in so many wins.
const BLANKS: usize = 10;
/// Bytes that a peer may take before it has to give something, or depend on luck; and what luck is worth then.
const WELCOME: u64 = 256 << 10;
/// Slots when nothing limits our upload.
const DEFAULT_SLOTS: usize = 8;
/// What one slot should have to give, in bytes per second.
const SLOT_RATE: u64 = 16 * 1024;

/// How many peers to serve at once with an upload limit of `limit` bytes per second: as many as get something worth having,
/// 2 at least and 8 at most; 8 without a limit. The optimistic one is among them.
pub fn slots_for(limit: Option<u64>) -> usize {
    limit.map_or(DEFAULT_SLOTS, |limit| (limit / SLOT_RATE).clamp(2, DEFAULT_SLOTS as u64) as usize)
}

/// A connection, as far as the choker cares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Which.
    pub key: PeerKey,
    /// It wants something that we have.
    pub interested: bool,
    /// It owes us blocks and has sent none for a minute.
    pub snubbed: bool,
    /// Bytes per second that it gives us, over some twenty seconds.
    pub download_rate: u64,
    /// Bytes per second that it takes from us, over some twenty seconds.
    pub upload_rate: u64,
    /// It has something that we want, or has had.
    pub wanted: bool,
    /// Bytes that it has given us, ever.
    pub given: u64,
    /// Bytes that it has taken from us, ever.
    pub taken: u64,
    /// When it connected.
    pub connected: Duration,
}

impl Candidate {
    /// It could give us something, never did, and has had more than a welcome.
    fn freeloads(&self) -> bool {
        self.wanted && self.given == 0 && self.taken > WELCOME
    }
}

/// What we are in this torrent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// We want something.
    Leech,
    /// We have all that we want.
    Seed,
}

/// The choker of one torrent.
#[derive(Debug)]
pub struct Choker {
    rng: fastrand::Rng,
    /// Who is unchoked, and since when.
    held: BTreeMap<PeerKey, Duration>,
    /// When somebody who has no slot last had one.
    served: BTreeMap<PeerKey, Duration>,
    optimistic: Option<PeerKey>,
    /// When the optimistic slot goes on to somebody else.
    next_optimistic: Duration,
    /// Up to how many bytes in all its holder may take if it never gives anything.
    gift: u64,
    next_round: Duration,
}

impl Choker {
    /// A choker that serves nobody yet. `seed` decides who is lucky.
    pub fn new(seed: u64) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(seed),
            held: BTreeMap::new(),
            served: BTreeMap::new(),
            optimistic: None,
            next_optimistic: Duration::ZERO,
            gift: 0,
            next_round: Duration::ZERO,
        }
    }

    /// Who is to be unchoked from `now` on; all others are to be choked. At most `slots` of `peers`, each of them interested.
    pub fn rechoke(&mut self, now: Duration, peers: &[Candidate], slots: usize, role: Role) -> BTreeSet<PeerKey> {
        let there: BTreeMap<PeerKey, &Candidate> = peers.iter().map(|peer| (peer.key, peer)).collect();
        let wants = |key: &PeerKey| there.get(key).is_some_and(|peer| peer.interested);
        self.held.retain(|key, _| wants(key));
        self.served.retain(|key, _| there.contains_key(key));
        let round = now >= self.next_round;
        if round {
            self.next_round = now + ROUND;
        }
        let interested: Vec<&Candidate> = peers.iter().filter(|peer| peer.interested).collect();
        let earns = |peer: &Candidate| role == Role::Seed || !peer.freeloads();
        // As long as there is a slot for everybody, nobody needs luck; and the only slot is earned.
        let luck = slots >= 2 && (interested.len() > slots || !interested.iter().all(|peer| earns(peer)));
        let spent = |key: &PeerKey| there.get(key).is_some_and(|peer| !earns(peer) && peer.taken > self.gift);
        let held = self.optimistic.filter(|key| luck && now < self.next_optimistic && wants(key));
        let lucky = held.filter(|key| !spent(key));
        self.optimistic = None;
        let mut ranked: Vec<&Candidate> =
            interested.iter().copied().filter(|peer| earns(peer) && Some(peer.key) != lucky).collect();
        // Equals come in a random order, and keep what they have.
        self.rng.shuffle(&mut ranked);
        match role {
            Role::Leech => ranked.sort_by_key(|peer| self.leech_rank(peer, now, round)),
            Role::Seed => ranked.sort_by_key(|peer| self.seed_rank(peer, now, round)),
        }
        let mut chosen: BTreeSet<PeerKey> =
            ranked.iter().take(slots - usize::from(luck)).map(|peer| peer.key).collect();
        if luck {
            // Who never gave draws a lot once in a term, and not again whenever somebody else loses interest.
            let due = now >= self.next_optimistic;
            let may_draw = |peer: &Candidate| !chosen.contains(&peer.key) && (due || earns(peer));
            let left: Vec<&Candidate> = interested.into_iter().filter(|peer| may_draw(peer)).collect();
            let earning = left.iter().any(|peer| earns(peer));
            self.optimistic = lucky.or_else(|| self.draw(now, &left, earning));
            chosen.extend(self.optimistic);
        }
        let lost = self.held.keys().filter(|key| !chosen.contains(key)).copied().collect::<Vec<_>>();
        for key in lost {
            self.held.remove(&key);
            self.served.insert(key, now);
        }
        for key in &chosen {
            self.held.entry(*key).or_insert(now);
        }
        chosen
    }

    /// Smaller is better. Between rounds who has a slot keeps it.
    fn leech_rank(&self, peer: &Candidate, now: Duration, round: bool) -> impl Ord + use<> {
        let slot = self.held.get(&peer.key);
        let safe = slot.is_some_and(|since| !round || now.saturating_sub(*since) < YOUNG);
        (!safe, peer.snubbed, Reverse(peer.download_rate), slot.is_none())
    }

    /// Smaller is better: who has waited longest.
    fn seed_rank(&self, peer: &Candidate, now: Duration, round: bool) -> impl Ord + use<> {
        let slot = self.held.get(&peer.key);
        let safe = slot.is_some_and(|since| !round || now.saturating_sub(*since) < YOUNG);
        let served = if slot.is_some() { Some(now) } else { self.served.get(&peer.key).copied() };
        (!safe, served, Reverse(peer.upload_rate))
    }

    /// Who has the optimistic slot from now on. Where nobody is left but those who never gave (`earning` is false), mostly nobody.
    fn draw(&mut self, now: Duration, peers: &[&Candidate], earning: bool) -> Option<PeerKey> {
        let lots = peers.iter().flat_map(|peer| {
            let new = now.saturating_sub(peer.connected) < NEW && !self.served.contains_key(&peer.key);
            std::iter::repeat_n(Some(peer.key), if new { NEWCOMERS_LOTS } else { 1 })
        });
        let mut lots: Vec<Option<PeerKey>> = lots.collect();
        if lots.is_empty() {
            return None;
        }
        if !earning {
            lots.resize(lots.len() * BLANKS, None);
        }
        self.next_optimistic = now + OPTIMISTIC;
        let lucky = lots[self.rng.usize(..lots.len())];
        let taken = peers.iter().find(|peer| Some(peer.key) == lucky).map_or(0, |peer| peer.taken);
        self.gift = taken + WELCOME;
        lucky
    }
}

#[cfg(test)]
mod tests;
