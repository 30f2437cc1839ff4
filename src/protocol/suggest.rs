//! What a seed suggests to whom (BEP 6), so that every piece is soon with somebody else, and none is given twice before that.
//!
//! Leeches that see only a seed choose at random, and some choose the same; a seed with little to give then gives it twice. Here every
//! piece that no other peer has is suggested to one peer at a time. Pure; it knows nothing of who is choked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::giving::Giving;
use super::{PeerKey, PieceIndex};

/// Suggestions that a peer has not followed yet, at most: it has two pieces in work and knows the next.
const AHEAD: usize = 4;

/// The suggestions of one torrent.
#[derive(Debug)]
pub struct Suggestions {
    /// Pieces that nobody had when it was last looked, in the order in which they are suggested.
    fresh: VecDeque<PieceIndex>,
    /// Pieces that were suggested to somebody who did not take them: next when nothing is fresh.
    again: VecDeque<PieceIndex>,
    with: BTreeMap<PeerKey, BTreeSet<PieceIndex>>,
}

impl Suggestions {
    /// For a torrent of `pieces` pieces; `seed` decides which go first.
    pub fn new(pieces: u32, seed: u64) -> Self {
        let mut fresh: Vec<PieceIndex> = (0..pieces).map(PieceIndex).collect();
        fastrand::Rng::with_seed(seed).shuffle(&mut fresh);
        Self { fresh: fresh.into(), again: VecDeque::new(), with: BTreeMap::new() }
    }

    /// A peer has `piece`.
    pub fn has(&mut self, key: PeerKey, piece: PieceIndex) {
        if let Some(suggested) = self.with.get_mut(&key) {
            suggested.remove(&piece);
        }
    }

    /// What to suggest next to a peer that is being served.
    pub fn next(&mut self, key: PeerKey, giving: &Giving) -> Vec<PieceIndex> {
        let mut news = Vec::new();
        let suggested = self.with.entry(key).or_default();
        while suggested.len() < AHEAD {
            let next = [&mut self.fresh, &mut self.again].into_iter().find_map(|queue| {
                while queue.front().is_some_and(|piece| giving.is_spread(*piece)) {
                    queue.pop_front();
                }
                queue.pop_front()
            });
            let Some(piece) = next else { break };
            suggested.insert(piece);
            news.push(piece);
        }
        news
    }

    /// A peer is served no longer, or gone: what it was suggested may be suggested to others.
    pub fn ended(&mut self, key: PeerKey) {
        self.again.extend(self.with.remove(&key).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: PeerKey = PeerKey(1);
    const B: PeerKey = PeerKey(2);

    #[test]
    fn no_piece_is_suggested_to_two() {
        let (mut suggestions, mut giving) = (Suggestions::new(12, 1), Giving::new(12));
        let (a, b) = (suggestions.next(A, &giving), suggestions.next(B, &giving));
        assert_eq!((a.len(), b.len()), (AHEAD, AHEAD));
        assert!(a.iter().all(|piece| !b.contains(piece)));
        assert_eq!(suggestions.next(A, &giving), [], "it has enough to do");
        giving.has(a[0]);
        suggestions.has(A, a[0]);
        assert_eq!(suggestions.next(A, &giving).len(), 1);
    }

    #[test]
    fn what_was_not_taken_is_suggested_again_after_all_else() {
        let (mut suggestions, mut giving) = (Suggestions::new(12, 1), Giving::new(12));
        let a = suggestions.next(A, &giving);
        suggestions.ended(A);
        let mut b = Vec::new();
        while let Some(piece) = suggestions.next(B, &giving).first().copied() {
            b.push(piece);
            giving.has(piece);
            suggestions.has(B, piece);
        }
        assert!(b.len() >= 8 && !a.contains(&b[0]), "{a:?} {b:?}");
    }

    #[test]
    fn what_others_have_is_not_suggested() {
        let (mut suggestions, mut giving) = (Suggestions::new(12, 1), Giving::new(12));
        (0..12).for_each(|piece| giving.has(PieceIndex(piece)));
        assert_eq!(suggestions.next(A, &giving), []);
    }
}
