//! What one run of a torrent tells the next: finished pieces, how the files stood, totals, good peers.
//!
//! Pure: bytes in, verdict out. One bencoded dictionary and its SHA-1 behind it. What is not exactly that, or of another torrent,
//! or of a newer bt-erl, is a named error, and then everything on disk is hashed again. It never believes more than the files bear out:
//! a piece counts as finished only when every file under it has the length and the time of change that were written down.

use std::fmt;
use std::net::SocketAddr;

use sha1::{Digest, Sha1};

use super::bencode::{self, BencodeError};
use super::{Bitfield, BitfieldError, InfoHash, Layout};

/// What the dictionary calls itself.
const KIND: &[u8] = b"bt-erl resume";
/// Raised when an older bt-erl would misread it.
const VERSION: i64 = 1;
/// Good peers kept at most.
pub const MAX_PEERS: usize = 100;
/// Bytes of a file's stamp: length and time, eight each; all ones when there is none.
const STAMP_BYTES: usize = 16;
const NO_STAMP: [u8; STAMP_BYTES] = [0xff; STAMP_BYTES];
const SUM_BYTES: usize = 20;

/// How a file stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Its length in bytes.
    pub length: u64,
    /// When it was last changed, in nanoseconds since 1970, as its file system tells it.
    pub modified: u64,
}

/// What is kept of one torrent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// The torrent.
    pub info_hash: InfoHash,
    /// Pieces that were finished.
    pub have: Bitfield,
    /// Pieces that were on their way to the disk: they may be there.
    pub unsure: Bitfield,
    /// How each file stood while [`have`](Self::have) was true; `None`: it was not there, or was being changed.
    pub files: Vec<Option<Stamp>>,
    /// Names the run of the operating system up to whose end all this is true: what was written had not been synced. `None`: it had.
    pub boot: Option<String>,
    /// Bytes of blocks sent, over all runs.
    pub uploaded: u64,
    /// Bytes of blocks received, over all runs.
    pub downloaded: u64,
    /// Peers that were of use, the best first; at most [`MAX_PEERS`].
    pub peers: Vec<SocketAddr>,
}

/// What a record is worth, seen beside the files as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// Pieces that are finished.
    pub finished: Bitfield,
    /// Pieces that nobody can vouch for: to be hashed.
    pub check: Bitfield,
}

/// Why bytes are no record of this torrent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResumeError {
    /// Not the bencoding that was expected.
    Bencode(BencodeError),
    /// Bencoding of something else.
    Foreign,
    /// Written by a newer bt-erl.
    Newer {
        /// Its version of the format.
        version: i64,
    },
    /// Bytes were changed or are missing.
    Damaged,
    /// It belongs to another torrent.
    OtherTorrent,
    /// Not as many pieces as the torrent has.
    Pieces(BitfieldError),
    /// Not as many files as the torrent has.
    Files,
}

impl fmt::Display for ResumeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bencode(error) => error.fmt(f),
            Self::Foreign => write!(f, "it is not a resume file of bt-erl"),
            Self::Newer { version } => {
                write!(f, "a newer bt-erl wrote it (format {version}, this one knows {VERSION})")
            }
            Self::Damaged => write!(f, "it is damaged: its checksum is wrong"),
            Self::OtherTorrent => write!(f, "it belongs to another torrent"),
            Self::Pieces(error) => write!(f, "its pieces are not those of the torrent: {error}"),
            Self::Files => write!(f, "its files are not those of the torrent"),
        }
    }
}

impl std::error::Error for ResumeError {}

impl From<BencodeError> for ResumeError {
    fn from(error: BencodeError) -> Self {
        Self::Bencode(error)
    }
}

impl Resume {
    /// The most bytes that a record of such a torrent takes.
    pub fn max_bytes(layout: &Layout) -> usize {
        2 * Bitfield::bytes_for(layout.pieces()) + STAMP_BYTES * layout.files() + 64 * MAX_PEERS + 4096
    }

