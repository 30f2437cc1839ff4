//! Which pieces a peer may ask for while it is choked (BEP 6): computed from its address, so that a new connection brings no new ones.

use std::net::IpAddr;

use sha1::{Digest, Sha1};

use super::{InfoHash, PieceIndex};

/// Pieces in a set; a peer that has as many of its own needs no such start.
pub const FAST_PIECES: u32 = 10;

/// The pieces for a peer at `ip`, in the order of BEP 6; fewer in a torrent that has fewer. None for IPv6, of which the BEP says nothing.
pub fn fast_set(ip: IpAddr, info_hash: InfoHash, pieces: u32) -> Vec<PieceIndex> {
    let IpAddr::V4(ip) = ip else { return Vec::new() };
    let wanted = FAST_PIECES.min(pieces) as usize;
    let [a, b, c, _] = ip.octets();
    let mut digest: Vec<u8> = [a, b, c, 0].into_iter().chain(info_hash.0).collect();
    let mut set = Vec::with_capacity(wanted);
    while set.len() < wanted {
        digest = Sha1::digest(&digest).to_vec();
        for word in digest.as_chunks::<4>().0 {
            let piece = PieceIndex(u32::from_be_bytes(*word) % pieces);
            if set.len() < wanted && !set.contains(&piece) {
                set.push(piece);
            }
        }
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pieces: u32) -> Vec<u32> {
        let set = fast_set("80.4.4.200".parse().unwrap(), InfoHash([0xaa; 20]), pieces);
        set.into_iter().map(|piece| piece.0).collect()
    }

    #[test]
    fn the_examples_of_bep_6_come_out() {
        assert_eq!(set(1313)[..7], [1059, 431, 808, 1217, 287, 376, 1188]);
        assert_eq!(set(1313)[..9], [1059, 431, 808, 1217, 287, 376, 1188, 353, 508]);
    }

    #[test]
    fn a_small_torrent_is_allowed_whole_and_ipv6_not_at_all() {
        let mut small = set(3);
        small.sort();
        assert_eq!((small, set(0)), (vec![0, 1, 2], vec![]));
        assert_eq!(fast_set("::1".parse().unwrap(), InfoHash([0; 20]), 9), []);
    }
}
