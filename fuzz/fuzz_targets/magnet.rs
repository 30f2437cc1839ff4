//! A magnet link that is read stays within its limits, and says the same again when only what was understood is left of it.

#![no_main]

use bt_erl_fuzz::protocol::magnet::Magnet;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(link) = str::from_utf8(data) else { return };
    let magnet = match link.parse::<Magnet>() {
        Ok(magnet) => magnet,
        Err(error) => return assert!(!error.to_string().contains(char::is_control)),
    };
    let shown = magnet.name.as_deref().unwrap_or("none");
    assert!((1..=255).contains(&shown.chars().count()) && !shown.contains(char::is_control));
    assert!(magnet.trackers.len() <= 200 && magnet.peers.len() <= 200);
    assert!(magnet.peers.iter().all(|peer| peer.port > 0 && !peer.host.is_empty()));

    let mut again = format!("magnet:?xt=urn:btih:{}", magnet.info_hash);
    let name = magnet.name.iter().map(|name| ("dn", name.clone()));
    let trackers = magnet.trackers.iter().map(|url| ("tr", url.clone()));
    let peers = magnet.peers.iter().map(|peer| ("x.pe", peer.to_string()));
    for (key, value) in name.chain(trackers).chain(peers) {
        again.push_str(&format!("&{key}="));
        value.bytes().for_each(|byte| again.push_str(&format!("%{byte:02x}")));
    }
    if again.len() <= 64 << 10 {
        assert_eq!(again.parse(), Ok(magnet));
    }
});
