//! The waiting pieces, rarest first, kept in order by single swaps.
//!
//! ```text
//! order:  [ 7 2 9 | 4 | | 1 0 8 ]      pieces, in groups by how many peers have them
//! starts:   0       3   4 4            where the group of 0, 1, 2, 3 peers begins
//! ```
//! One peer more: the piece is swapped to the end of its group, and the border moves over it. Within a group the order
//! is that of the shuffle at the beginning, stirred by the swaps: ties are broken at random.
//! Peers that have everything are not counted: they would move every border alike.

use crate::protocol::Bitfield;

/// Where a piece is that is not in the list.
const NOWHERE: u32 = u32::MAX;
/// So many pieces are looked at from the front of the list.
const LOOK: usize = 512;
/// So many pieces of a peer are compared when it has none of those.
const SAMPLE: usize = 2048;

/// The pieces of a peer.
pub(super) enum Has {
    /// A seed: every piece.
    All,
    /// These.
    Some(Bitfield),
}

impl Has {
    pub(super) fn get(&self, piece: u32) -> bool {
        match self {
            Self::All => true,
            Self::Some(pieces) => pieces.get(piece),
        }
    }
}

/// The waiting pieces, and how rare every piece is.
pub(super) struct Rarity {
    /// For every piece: how many peers have it.
    counts: Vec<u32>,
    /// For every piece: its place in `order`.
    places: Vec<u32>,
    order: Vec<u32>,
    /// `starts[n]`: where in `order` the pieces begin that `n` peers have or more. `starts[0]` is 0.
    starts: Vec<u32>,
    /// The pieces in `order`, as bits.
    waiting: Bitfield,
}

