//! The handshake says the same however little of it has come, and is read back from what it says.

#![no_main]

use bt_erl_fuzz::protocol::handshake::HandshakeDecoded;
use bt_erl_fuzz::protocol::{Handshake, HandshakeError};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let whole = Handshake::decode(data);
    for end in 0..=data.len() {
        match (Handshake::decode(&data[..end]), &whole) {
            (Ok(HandshakeDecoded::Partial { needed }), _) => assert_eq!(needed, Handshake::BYTES - end),
            (Ok(HandshakeDecoded::Done(handshake)), _) => {
                assert_eq!(handshake.encode(), data[..Handshake::BYTES]);
                assert_eq!(whole, Ok(HandshakeDecoded::Done(handshake)));
            }
            (Err(HandshakeError::NotBitTorrent { at }), whole) => {
                assert!(at < end.min(20), "byte {at} is judged, of {end}");
                assert_eq!(*whole, Err(HandshakeError::NotBitTorrent { at }));
            }
        }
    }
});