    /// As it is written to disk.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = b"d".to_vec();
        let mut field = |key: &str, value: Vec<u8>| {
            string(&mut out, key.as_bytes());
            out.extend(value);
        };
        let text = |bytes: &[u8]| {
            let mut value = Vec::with_capacity(bytes.len() + 8);
            string(&mut value, bytes);
            value
        };
        let number = |n: u64| format!("i{}e", n.min(i64::MAX as u64)).into_bytes();
        // Sorted, as BEP 3 demands.
        if let Some(boot) = &self.boot {
            field("boot", text(boot.as_bytes()));
        }
        field("downloaded", number(self.downloaded));
        field("files", text(&self.files.iter().copied().flat_map(stamp_bytes).collect::<Vec<u8>>()));
        field("have", text(self.have.as_bytes()));
        field("info hash", text(&self.info_hash.0));
        field("kind", text(KIND));
        let peers = self.peers.iter().take(MAX_PEERS).flat_map(|peer| text(peer.to_string().as_bytes()));
        field("peers", [b'l'].into_iter().chain(peers).chain([b'e']).collect());
        field("unsure", text(self.unsure.as_bytes()));
        field("uploaded", number(self.uploaded));
        field("version", number(VERSION as u64));
        out.push(b'e');
        let sum: [u8; SUM_BYTES] = Sha1::digest(&out).into();
        out.extend(sum);
        out
    }

    /// Reads what was kept of the torrent `info_hash`, which is cut like `layout`.
    pub fn decode(bytes: &[u8], info_hash: InfoHash, layout: &Layout) -> Result<Self, ResumeError> {
        let (value, sum) = bencode::read_first(bytes)?;
        let fields = value.dict()?;
        if fields.get("kind").and_then(|kind| kind.bytes()) != Some(KIND) {
            return Err(ResumeError::Foreign);
        }
        // Before the checksum, which a newer one may compute in another way.
        let version = fields.int("version")?;
        if version > VERSION {
            return Err(ResumeError::Newer { version });
        }
        if sum != &Sha1::digest(value.raw())[..] {
            return Err(ResumeError::Damaged);
        }
        if fields.bytes("info hash")? != info_hash.0 {
            return Err(ResumeError::OtherTorrent);
        }
        let pieces = |key| -> Result<Bitfield, ResumeError> {
            Bitfield::from_wire(fields.bytes(key)?, layout.pieces()).map_err(ResumeError::Pieces)
        };
        let (stamps, rest) = fields.bytes("files")?.as_chunks::<STAMP_BYTES>();
        if stamps.len() != layout.files() || !rest.is_empty() {
            return Err(ResumeError::Files);
        }
        let text =
            |value: bencode::Value<'_>| value.bytes().and_then(|bytes| str::from_utf8(bytes).ok().map(str::to_owned));
        let peers = fields.list("peers")?.filter_map(text).filter_map(|peer| peer.parse().ok());
        let total = |key| fields.int(key).map(|n| u64::try_from(n).unwrap_or(0));
        Ok(Self {
            info_hash,
            have: pieces("have")?,
            unsure: pieces("unsure")?,
            files: stamps.iter().map(read_stamp).collect(),
            boot: fields.get("boot").map(|boot| text(boot).unwrap_or_default()),
            uploaded: total("uploaded")?,
            downloaded: total("downloaded")?,
            peers: peers.take(MAX_PEERS).collect(),
        })
    }

    /// What can be believed when the files are as `found` says, one for each, and the operating system runs as `boot`.
    pub fn trust(&self, layout: &Layout, found: &[Option<Stamp>], boot: Option<&str>) -> Trust {
        let pieces = layout.pieces();
        if self.boot.is_some() && self.boot.as_deref() != boot {
            return Trust { finished: Bitfield::new(pieces), check: Bitfield::full(pieces) };
        }
        let mut check = self.unsure.clone();
        for (file, recorded) in self.files.iter().enumerate() {
            if found.get(file).copied().flatten() != *recorded {
                for piece in layout.pieces_of_file(file) {
                    check.set(piece);
                }
            }
        }
        let mut finished = Bitfield::new(pieces);
        for piece in self.have.iter_ones().filter(|piece| !check.get(*piece)) {
            finished.set(piece);
        }
        Trust { finished, check }
    }
}

/// The files as they stood all the while: those that were the same `before` and `after`, and were last changed before `settled` (in
/// nanoseconds since 1970). File systems tell times coarsely: a change right after one that was just seen could look like the same.
pub fn unchanged(before: &[Option<Stamp>], after: &[Option<Stamp>], settled: u64) -> Vec<Option<Stamp>> {
    let same = |(before, after): (&Option<Stamp>, &Option<Stamp>)| {
        after.filter(|after| Some(*after) == *before && after.modified < settled)
    };
    before.iter().zip(after).map(same).collect()
}

fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(bytes.len().to_string().into_bytes());
    out.push(b':');
    out.extend(bytes);
}

fn stamp_bytes(stamp: Option<Stamp>) -> [u8; STAMP_BYTES] {
    let Some(Stamp { length, modified }) = stamp else { return NO_STAMP };
    let mut bytes = [0; STAMP_BYTES];
    bytes[..8].copy_from_slice(&length.to_be_bytes());
    bytes[8..].copy_from_slice(&modified.to_be_bytes());
    bytes
}

