//! Who is connected to one torrent, found by address or by peer id in one look-up, and counted as they come and go.
//!
//! Pure. Whoever joins is not compared with everybody who is there: of ten thousand that come together, each would cost ten thousand looks.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::{PeerId, PeerKey};

/// A connection that has shaken hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Of the other end.
    pub address: SocketAddr,
    /// What the other side calls itself.
    pub peer_id: PeerId,
    /// True when we called; false when it called us.
    pub outgoing: bool,
}

/// What becomes of a newcomer because of who is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meeting {
    /// It is new.
    New,
    /// It is somebody who is connected already, and the connection from before goes.
    Replaces(PeerKey),
    /// It is somebody who is connected already, and that connection stays.
    Doubles,
}

/// The connections of one torrent. Two with the same other side are there together only as long as the first one takes to go.
#[derive(Debug, Default)]
pub struct Crowd {
    members: BTreeMap<PeerKey, Present>,
    /// The last that came from each address.
    by_address: BTreeMap<SocketAddr, PeerKey>,
    /// The last that came with each peer id from each host.
    by_peer_id: BTreeMap<(IpAddr, PeerId), PeerKey>,
    /// Those that stay and called us, and those that stay and that we called.
    incoming: usize,
    outgoing: usize,
}

#[derive(Debug)]
struct Present {
    member: Member,
    /// It has not been told to go.
    stays: bool,
}

impl Crowd {
    /// Whether `newcomer` is there already, by its address, or by its peer id on the same host. `ours`: our peer id.
    pub fn meet(&self, newcomer: &Member, ours: PeerId) -> Meeting {
        let identity = (newcomer.address.ip(), newcomer.peer_id);
        let there = self.by_address.get(&newcomer.address).or_else(|| self.by_peer_id.get(&identity));
        let Some((key, there)) = there.and_then(|key| Some((*key, self.members.get(key)?))) else {
            return Meeting::New;
        };
        let newcomer_stays = match (there.member.outgoing, newcomer.outgoing) {
            // Who calls again has lost the first call, and knows it before we do.
            (false, false) => true,
            (true, true) => false,
            // Both sides called at the same time: both keep the call of the larger peer id.
            _ => newcomer.outgoing == (ours > newcomer.peer_id),
        };
        if newcomer_stays { Meeting::Replaces(key) } else { Meeting::Doubles }
    }

    /// A connection joins. Its key is new.
    pub fn joined(&mut self, key: PeerKey, member: Member) {
        self.left(key);
        self.by_address.insert(member.address, key);
        self.by_peer_id.insert((member.address.ip(), member.peer_id), key);
        self.members.insert(key, Present { member, stays: true });
        *self.count_of(member) += 1;
    }

    /// A connection was told to go: it makes room from now on.
    pub fn goes(&mut self, key: PeerKey) {
        if let Some(Present { member, stays }) = self.members.get_mut(&key)
            && std::mem::take(stays)
        {
            let member = *member;
            *self.count_of(member) -= 1;
        }
    }

    /// A connection is over.
    pub fn left(&mut self, key: PeerKey) {
        self.goes(key);
        let Some(Present { member, .. }) = self.members.remove(&key) else { return };
        // Unless another has come from there.
        forget(&mut self.by_address, member.address, key);
        forget(&mut self.by_peer_id, (member.address.ip(), member.peer_id), key);
    }

    /// The last that came from `address`, if it is there still.
    pub fn at(&self, address: SocketAddr) -> Option<PeerKey> {
        self.by_address.get(&address).copied()
    }

    /// True unless it was told to go, or is not there.
    pub fn stays(&self, key: PeerKey) -> bool {
        self.members.get(&key).is_some_and(|present| present.stays)
    }

    /// Connections that were not told to go.
    pub fn staying(&self) -> usize {
        self.incoming + self.outgoing
    }

    /// Those of them that called us.
    pub fn incoming(&self) -> usize {
        self.incoming
    }

    fn count_of(&mut self, member: Member) -> &mut usize {
        if member.outgoing { &mut self.outgoing } else { &mut self.incoming }
    }
}

