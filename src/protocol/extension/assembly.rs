//! The info dictionary of a magnet link, put together from what several peers give (BEP 9).
//!
//! Pure. Only the info hash is known to be right. So every announced size is an attempt of its own, and nobody who lies about the size keeps
//! the others waiting. An attempt to which several peers gave and that fails the hash is made again with each of them alone: then who
//! lied is known. Nothing is allocated by an announced size; what has come takes at most [`MEMORY_BYTES`].

use std::collections::{BTreeMap, BTreeSet};

use sha1::{Digest, Sha1};

use super::metadata::PIECE_BYTES;
use crate::protocol::{InfoHash, Metainfo};

/// Most bytes of pieces kept, over all attempts.
pub const MEMORY_BYTES: usize = Metainfo::MAX_BYTES + (1 << 20);
/// Requests that one peer has to answer at a time.
const PIPELINE: usize = 4;
/// Peers that are asked for the same piece at a time.
const ASKED_OF: usize = 2;

/// Pieces of one info dictionary, by who gives them.
#[derive(Debug)]
pub struct Assembly<K> {
    info_hash: InfoHash,
    sources: BTreeMap<K, Source>,
    attempts: BTreeMap<Name<K>, Attempt<K>>,
    /// Sizes at which several peers together failed the hash.
    suspect: BTreeSet<u32>,
}

/// A peer that says it has the info dictionary.
#[derive(Debug)]
struct Source {
    total_bytes: u32,
    asked: BTreeSet<u32>,
}

/// Which attempt: the size, and the only peer that may give to it, if there is such a one.
type Name<K> = (u32, Option<K>);

/// Pieces that have come, and who sent each.
type Attempt<K> = BTreeMap<u32, (K, Box<[u8]>)>;

/// What a peer says its info dictionary's size is cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeOutOfRange;

/// What a piece has led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received<K> {
    /// It was asked for and is kept. `dropped`: there is no more memory for what these gave; they are no longer sources.
    Kept {
        /// Mostly nobody.
        dropped: Vec<K>,
    },
    /// Nobody asked for it.
    Unasked,
    /// It has not the length that follows from the size which its sender announced. That one is no longer a source.
    WrongLength,
    /// That was the last one, and all of them together have not the info hash. `liars` are no longer sources; when it is not known who of
    /// several lied, there are none yet.
    Failed {
        /// Who gave every byte of what failed.
        liars: Vec<K>,
    },
    /// The info dictionary: its SHA-1 is the info hash.
    Complete(Vec<u8>),
}

impl<K: Ord + Copy> Assembly<K> {
    /// Nothing yet of the info dictionary with this SHA-1.
    pub fn new(info_hash: InfoHash) -> Self {
        Self { info_hash, sources: BTreeMap::new(), attempts: BTreeMap::new(), suspect: BTreeSet::new() }
    }

    /// `key` says that it has the info dictionary, and how many bytes that has.
    pub fn joined(&mut self, key: K, total_bytes: u32) -> Result<(), SizeOutOfRange> {
        if total_bytes == 0 || total_bytes as usize > Metainfo::MAX_BYTES {
            return Err(SizeOutOfRange);
        }
        self.sources.entry(key).or_insert(Source { total_bytes, asked: BTreeSet::new() });
        Ok(())
    }

    /// The piece to ask `key` for; it counts as asked. `None`: there is nothing to ask it for now.
    pub fn ask(&mut self, key: K) -> Option<u32> {
        let name = self.attempt_of(key)?;
        let mut asked: BTreeMap<u32, usize> = BTreeMap::new();
        for (_, source) in self.sources.iter().filter(|(other, _)| self.attempt_of(**other) == Some(name)) {
            source.asked.iter().for_each(|piece| *asked.entry(*piece).or_default() += 1);
        }
        let (here, ours) = (self.attempts.get(&name), self.sources.get(&key)?);
        if ours.asked.len() >= PIPELINE {
            return None;
        }
        let missing = |piece: &u32| here.is_none_or(|here| !here.contains_key(piece)) && !ours.asked.contains(piece);
        let askers = |piece: &u32| asked.get(piece).copied().unwrap_or(0);
        // The first that nobody is asked for, or else the first that few are.
        let with = |askers_now| (0..name.0.div_ceil(PIECE_BYTES)).find(|p| askers(p) == askers_now && missing(p));
        let piece = (0..ASKED_OF).find_map(with)?;
        self.sources.get_mut(&key)?.asked.insert(piece);
        Some(piece)
    }

