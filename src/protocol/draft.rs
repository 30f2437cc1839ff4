//! A torrent file to be: everything that goes into it, and the bytes that it becomes (BEP 3, 12, 19, 27).
//!
//! The other direction of `metainfo`. It reads no content: lengths and hashes are given.

use bip_bencode::{BMutAccess, BencodeMut};

/// Fewest and most bytes of a piece that [`Draft::piece_bytes_for`] chooses.
const PIECE_BYTES: std::ops::RangeInclusive<u64> = (16 << 10)..=(16 << 20);
/// About so many pieces keep the torrent file small and a spoilt piece cheap.
const PIECES_WANTED: u64 = 1500;

/// What a torrent file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    /// Name of the file, or of the folder when there are several.
    pub name: String,
    /// Components below the folder, and length in bytes. A single file outside any folder has an empty path.
    pub files: Vec<(Vec<String>, u64)>,
    /// Bytes of every piece but the last.
    pub piece_bytes: u32,
    /// Announce URLs in tiers (BEP 12).
    pub trackers: Vec<Vec<String>>,
    /// Where the content can be had over HTTP (BEP 19).
    pub web_seeds: Vec<String>,
    /// Peers may come from these trackers only (BEP 27).
    pub private: bool,
    /// Anything.
    pub comment: Option<String>,
    /// The program that makes it.
    pub created_by: Option<String>,
    /// Seconds since 1970.
    pub creation_date: Option<i64>,
}

impl Draft {
    /// A piece length for `total` bytes: a power of two from 16 KiB to 16 MiB that gives some 750 to 1,500 pieces where it can.
    pub fn piece_bytes_for(total: u64) -> u32 {
        let wanted = (total / PIECES_WANTED).clamp(*PIECE_BYTES.start(), *PIECE_BYTES.end());
        u32::try_from(wanted.next_power_of_two()).unwrap_or(u32::MAX)
    }

    /// The file's bytes. `hashes` holds the SHA-1 of each piece, in order.
    pub fn encode(&self, hashes: &[[u8; 20]]) -> Vec<u8> {
        let mut file = Dict::new();
        file.put("info", self.info(hashes));
        if let Some(first) = self.trackers.iter().flatten().next() {
            file.put("announce", text(first));
        }
        if self.trackers.iter().flatten().count() > 1 {
            file.put("announce-list", list(self.trackers.iter().map(|tier| list(tier.iter().map(|url| text(url))))));
        }
        match &self.web_seeds[..] {
            [] => {}
            [one] => file.put("url-list", text(one)),
            several => file.put("url-list", list(several.iter().map(|url| text(url)))),
        }
        for (key, value) in [("comment", &self.comment), ("created by", &self.created_by)] {
            if let Some(value) = value {
                file.put(key, text(value));
            }
        }
        if let Some(date) = self.creation_date {
            file.put("creation date", BencodeMut::new_int(date));
        }
        file.0.encode()
    }

    fn info(&self, hashes: &[[u8; 20]]) -> BencodeMut<'static> {
        let mut info = Dict::new();
        info.put("name", text(&self.name));
        info.put("piece length", BencodeMut::new_int(i64::from(self.piece_bytes)));
        info.put("pieces", BencodeMut::new_bytes(hashes.concat().into()));
        match &self.files[..] {
            [(path, length)] if path.is_empty() => info.put("length", int(*length)),
            files => info.put(
                "files",
                list(files.iter().map(|(path, length)| {
                    let mut file = Dict::new();
                    file.put("length", int(*length));
                    file.put("path", list(path.iter().map(|name| text(name))));
                    file.0
                })),
            ),
        }
        if self.private {
            info.put("private", BencodeMut::new_int(1));
        }
        info.0
    }
}

struct Dict(BencodeMut<'static>);

impl Dict {
    fn new() -> Self {
        Self(BencodeMut::new_dict())
    }

    fn put(&mut self, key: &str, value: BencodeMut<'static>) {
        if let Some(inner) = self.0.dict_mut() {
            inner.insert(key.as_bytes().to_vec().into(), value);
        }
    }
}

fn text(text: &str) -> BencodeMut<'static> {
    BencodeMut::new_bytes(text.as_bytes().to_vec().into())
}

fn int(number: u64) -> BencodeMut<'static> {
    BencodeMut::new_int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn list(entries: impl IntoIterator<Item = BencodeMut<'static>>) -> BencodeMut<'static> {
    let mut list = BencodeMut::new_list();
    if let Some(inner) = list.list_mut() {
        entries.into_iter().for_each(|entry| inner.push(entry));
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Metainfo;

    fn draft() -> Draft {
        Draft { name: "x".into(), files: vec![(Vec::new(), 40_000)], piece_bytes: 16_384, ..Draft::default() }
    }

    #[test]
    fn what_is_drafted_is_what_is_read() {
        let draft = Draft {
            files: vec![(vec!["a".into(), "é".into()], 30_000), (vec!["b".into()], 10_000)],
            trackers: vec![vec!["http://a.example/announce".into(), "http://b.example/announce".into()]],
            private: true,
            comment: Some("a comment".into()),
            created_by: Some("a test".into()),
            creation_date: Some(1_700_000_000),
            ..draft()
        };
        let read = Metainfo::parse(&draft.encode(&[[7; 20]; 3])).unwrap();
        assert_eq!((read.name.as_str(), read.private, read.layout.pieces()), ("x", true, 3));
        assert_eq!(read.files[0].path, ["x", "a", "é"]);
        assert_eq!(read.trackers, draft.trackers);
        assert_eq!((read.comment, read.created_by), (draft.comment, draft.created_by));
        assert_eq!(read.creation_date, draft.creation_date);
        assert!(read.mended.is_empty());
    }

    #[test]
    fn a_single_file_needs_no_folder_and_extras_stay_out_of_the_info_hash() {
        let hashes = [[7; 20]; 3];
        let plain = Metainfo::parse(&draft().encode(&hashes)).unwrap();
        assert_eq!(plain.files[0].path, ["x"]);
        let adorned = Draft { comment: Some("c".into()), web_seeds: vec!["http://w.example/x".into()], ..draft() };
        assert_eq!(Metainfo::parse(&adorned.encode(&hashes)).unwrap().info_hash, plain.info_hash);
        let private = Draft { private: true, ..draft() };
        assert_ne!(Metainfo::parse(&private.encode(&hashes)).unwrap().info_hash, plain.info_hash);
    }

    #[test]
    fn pieces_are_neither_too_many_nor_too_large() {
        assert_eq!(Draft::piece_bytes_for(0), 16 << 10);
        assert_eq!(Draft::piece_bytes_for(300 << 20), 256 << 10);
        assert_eq!(Draft::piece_bytes_for(4 << 30), 4 << 20);
        assert_eq!(Draft::piece_bytes_for(u64::MAX), 16 << 20);
    }
}
