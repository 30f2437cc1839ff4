//! What the extension protocol carries (BEP 9, 10, 11) keeps its bounds, and what was understood of it is understood again.

#![no_main]

use std::net::SocketAddr;
use std::time::Duration;

use bt_erl_fuzz::protocol::Layout;
use bt_erl_fuzz::protocol::extension::metadata::{Metadata, PIECE_BYTES};
use bt_erl_fuzz::protocol::extension::pex::{MAX_ADDED, Pex, Told};
use bt_erl_fuzz::protocol::extension::{Hello, dont_have};
use bt_erl_fuzz::take;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    match take::<1>(&mut rest)[0] % 4 {
        0 => hello(rest),
        1 => metadata(rest),
        2 => pex(rest),
        _ => lost_piece(rest),
    }
});

fn hello(payload: &[u8]) {
    let mut hello = Hello::default();
    if let Err(error) = hello.update(payload) {
        assert_eq!(hello, Hello::default(), "what is refused changes nothing");
        assert!(!error.to_string().is_empty());
        return;
    }
    let shown = hello.client.as_deref().unwrap_or_default();
    assert!(shown.chars().count() <= 64 && !shown.contains(char::is_control));
    let once = hello.clone();
    assert_eq!((hello.update(payload), &hello), (Ok(()), &once), "the same again changes nothing");
    let mut back = Hello::default();
    assert_eq!((back.update(&once.encode()), back), (Ok(()), once));
}

fn metadata(payload: &[u8]) {
    let Ok(message) = Metadata::decode(payload) else { return };
    if let Metadata::Data { bytes, .. } = message {
        assert!(bytes.len() <= PIECE_BYTES as usize && payload.ends_with(bytes));
    }
    if message != Metadata::Unknown {
        assert_eq!(Metadata::decode(&message.encode()), Ok(message));
    }
}

fn pex(payload: &[u8]) {
    let Ok(pex) = Pex::decode(payload) else { return };
    assert!(pex.added.len() <= 2 * MAX_ADDED && pex.dropped.len() <= 2 * MAX_ADDED);
    let mut told = Told::default();
    let to = SocketAddr::from(([192, 0, 2, 1], 1));
    let mut heard = Vec::new();
    for minute in 0..4 {
        let Some(news) = told.news(&pex.added, to, Duration::from_secs(60 * minute)) else { continue };
        let back = Pex::decode(&news.encode());
        assert!(back.as_ref().is_ok_and(|back| back.dropped.is_empty() && back.added.len() == news.added.len()));
        heard.extend(back.into_iter().flat_map(|back| back.added).map(|peer| peer.address));
    }
    let mut swarm: Vec<SocketAddr> = pex.added.iter().map(|peer| peer.address).filter(|peer| *peer != to).collect();
    swarm.sort();
    swarm.dedup();
    heard.sort();
    assert_eq!(heard, swarm, "everyone is told of once");
}

fn lost_piece(payload: &[u8]) {
    let layout = Layout::new(16_384, [1 << 30]).expect("a layout");
    if let Some(piece) = dont_have::decode(payload, &layout) {
        assert!(piece.0 < layout.pieces() && dont_have::encode(piece) == payload);
    }
}