impl Rarity {
    /// Of `pieces` pieces these are waiting, and nobody has any.
    pub(super) fn new(pieces: u32, order: Vec<u32>) -> Self {
        let mut waiting = Bitfield::new(pieces);
        let mut places = vec![NOWHERE; pieces as usize];
        for (place, piece) in (0..).zip(&order) {
            places[*piece as usize] = place;
            waiting.set(*piece);
        }
        Self { counts: vec![0; pieces as usize], places, order, starts: vec![0], waiting }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(super) fn contains(&self, piece: u32) -> bool {
        self.waiting.get(piece)
    }

    pub(super) fn peer_came(&mut self, has: &Has) {
        if let Has::Some(pieces) = has {
            pieces.iter_ones().for_each(|piece| self.one_more(piece));
        }
    }

    pub(super) fn peer_went(&mut self, has: &Has) {
        if let Has::Some(pieces) = has {
            pieces.iter_ones().for_each(|piece| self.one_fewer(piece));
        }
    }

    /// One more peer has the piece.
    pub(super) fn one_more(&mut self, piece: u32) {
        let count = self.counts[piece as usize] as usize;
        self.counts[piece as usize] += 1;
        if self.starts.len() == count + 1 {
            self.starts.push(self.order.len() as u32);
        }
        if self.contains(piece) {
            self.starts[count + 1] -= 1;
            self.swap(self.places[piece as usize], self.starts[count + 1]);
        }
    }

    /// One peer fewer has the piece. There has to be one.
    pub(super) fn one_fewer(&mut self, piece: u32) {
        let count = self.counts[piece as usize] as usize;
        self.counts[piece as usize] -= 1;
        if self.contains(piece) {
            self.swap(self.places[piece as usize], self.starts[count]);
            self.starts[count] += 1;
        }
    }

    /// The piece waits (again).
    pub(super) fn insert(&mut self, piece: u32) {
        if !self.waiting.set(piece) {
            return;
        }
        // From the end down to its group: each group in between gives its first place for the one behind it.
        let mut place = self.order.len() as u32;
        self.order.push(piece);
        self.places[piece as usize] = place;
        let group = self.counts[piece as usize] as usize;
        for above in (group + 1..self.starts.len()).rev() {
            self.swap(place, self.starts[above]);
            place = self.starts[above];
            self.starts[above] += 1;
        }
    }

    /// The piece waits no longer.
    pub(super) fn remove(&mut self, piece: u32) {
        if !self.waiting.clear(piece) {
            return;
        }
        // Up to the end: each group from its own on gives its last place for the one before it.
        let mut place = self.places[piece as usize];
        let group = self.counts[piece as usize] as usize;
        for above in group + 1..self.starts.len() {
            self.starts[above] -= 1;
            self.swap(place, self.starts[above]);
            place = self.starts[above];
        }
        self.swap(place, self.order.len() as u32 - 1);
        self.order.pop();
        self.places[piece as usize] = NOWHERE;
    }

    fn swap(&mut self, a: u32, b: u32) {
        self.order.swap(a as usize, b as usize);
        for place in [a, b] {
            self.places[self.order[place as usize] as usize] = place;
        }
    }

    /// How many peers have it, those that have everything not counted.
    pub(super) fn count(&self, piece: u32) -> u32 {
        self.counts[piece as usize]
    }

    /// The waiting piece with the lowest number that the peer has.
    pub(super) fn lowest(&self, has: &Has) -> Option<u32> {
        match has {
            Has::All => self.waiting.iter_ones().next(),
            Has::Some(pieces) => self.waiting.ones_in_both(pieces, 0).next(),
        }
    }

    /// A waiting piece that the peer has: the rarest, or near it for a peer that has few; any when `random`.
    pub(super) fn rarest(&self, has: &Has, random: bool, rng: &mut fastrand::Rng) -> Option<u32> {
        // Nobody but seeds can have what no counted peer has.
        let first = match has {
            Has::All => 0,
            Has::Some(_) => self.starts.get(1).map_or(self.order.len(), |start| *start as usize),
        };
        let order = self.order.get(first..).filter(|order| !order.is_empty())?;
        let front = if random { rng.usize(..order.len()) } else { 0 };
        let mut front = order.iter().skip(front).take(LOOK).copied();
        front.find(|piece| has.get(*piece)).or_else(|| self.sample(has, rng))
    }

    /// The rarest of some waiting pieces that the peer has, beginning anywhere.
    fn sample(&self, has: &Has, rng: &mut fastrand::Rng) -> Option<u32> {
        let Has::Some(pieces) = has else { return None };
        let middle = rng.u32(..self.waiting.len());
        let behind = self.waiting.ones_in_both(pieces, middle);
        let before = self.waiting.ones_in_both(pieces, 0).take_while(|piece| *piece < middle);
        behind.chain(before).take(SAMPLE).min_by_key(|piece| self.counts[*piece as usize])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What must be true of the list, whatever happened.
    fn check(rarity: &Rarity) {
        assert_eq!(rarity.order.len() as u32, rarity.waiting.count());
        assert!(rarity.starts[0] == 0 && rarity.starts.is_sorted());
        for (place, piece) in (0u32..).zip(&rarity.order) {
            assert_eq!(rarity.places[*piece as usize], place);
            let count = rarity.counts[*piece as usize] as usize;
            assert!(rarity.starts[count] <= place, "piece {piece} is before its group");
            assert!(rarity.starts.get(count + 1).is_none_or(|next| place < *next), "piece {piece} is behind its group");
        }
    }

    #[test]
    fn ties_are_broken_by_the_order_at_the_beginning() {
        let mut rng = fastrand::Rng::with_seed(0);
        let rarity = Rarity::new(4, vec![2, 0, 3, 1]);
        assert_eq!(rarity.rarest(&Has::All, false, &mut rng), Some(2));
    }

    #[test]
    fn a_peer_with_one_common_piece_among_many_rare_ones_still_gets_it() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut rarity = Rarity::new(5000, (0..5000).collect());
        let mut most = Bitfield::full(5000);
        most.clear(4321);
        rarity.peer_came(&Has::Some(most));
        let mut one = Bitfield::new(5000);
        one.set(4321);
        let one = Has::Some(one);
        for _ in 0..3 {
            rarity.peer_came(&one);
        }
        for _ in 0..20 {
            assert_eq!(rarity.rarest(&one, false, &mut rng), Some(4321));
            assert_eq!(rarity.rarest(&one, true, &mut rng), Some(4321));
        }
        rarity.remove(4321);
        assert_eq!(rarity.rarest(&one, false, &mut rng), None);
    }

    #[test]
    fn among_the_pieces_that_are_looked_at_instead_the_rarest_is_taken() {
        let mut rng = fastrand::Rng::with_seed(2);
        let mut rarity = Rarity::new(5000, (0..5000).collect());
        let mut first = Bitfield::full(5000);
        let mut second = Bitfield::new(5000);
        for piece in 4000..4010 {
            first.clear(piece);
            second.set(piece);
        }
        rarity.peer_came(&Has::Some(first));
        let second = Has::Some(second);
        rarity.peer_came(&second);
        (4000..4010).filter(|piece| *piece != 4005).for_each(|piece| rarity.one_more(piece));
        rarity.one_more(4005);
        (4000..4010).filter(|piece| *piece != 4005).for_each(|piece| rarity.one_more(piece));
        assert!((0..20).all(|_| rarity.rarest(&second, false, &mut rng) == Some(4005)));
    }

    proptest! {
        #[test]
        fn the_list_is_sorted_after_any_events(events in proptest::collection::vec((0u8..4, 0u32..20), 0..200)) {
            let mut rarity = Rarity::new(20, (0..20).collect());
            for (event, piece) in events {
                match event {
                    0 => rarity.one_more(piece),
                    1 if rarity.counts[piece as usize] > 0 => rarity.one_fewer(piece),
                    2 => rarity.insert(piece),
                    _ => rarity.remove(piece),
                }
                check(&rarity);
            }
        }
    }
}
