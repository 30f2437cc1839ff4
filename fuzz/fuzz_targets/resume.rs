//! A resume file, whoever wrote it, never makes more finished than the files bear out, and is written as it was read.

#![no_main]

use bt_erl_fuzz::protocol::resume::{Resume, Stamp};
use bt_erl_fuzz::protocol::{InfoHash, Layout};
use bt_erl_fuzz::take;
use libfuzzer_sys::fuzz_target;
use sha1::{Digest, Sha1};

const HASH: InfoHash = InfoHash(*b"hhhhhhhhhhhhhhhhhhhh");

fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    let [on_disk, boot] = take(&mut rest);
    let layout = Layout::new(10, [25, 0, 30]).expect("a layout");
    assert!(Resume::decode(rest, HASH, &layout).is_err(), "nobody guesses a checksum");
    let summed = [rest, &Sha1::digest(rest)[..]].concat();
    let record = match Resume::decode(&summed, HASH, &layout) {
        Ok(record) => record,
        Err(error) => return assert!(!error.to_string().contains(char::is_control)),
    };
    assert_eq!(Resume::decode(&record.encode(), HASH, &layout).as_ref(), Ok(&record));
    assert!(record.peers.len() <= 100 && record.files.len() == layout.files());

    let there = |file: usize| on_disk >> file & 1 == 1;
    let found: Vec<Option<Stamp>> =
        record.files.iter().enumerate().map(|(file, stamp)| stamp.filter(|_| there(file))).collect();
    let boot = (boot % 2 == 1).then_some("this boot");
    let trust = record.trust(&layout, &found, boot);
    let synced = record.boot.is_none() || record.boot.as_deref() == boot;
    for piece in trust.finished.iter_ones() {
        assert!(synced && record.have.get(piece) && !record.unsure.get(piece) && !trust.check.get(piece));
    }
    for file in (0..layout.files()).filter(|file| record.files[*file] != found[*file]) {
        assert!(layout.pieces_of_file(file).all(|piece| trust.check.get(piece)));
    }
});
