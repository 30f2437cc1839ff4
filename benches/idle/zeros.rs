//! Small torrents whose content takes no room on the disk.

use std::path::Path;

use bt_erl::Metainfo;
use bt_erl::protocol::Draft;
use sha1::{Digest, Sha1};

const PIECE_BYTES: u32 = 16 * 1024;
const PIECES: u32 = 64;

/// A torrent of zeros: no two have the same name, and so none the same info hash. With `whole`, its content is there.
pub(crate) fn torrent(dir: &Path, number: usize, tracker: &str, whole: bool) -> Metainfo {
    let (name, length) = (format!("{number}.bin"), u64::from(PIECE_BYTES * PIECES));
    if whole {
        std::fs::File::create(dir.join(&name)).unwrap().set_len(length).unwrap();
    }
    // Nobody has what is missing: its hash is of nothing.
    let hash = if whole { Sha1::digest(vec![0; PIECE_BYTES as usize]).into() } else { [7; 20] };
    let trackers = vec![vec![tracker.to_owned()]];
    let files = vec![(Vec::new(), length)];
    let draft = Draft { name, files, piece_bytes: PIECE_BYTES, trackers, ..Draft::default() };
    Metainfo::parse(&draft.encode(&vec![hash; PIECES as usize])).unwrap()
}
