//! Torrents made by hand: honest ones from a [`Content`], and a [`Forge`] whose every field can be bent.

use sha1::{Digest, Sha1};

use super::bencode::{Ben, dict, list, text};
use super::content::Content;

/// What a peer or a test has to know about a torrent, and its bytes.
#[derive(Clone)]
pub(crate) struct Torrent {
    pub(crate) bytes: Vec<u8>,
    pub(crate) info_hash: [u8; 20],
    pub(crate) piece_bytes: u64,
    pub(crate) pieces: u32,
    pub(crate) total: u64,
}

impl Torrent {
    /// A version 1 torrent of `content`.
    pub(crate) fn of(content: &Content, piece_bytes: u64, announce: Option<&str>) -> Torrent {
        let mut forge = Forge::of(content, piece_bytes);
        forge.announce = announce.map(str::to_owned);
        forge.torrent(content.total())
    }

    /// Bytes of piece `piece`.
    pub(crate) fn piece_length(&self, piece: u32) -> usize {
        (self.total - u64::from(piece) * self.piece_bytes).min(self.piece_bytes) as usize
    }
}

/// An info hash in hexadecimal.
pub(crate) fn hex(info_hash: &[u8; 20]) -> String {
    info_hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-1 of every piece of `content`, one after another.
pub(crate) fn hashes(content: &Content, piece_bytes: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let mut buffer = vec![0; 1 << 20];
    let mut offset = 0;
    while offset < content.total() {
        let end = (offset + piece_bytes).min(content.total());
        let mut hash = Sha1::new();
        while offset < end {
            let n = (end - offset).min(buffer.len() as u64) as usize;
            content.fill(offset, &mut buffer[..n]);
            hash.update(&buffer[..n]);
            offset += n as u64;
        }
        out.extend_from_slice(&hash.finalize());
    }
    out
}

/// The parts of a torrent file before they are put together, so that a test can bend any of them.
#[derive(Clone)]
pub(crate) struct Forge {
    /// The info dictionary, in the order written.
    pub(crate) info: Vec<(Vec<u8>, Ben)>,
    /// More entries of the outer dictionary, before `info`.
    pub(crate) outer: Vec<(Vec<u8>, Ben)>,
    pub(crate) announce: Option<String>,
    piece_bytes: u64,
}

impl Forge {
    /// The honest torrent of `content`.
    pub(crate) fn of(content: &Content, piece_bytes: u64) -> Forge {
        let what = if content.single {
            ("length", Ben::Int(content.total().into()))
        } else {
            let files = content.files.iter().map(|file| {
                let path = list(file.path.iter().map(text));
                let attr = file.pad.then(|| ("attr", text("p")));
                dict(attr.into_iter().chain([("length", Ben::Int(file.length.into())), ("path", path)]))
            });
            ("files", list(files))
        };
        let info = [
            what,
            ("name", text(&content.name)),
            ("piece length", Ben::Int(piece_bytes.into())),
            ("pieces", text(hashes(content, piece_bytes))),
        ];
        let info = info.map(|(key, value)| (key.as_bytes().to_vec(), value)).to_vec();
        Forge { info, outer: vec![], announce: None, piece_bytes }
    }

    /// A small single-file torrent: 40,000 bytes, three pieces of 16 KiB.
    pub(crate) fn small() -> Forge {
        Forge::of(&Content::single("small.bin", 40_000, 1), 16_384)
    }

    /// A small torrent with a folder of two files.
    pub(crate) fn small_folder() -> Forge {
        Forge::of(&Content::tree("folder", &[("a.bin", 20_000), ("b.bin", 20_000)], 1), 16_384)
    }

    /// With `key` of the info dictionary replaced where it stands, or put in sorted order.
    pub(crate) fn with(mut self, key: &str, value: Ben) -> Forge {
        match self.info.iter_mut().find(|(k, _)| k == key.as_bytes()) {
            Some(entry) => entry.1 = value,
            None => {
                let place = self.info.partition_point(|(k, _)| k.as_slice() < key.as_bytes());
                self.info.insert(place, (key.as_bytes().to_vec(), value));
            }
        }
        self
    }

    /// Without `key` in the info dictionary.
    pub(crate) fn without(mut self, key: &str) -> Forge {
        self.info.retain(|(k, _)| k != key.as_bytes());
        self
    }

    /// With one more entry in the outer dictionary.
    pub(crate) fn outer(mut self, key: &str, value: Ben) -> Forge {
        self.outer.push((key.as_bytes().to_vec(), value));
        self
    }

    /// The torrent file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let announce = self.announce.iter().map(|url| (b"announce".to_vec(), text(url)));
        let info = (b"info".to_vec(), Ben::Dict(self.info.clone()));
        Ben::Dict(announce.chain(self.outer.iter().cloned()).chain([info]).collect()).encode()
    }

    /// The torrent, for content of `total` bytes.
    pub(crate) fn torrent(&self, total: u64) -> Torrent {
        Torrent {
            bytes: self.bytes(),
            info_hash: Sha1::digest(Ben::Dict(self.info.clone()).encode()).into(),
            piece_bytes: self.piece_bytes,
            pieces: u32::try_from(total.div_ceil(self.piece_bytes)).expect("fewer than 2^32 pieces"),
            total,
        }
    }
}

/// The info hash of a torrent file that someone else made: SHA-1 over the raw bytes of its info dictionary.
pub(crate) fn info_hash_of(bytes: &[u8]) -> [u8; 20] {
    let mut at = 1;
    while bytes[at] != b'e' {
        let (key, value) = (at, skip(bytes, at));
        let end = skip(bytes, value);
        if &bytes[key..value] == b"4:info" {
            return Sha1::digest(&bytes[value..end]).into();
        }
        at = end;
    }
    panic!("no info dictionary")
}

/// Where the value that begins at `at` ends.
fn skip(bytes: &[u8], at: usize) -> usize {
    match bytes[at] {
        b'i' => at + 1 + bytes[at..].iter().position(|byte| *byte == b'e').expect("the end of a number"),
        b'l' | b'd' => {
            let mut at = at + 1;
            while bytes[at] != b'e' {
                at = skip(bytes, at);
            }
            at + 1
        }
        _ => {
            let digits: Vec<u8> = bytes[at..].iter().copied().take_while(u8::is_ascii_digit).collect();
            let length: usize = String::from_utf8(digits.clone()).expect("digits").parse().expect("a length");
            at + digits.len() + 1 + length
        }
    }
}