    /// `key` sent a piece of what it says is `total_bytes` long.
    pub fn received(&mut self, key: K, piece: u32, total_bytes: u32, bytes: &[u8]) -> Received<K> {
        let (Some(name), Some(source)) = (self.attempt_of(key), self.sources.get_mut(&key)) else {
            return Received::Unasked;
        };
        if !source.asked.remove(&piece) {
            return Received::Unasked;
        }
        if total_bytes != source.total_bytes || bytes.len() != length_of(piece, total_bytes) {
            self.left(key);
            return Received::WrongLength;
        }
        let attempt = self.attempts.entry(name).or_default();
        attempt.entry(piece).or_insert_with(|| (key, bytes.into()));
        if attempt.len() < total_bytes.div_ceil(PIECE_BYTES) as usize {
            return Received::Kept { dropped: self.make_room(name) };
        }
        let attempt = self.attempts.remove(&name).unwrap_or_default();
        let whole: Vec<u8> = attempt.values().flat_map(|(_, bytes)| bytes).copied().collect();
        if Sha1::digest(&whole)[..] == self.info_hash.0 {
            return Received::Complete(whole);
        }
        Received::Failed { liars: self.judge(total_bytes, attempt) }
    }

    /// `key` is gone, or gives nothing: what it was asked for is asked of others.
    pub fn left(&mut self, key: K) {
        let Some(source) = self.sources.remove(&key) else { return };
        self.attempts.remove(&(source.total_bytes, Some(key)));
        // What it gave is of use to others of the same size, and is kept for when it comes back, if nobody lies about the size.
        let last = self.sources.values().all(|other| other.total_bytes != source.total_bytes);
        if last && self.attempts.len() > 1 {
            self.attempts.remove(&(source.total_bytes, None));
        }
    }

    /// All of it came from one: it lied. Otherwise each is tried alone from here on.
    fn judge(&mut self, total_bytes: u32, failed: Attempt<K>) -> Vec<K> {
        let senders: BTreeSet<K> = failed.values().map(|(sender, _)| *sender).collect();
        if senders.len() > 1 {
            self.suspect.insert(total_bytes);
            return Vec::new();
        }
        senders.iter().for_each(|liar| self.left(*liar));
        senders.into_iter().collect()
    }

    fn attempt_of(&self, key: K) -> Option<Name<K>> {
        let total_bytes = self.sources.get(&key)?.total_bytes;
        Some((total_bytes, self.suspect.contains(&total_bytes).then_some(key)))
    }

    /// Drops the attempts that have come least far until what is left fits. `growing` is not dropped.
    fn make_room(&mut self, growing: Name<K>) -> Vec<K> {
        let mut dropped = Vec::new();
        let most = MEMORY_BYTES / PIECE_BYTES as usize;
        while self.attempts.values().map(BTreeMap::len).sum::<usize>() > most {
            let others = self.attempts.iter().filter(|(name, _)| **name != growing);
            let Some(name) = others.min_by_key(|(_, attempt)| attempt.len()).map(|(name, _)| *name) else { break };
            self.attempts.remove(&name);
            let gave = |key: &K| self.attempt_of(*key) == Some(name);
            let keys: Vec<K> = self.sources.keys().copied().filter(gave).collect();
            keys.iter().for_each(|key| self.left(*key));
            dropped.extend(keys);
        }
        dropped
    }
}

/// Bytes of a piece of so many altogether; 0 when there is no such piece.
fn length_of(piece: u32, total_bytes: u32) -> usize {
    let begin = u64::from(piece) * u64::from(PIECE_BYTES);
    u64::from(total_bytes).saturating_sub(begin).min(PIECE_BYTES.into()) as usize
}

#[cfg(test)]
mod tests;
