//! What the demo moves: random content on disk, the torrent of it, and the comparison at the end.
//!
//! Works in steps of a few MiB on the blocking pool, so that Ctrl-C is heard between two steps and memory does not
//! grow with the content.

use std::borrow::Cow;
use std::io::{IoSlice, IoSliceMut};
use std::path::Path;
use std::sync::Arc;

use bip_bencode::{BMutAccess, BencodeMut};
use bt_erl::rt::files::{DiskError, FilePool, Folder, PooledFile};
use bt_erl::rt::{dice, spawn};
use sha1::{Digest, Sha1};

/// The one file of the demo's torrent.
pub(crate) const NAME: &str = "random.bin";

/// Bytes per step; a multiple of every piece length used here.
const STEP: u64 = 4 << 20;

/// Fills `folder` with `size` random bytes and returns the torrent file for them. `made` hears how many bytes
/// there are after every step.
pub(crate) async fn make(
    folder: &Path,
    size: u64,
    announce: &str,
    mut made: impl FnMut(u64),
) -> Result<Vec<u8>, DiskError> {
    let file = open(folder)?;
    let piece_bytes = piece_bytes(size);
    let mut hashes = Vec::new();
    for begin in (0..size).step_by(STEP as usize) {
        let length = STEP.min(size - begin);
        let file = file.clone();
        let step = spawn::blocking(move || make_step(&file, begin, length as usize, piece_bytes as usize)).await?;
        hashes.extend(step);
        made(begin + length);
    }
    Ok(torrent(size, piece_bytes, hashes, announce))
}

/// The first byte in which the files in `one` and `other` differ within the first `size` bytes; `None` when they
/// are the same.
pub(crate) async fn first_difference(one: &Path, other: &Path, size: u64) -> Result<Option<u64>, DiskError> {
    let (one, other) = (open(one)?, open(other)?);
    for begin in (0..size).step_by(STEP as usize) {
        let length = STEP.min(size - begin);
        let (one, other) = (one.clone(), other.clone());
        let difference = spawn::blocking(move || compare_step(&one, &other, begin, length as usize)).await?;
        if difference.is_some() {
            return Ok(difference);
        }
    }
    Ok(None)
}

/// About 256 pieces, so that "half of them" means something; 16 KiB to 4 MiB.
pub(crate) fn piece_bytes(size: u64) -> u64 {
    (size / 256).next_power_of_two().clamp(16 << 10, STEP)
}

fn open(folder: &Path) -> Result<PooledFile, DiskError> {
    let folder: Arc<Folder> = Folder::open(folder)?;
    Ok(FilePool::new(1).file(&folder, vec![NAME.to_owned()]))
}

fn make_step(file: &PooledFile, begin: u64, length: usize, piece_bytes: usize) -> Result<Vec<u8>, DiskError> {
    const DRAW: usize = 16 << 10;
    if begin == 0 {
        file.create()?;
    }
    let mut bytes = Vec::with_capacity(length + DRAW);
    while bytes.len() < length {
        bytes.extend(dice::bytes::<DRAW>());
    }
    bytes.truncate(length);
    file.write_at(begin, &mut [IoSlice::new(&bytes)])?;
    Ok(bytes.chunks(piece_bytes).flat_map(Sha1::digest).collect())
}

fn compare_step(one: &PooledFile, other: &PooledFile, begin: u64, length: usize) -> Result<Option<u64>, DiskError> {
    let (mut of_one, mut of_other) = (vec![0; length], vec![0; length]);
    one.read_at(begin, &mut [IoSliceMut::new(&mut of_one)])?;
    other.read_at(begin, &mut [IoSliceMut::new(&mut of_other)])?;
    if of_one == of_other {
        return Ok(None);
    }
    let differ = of_one.iter().zip(&of_other).position(|(a, b)| a != b);
    Ok(differ.map(|at| begin + at as u64))
}

/// A torrent file (BEP 3) for one file.
fn torrent(size: u64, piece_bytes: u64, hashes: Vec<u8>, announce: &str) -> Vec<u8> {
    let int = |number: u64| BencodeMut::new_int(i64::try_from(number).unwrap_or(i64::MAX));
    let info = dict([
        ("length", int(size)),
        ("name", text(NAME)),
        ("piece length", int(piece_bytes)),
        ("pieces", BencodeMut::new_bytes(Cow::Owned(hashes))),
    ]);
    dict([("announce", text(announce)), ("created by", text("bt-erl demo")), ("info", info)]).encode()
}

fn text(text: &str) -> BencodeMut<'_> {
    BencodeMut::new_bytes(Cow::Borrowed(text.as_bytes()))
}

fn dict<'a, const N: usize>(entries: [(&'static str, BencodeMut<'a>); N]) -> BencodeMut<'a> {
    let mut dict = BencodeMut::new_dict();
    if let Some(keys) = dict.dict_mut() {
        for (key, value) in entries {
            keys.insert(Cow::Borrowed(key.as_bytes()), value);
        }
    }
    dict
}

#[cfg(test)]
mod tests {
    use bt_erl::Metainfo;

    use super::*;

    #[test]
    fn the_torrent_of_the_demo_is_one_that_the_library_takes() {
        let folder = tempfile::tempdir().unwrap();
        for size in [8 << 20, (9 << 20) + 17] {
            let mut last = 0;
            let torrent = make(folder.path(), size, "http://127.0.0.1:9/announce", |made| last = made);
            let metainfo = Metainfo::parse(&spawn::block_on(torrent).unwrap()).unwrap();
            assert_eq!((last, metainfo.layout.total_bytes()), (size, size));
            assert_eq!(metainfo.name, NAME);
            assert_eq!(metainfo.trackers, [["http://127.0.0.1:9/announce"]]);
            assert_eq!(std::fs::metadata(folder.path().join(NAME)).unwrap().len(), size);
            std::fs::remove_file(folder.path().join(NAME)).unwrap();
        }
    }

    #[test]
    fn a_single_different_byte_is_found() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let size = (4 << 20) + 100;
        let mut bytes = vec![7; size];
        std::fs::write(one.path().join(NAME), &bytes).unwrap();
        bytes[(4 << 20) + 42] = 8;
        std::fs::write(other.path().join(NAME), &bytes).unwrap();
        let compare = |a: &Path, b: &Path| spawn::block_on(first_difference(a, b, size as u64)).unwrap();
        assert_eq!(compare(one.path(), other.path()), Some((4 << 20) + 42));
        assert_eq!(compare(one.path(), one.path()), None);
    }

    #[test]
    fn there_are_enough_pieces_for_a_half() {
        for size in [8 << 20, 64 << 20, 1 << 30, 16 << 30] {
            assert!(size / piece_bytes(size) >= 128, "{size}");
            assert_eq!(STEP % piece_bytes(size), 0);
        }
        assert_eq!(piece_bytes(64 << 20), 256 << 10);
    }
}
