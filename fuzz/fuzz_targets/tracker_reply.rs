//! Whatever a tracker answers, waiting times and peers stay within bounds.

#![no_main]

use std::collections::HashSet;
use std::time::Duration;

use bt_erl_fuzz::protocol::announce::MAX_PEERS;
use bt_erl_fuzz::protocol::{AnnounceError, AnnounceReply};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let reply = match AnnounceReply::parse(data) {
        Ok(reply) => reply,
        Err(error) => {
            assert!(!error.to_string().contains(char::is_control), "{error}");
            if let AnnounceError::Failure { reason } = error {
                assert!(reason.chars().count() <= 200);
            }
            return;
        }
    };
    let waits = Duration::from_secs(60)..=Duration::from_secs(3600);
    assert!(waits.contains(&reply.interval) && reply.min_interval.is_none_or(|wait| waits.contains(&wait)));
    assert!(reply.peers.len() <= MAX_PEERS && reply.peers.iter().all(|peer| peer.port() != 0));
    assert_eq!(reply.peers.iter().collect::<HashSet<_>>().len(), reply.peers.len());
    assert!(reply.peers.len() + reply.dropped <= data.len());
    assert!(!reply.warning.unwrap_or_default().contains(char::is_control));
    assert!(reply.tracker_id.unwrap_or_default().len() <= 512);
});