fn read_stamp(bytes: &[u8; STAMP_BYTES]) -> Option<Stamp> {
    let number = u128::from_be_bytes(*bytes);
    (*bytes != NO_STAMP).then_some(Stamp { length: (number >> 64) as u64, modified: number as u64 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HASH: InfoHash = InfoHash([7; 20]);

    /// Pieces of 10 bytes; files of 25, 0 and 30 bytes: pieces 0-2 and 2-5, piece 2 shared.
    fn layout() -> Layout {
        Layout::new(10, [25, 0, 30]).expect("a valid layout")
    }

    fn field(drawn: &str) -> Bitfield {
        let mut field = Bitfield::new(drawn.len() as u32);
        for (n, _) in (0u32..).zip(drawn.chars()).filter(|(_, c)| *c == 'x') {
            field.set(n);
        }
        field
    }

    fn stamp(modified: u64) -> Option<Stamp> {
        Some(Stamp { length: 25, modified })
    }

    fn record() -> Resume {
        Resume {
            info_hash: HASH,
            have: field("xx.x.x"),
            unsure: field("....x."),
            files: vec![stamp(1), None, stamp(3)],
            boot: None,
            uploaded: 5,
            downloaded: u64::MAX,
            peers: ["1.2.3.4:5", "[::1]:6"].map(|peer| peer.parse().expect("an address")).to_vec(),
        }
    }

    fn trusted(record: &Resume, found: &[Option<Stamp>]) -> (Bitfield, Bitfield) {
        let Trust { finished, check } = record.trust(&layout(), found, Some("this boot"));
        (finished, check)
    }

    #[test]
    fn what_is_written_is_read_again() {
        for boot in [None, Some("a boot".to_owned())] {
            let record = Resume { boot, ..record() };
            let read = Resume { downloaded: i64::MAX as u64, ..record.clone() };
            assert_eq!(Resume::decode(&record.encode(), HASH, &layout()), Ok(read));
            assert!(record.encode().len() <= Resume::max_bytes(&layout()));
        }
    }

    #[test]
    fn pieces_are_believed_where_all_their_files_are_as_they_were() {
        let record = record();
        assert_eq!(trusted(&record, &[stamp(1), None, stamp(3)]), (field("xx.x.x"), field("....x.")));
        assert_eq!(trusted(&record, &[stamp(2), None, stamp(3)]), (field("...x.x"), field("xxx.x.")));
        assert_eq!(trusted(&record, &[stamp(1), None, None]), (field("xx...."), field("..xxxx")));
        assert_eq!(trusted(&record, &[]), (field("......"), field("xxxxxx")));
    }

    #[test]
    fn what_was_not_synced_is_not_believed_after_another_boot() {
        let files = [stamp(1), None, stamp(3)];
        let of = |boot: &str| Resume { boot: Some(boot.to_owned()), ..record() };
        assert_eq!(trusted(&of("this boot"), &files), (field("xx.x.x"), field("....x.")));
        assert_eq!(trusted(&of("another"), &files), (field("......"), field("xxxxxx")));
        let unknown = of("this boot").trust(&layout(), &files, None);
        assert_eq!(unknown.check, field("xxxxxx"));
    }

    #[test]
    fn a_file_that_was_just_changed_has_no_stamp() {
        let before = [stamp(1), stamp(2), stamp(90), None];
        assert_eq!(unchanged(&before, &[stamp(1), stamp(3), stamp(90), None], 50), [stamp(1), None, None, None]);
    }

    #[test]
    fn every_way_to_be_wrong_has_a_name() {
        let good = record().encode();
        let decode = |bytes: &[u8]| Resume::decode(bytes, HASH, &layout()).expect_err("a bad record");
        assert!(matches!(decode(b""), ResumeError::Bencode(BencodeError::Truncated)));
        assert!(matches!(decode(b"<html>"), ResumeError::Bencode(_)));
        assert_eq!(decode(b"d4:infoi3ee"), ResumeError::Foreign);
        assert_eq!(decode(&good[..good.len() - 1]), ResumeError::Damaged);
        let swap = |from: &[u8], to: &[u8]| {
            let at = good.windows(from.len()).position(|part| part == from).expect("it is in there");
            let mut bytes = good.clone();
            bytes[at..at + to.len()].copy_from_slice(to);
            bytes
        };
        assert_eq!(decode(&swap(b"versioni1e", b"versioni2e")), ResumeError::Newer { version: 2 });
        assert_eq!(decode(&swap(b"uploadedi5e", b"uploadedi6e")), ResumeError::Damaged);
        assert_eq!(Resume::decode(&good, InfoHash([8; 20]), &layout()), Err(ResumeError::OtherTorrent));
        let files = Layout::new(10, [25, 30]).expect("a valid layout");
        assert_eq!(Resume::decode(&good, HASH, &files), Err(ResumeError::Files));
        let pieces = Layout::new(5, [25, 0, 30]).expect("a valid layout");
        assert!(matches!(Resume::decode(&good, HASH, &pieces), Err(ResumeError::Pieces(_))));
    }

    proptest! {
        #[test]
        fn no_damage_is_overlooked(at in 0usize..300, bit in 0u8..8, cut in 0usize..300) {
            let good = record().encode();
            let mut bytes = good.clone();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert!(Resume::decode(&bytes, HASH, &layout()).is_err());
            prop_assert!(Resume::decode(&good[..cut % good.len()], HASH, &layout()).is_err());
        }

        #[test]
        fn no_bytes_make_it_crash(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Resume::decode(&bytes, HASH, &layout());
        }
    }
}
