//! Whatever peers say and send: nothing but the info dictionary comes out, no honest peer is called a liar, and one honest peer is enough.

#![no_main]

use bt_erl_fuzz::protocol::InfoHash;
use bt_erl_fuzz::protocol::extension::assembly::{Assembly, Received};
use bt_erl_fuzz::protocol::extension::metadata::PIECE_BYTES;
use bt_erl_fuzz::take;
use libfuzzer_sys::fuzz_target;
use sha1::{Digest, Sha1};

/// Peers below this number never lie; it and those above do as they are told.
const HONEST: u8 = 2;
const PEERS: u8 = 6;

fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    let info = vec![7; 1 + usize::from(u16::from_le_bytes(take(&mut rest)))];
    let right = info.len() as u32;
    let mut assembly = Assembly::new(InfoHash(Sha1::digest(&info).into()));
    while !rest.is_empty() {
        let [what, piece, size] = take(&mut rest);
        let (peer, honest) = (what % PEERS, what % PEERS < HONEST);
        let size = if honest || size < 128 { right } else { u32::from(size) << 8 };
        match what / PEERS % 8 {
            0 | 1 => assert!(assembly.joined(peer, size).is_ok()),
            2..=4 => {
                let Some(asked) = assembly.ask(peer) else { continue };
                assert!(asked <= u32::from(u16::MAX) / PIECE_BYTES);
                if give(&mut assembly, peer, asked, size, &info, honest || piece < 200) {
                    return;
                }
            }
            5 => {
                if give(&mut assembly, peer, piece.into(), size, &info, honest) {
                    return;
                }
            }
            6 => drop(assembly.ask(peer)),
            _ => assembly.left(peer),
        }
    }
    (0..PEERS).for_each(|peer| assembly.left(peer));
    assert!(assembly.joined(0, right).is_ok());
    for _ in 0..20 {
        let Some(piece) = assembly.ask(0) else { break };
        if give(&mut assembly, 0, piece, right, &info, true) {
            return;
        }
    }
    panic!("an honest peer alone gives everything");
});

/// `peer` sends a piece, as it is or spoilt. True: the whole is there.
fn give(assembly: &mut Assembly<u8>, peer: u8, piece: u32, size: u32, info: &[u8], good: bool) -> bool {
    let begin = piece as usize * PIECE_BYTES as usize;
    let mut bytes = vec![7; (size as usize).saturating_sub(begin).min(PIECE_BYTES as usize)];
    if let Some(byte) = bytes.first_mut().filter(|_| !good) {
        *byte ^= 1;
    }
    match assembly.received(peer, piece, size, &bytes) {
        Received::Complete(whole) => {
            assert_eq!(whole, info);
            true
        }
        Received::Failed { liars } => {
            assert!(liars.iter().all(|liar| *liar >= HONEST), "{liars:?}");
            false
        }
        Received::WrongLength => {
            assert!(peer >= HONEST);
            false
        }
        Received::Kept { .. } | Received::Unasked => false,
    }
}