/// Takes `name` from `key`, if it has it.
fn forget<K: Ord>(names: &mut BTreeMap<K, PeerKey>, name: K, key: PeerKey) {
    if names.get(&name) == Some(&key) {
        names.remove(&name);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OURS: PeerId = PeerId([5; 20]);

    fn member(port: u16, id: u8, outgoing: bool) -> Member {
        Member { address: ([127, 0, 0, 1], port).into(), peer_id: PeerId([id; 20]), outgoing }
    }

    fn crowd(members: &[Member]) -> Crowd {
        let mut crowd = Crowd::default();
        (0..).zip(members).for_each(|(key, member)| crowd.joined(PeerKey(key), *member));
        crowd
    }

    #[test]
    fn somebody_is_known_by_its_address_or_by_its_peer_id_on_the_same_host() {
        let crowd = crowd(&[member(1, 1, true)]);
        let elsewhere = Member { address: ([127, 0, 0, 2], 2).into(), ..member(2, 1, true) };
        let meets = [member(1, 9, true), member(2, 1, true), member(2, 2, true), elsewhere];
        let meets = meets.map(|newcomer| crowd.meet(&newcomer, OURS));
        assert_eq!(meets, [Meeting::Doubles, Meeting::Doubles, Meeting::New, Meeting::New]);
    }

    #[test]
    fn both_sides_keep_the_call_of_the_larger_peer_id_and_who_calls_again_the_last() {
        let meet = |first: bool, second: bool, id| crowd(&[member(1, id, first)]).meet(&member(1, id, second), OURS);
        let replaces = Meeting::Replaces(PeerKey(0));
        assert_eq!([meet(true, false, 1), meet(false, true, 1)], [Meeting::Doubles, replaces], "ours is larger");
        assert_eq!([meet(true, false, 9), meet(false, true, 9)], [replaces, Meeting::Doubles]);
        assert_eq!([meet(false, false, 1), meet(true, true, 1)], [replaces, Meeting::Doubles]);
    }

    #[test]
    fn who_was_told_to_go_is_not_counted_but_there_until_it_left() {
        let mut crowd = crowd(&[member(1, 1, true), member(2, 2, false)]);
        crowd.goes(PeerKey(1));
        crowd.goes(PeerKey(1));
        assert_eq!((crowd.staying(), crowd.incoming(), crowd.stays(PeerKey(1))), (1, 0, false));
        assert_eq!(crowd.at(member(2, 2, false).address), Some(PeerKey(1)));
        crowd.left(PeerKey(1));
        assert_eq!((crowd.staying(), crowd.at(member(2, 2, false).address)), (1, None));
    }

    proptest! {
        #[test]
        fn look_ups_and_counts_are_those_of_a_list(events in proptest::collection::vec((0u8..3, 0u64..8, 0u16..4, 0u8..4), 0..60)) {
            let (mut crowd, mut list) = (Crowd::default(), Vec::<(PeerKey, Member, bool)>::new());
            for (turn, (event, key, port, id)) in (0u64..).zip(events) {
                let member = member(port, id, turn.is_multiple_of(2));
                match event {
                    0 => {
                        let key = PeerKey(100 + turn);
                        crowd.joined(key, member);
                        list.push((key, member, true));
                    }
                    _ if list.is_empty() => {}
                    1 => {
                        let at = key as usize % list.len();
                        crowd.goes(list[at].0);
                        list[at].2 = false;
                    }
                    _ => crowd.left(list.remove(key as usize % list.len()).0),
                }
                let staying = list.iter().filter(|(.., stays)| *stays);
                prop_assert_eq!(crowd.staying(), staying.clone().count());
                prop_assert_eq!(crowd.incoming(), staying.filter(|(_, member, _)| !member.outgoing).count());
                let known = crowd.meet(&member, OURS) != Meeting::New;
                let last = list.iter().rev().find(|(_, other, _)| other.address == member.address);
                // Whoever came last from there may have left before one that came earlier and was told to go.
                prop_assert!(crowd.at(member.address).is_none_or(|key| last.is_some_and(|last| last.0 == key)));
                prop_assert!(!known || list.iter().any(|(_, other, _)| other.address == member.address || other.peer_id == member.peer_id));
            }
            list.iter().for_each(|(key, ..)| crowd.left(*key));
            prop_assert!(crowd.members.is_empty() && crowd.by_address.is_empty() && crowd.by_peer_id.is_empty());
        }
    }
}
