//! A torrent that is accepted adds up, stays in its folder, and is the same when only its info dictionary is left of it.

#![no_main]

use std::collections::HashSet;

use bt_erl_fuzz::protocol::{Metainfo, PieceIndex};
use libfuzzer_sys::fuzz_target;
use sha1::{Digest, Sha1};

fuzz_target!(|data: &[u8]| {
    let metainfo = match Metainfo::parse(data) {
        Ok(metainfo) => metainfo,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let info = metainfo.info_bytes();
    assert_eq!(metainfo.info_hash.0, <[u8; 20]>::from(Sha1::digest(info)));
    let alone = [b"d4:info", info, b"e"].concat();
    let again = Metainfo::parse(&alone).expect("its info dictionary is all that is needed");
    assert_eq!((again.info_hash, &again.files, &again.name), (metainfo.info_hash, &metainfo.files, &metainfo.name));

    let layout = &metainfo.layout;
    let total: u64 = metainfo.files.iter().map(|file| file.length).sum();
    assert_eq!((layout.total_bytes(), layout.files()), (total, metainfo.files.len()));
    assert_eq!(total.div_ceil(layout.piece_bytes().into()), layout.pieces().into());
    for piece in [0, layout.pieces().saturating_sub(1)].into_iter().filter_map(|piece| layout.check_piece(piece)) {
        let PieceIndex(number) = piece;
        metainfo.hashes.get(piece);
        assert!(layout.piece_length(piece) > 0 && number < layout.pieces());
    }

    let mut paths = HashSet::new();
    for file in &metainfo.files {
        assert!(!file.path.is_empty());
        for name in &file.path {
            assert!(!name.is_empty() && name != "." && name != ".." && name.len() <= 255, "{name:?}");
            assert!(!name.contains(['/', '\\', '\0']) && !name.contains(char::is_control), "{name:?}");
        }
        assert!(file.pad || paths.insert(&file.path), "{:?} is there twice", file.path);
    }
    assert!(metainfo.trackers.iter().map(Vec::len).sum::<usize>() <= 200);
});
