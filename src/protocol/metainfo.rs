//! Torrent files (BEP 3, 12, 27, 47): bytes in, a torrent that can be downloaded out, or the reason why not.
//!
//! [`Metainfo::parse`] is the only way in, so whoever holds a `Metainfo` holds lengths that add up, hashes for exactly
//! the pieces there are, and file names that stay below the download folder (`paths` mends them). It takes at most
//! 64 MiB beyond twice its input, whatever the input says. It opens nothing: reading the file is the caller's.

use std::fmt;
use std::sync::Arc;

use sha1::{Digest, Sha1};

use super::bencode::{self, BencodeError, Dict, Fault, Value};
use super::{InfoHash, Layout, LayoutError, PieceIndex};

mod error;
mod parts;
mod paths;

pub use error::MetainfoError;
pub use parts::PartNames;
use paths::Names;
pub(crate) use paths::is_unprintable;
pub use paths::{Mended, Why};

/// Memory that the parsed torrent may take, by an estimate that errs on the high side.
const MEMORY_BYTES: usize = 56 << 20;
/// Most tracker URLs kept, and the longest one, in bytes.
const MAX_TRACKERS: usize = 200;
const MAX_URL_BYTES: usize = 2048;
/// Longest comment kept, in characters.
const MAX_TEXT: usize = 1000;

/// A torrent.
#[derive(Debug, Clone)]
pub struct Metainfo {
    /// SHA-1 of the `info` dictionary exactly as it stands in the file.
    pub info_hash: InfoHash,
    /// Name of the file, or of the folder when there are several; mended.
    pub name: String,
    /// How the bytes are cut into pieces and files.
    pub layout: Layout,
    /// What each piece must hash to.
    pub hashes: PieceHashes,
    /// The files in the torrent's order; at least one.
    pub files: Vec<File>,
    /// Announce URLs in tiers (BEP 12): the first tier is tried first. Each URL once.
    pub trackers: Vec<Vec<String>>,
    /// Peers may come from these trackers only (BEP 27).
    pub private: bool,
    /// Names that could not stay as they were; the first 1,000 of them.
    pub mended: Vec<Mended>,
    /// How many more names were mended than `mended` lists.
    pub mended_unlisted: usize,
    /// What its maker had to say; printable.
    pub comment: Option<String>,
    /// The program that made it; printable.
    pub created_by: Option<String>,
    /// When it was made, in seconds since 1970, as it claims.
    pub creation_date: Option<i64>,
}

/// A file of a torrent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Components below the download folder; with several files the first is the torrent's name. Safe to join: each is
    /// one name, none is empty or leads up, and no two files that are not padding have the same path on any system.
    pub path: Vec<String>,
    /// In bytes.
    pub length: u64,
    /// Padding (BEP 47): zeros that only align the next file; not to be written.
    pub pad: bool,
}

/// The SHA-1 of every piece: a view into the info dictionary. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct PieceHashes {
    /// The info dictionary as it stands in the torrent file.
    info: Arc<[u8]>,
    /// Where in it the hashes are.
    at: std::ops::Range<usize>,
}

impl PieceHashes {
    /// What a piece must hash to. Panics if it is not a piece of this torrent, which [`Layout::check_piece`] excludes.
    pub fn get(&self, piece: PieceIndex) -> &[u8; 20] {
        &self.info[self.at.clone()].as_chunks().0[piece.0 as usize]
    }
}

impl fmt::Debug for PieceHashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PieceHashes({})", self.at.len() / 20)
    }
}

impl Metainfo {
    /// Largest torrent file that is read.
    pub const MAX_BYTES: usize = 64 << 20;

    /// Reads a torrent file.
    pub fn parse(bytes: &[u8]) -> Result<Self, MetainfoError> {
        if bytes.len() > Self::MAX_BYTES {
            return Err(MetainfoError::TooLarge { bytes: bytes.len() });
        }
        let root = bencode::read(bytes)?.dict()?;
        let raw_info = root.value("info")?;
        let info = raw_info.dict().map_err(|error| error.within("info"))?;
        let mut metainfo = Self::parse_info(&info, raw_info).map_err(|error| error.within("info"))?;
        metainfo.trackers = trackers(&root);
        metainfo.comment = text(&root, "comment");
        metainfo.created_by = text(&root, "created by");
        metainfo.creation_date = root.get("creation date").and_then(Value::int);
        Ok(metainfo)
    }

    /// The torrent whose info dictionary this is, to the byte: what peers gave for a magnet link (BEP 9). `trackers` are the link's; each
    /// is a tier of its own.
    pub fn of_info(info: &[u8], trackers: &[String]) -> Result<Self, MetainfoError> {
        if info.len() > Self::MAX_BYTES {
            return Err(MetainfoError::TooLarge { bytes: info.len() });
        }
        let raw = bencode::read(info)?;
        let mut metainfo = Self::parse_info(&raw.dict()?, raw)?;
        metainfo.trackers = trackers.iter().take(MAX_TRACKERS).map(|url| vec![url.clone()]).collect();
        Ok(metainfo)
    }

    /// The info dictionary exactly as it stands in the torrent file: what peers may ask for (BEP 9).
    pub fn info_bytes(&self) -> &[u8] {
        &self.hashes.info
    }

    fn parse_info(info: &Dict<'_>, raw: Value<'_>) -> Result<Self, MetainfoError> {
        if info.get("pieces").is_none() && (info.get("file tree").is_some() || info.get("meta version").is_some()) {
            return Err(MetainfoError::VersionTwoOnly);
        }
        let piece_length = info.int("piece length")?;
        let pieces = info.bytes("pieces")?;
        let name = preferred(info, "name", Value::bytes).map_or_else(|| info.bytes("name"), Ok)?;

        let mut budget = Budget(MEMORY_BYTES);
        let mut names = Names::new(name);
        let files = match (info.get("length"), info.get("files")) {
            (Some(_), None) => vec![single_file(info, &mut names)?],
            (None, Some(_)) => several_files(info, &mut names, &mut budget)?,
            (Some(_), Some(_)) => return Err(MetainfoError::LengthAndFiles),
            (None, None) => return Err(MetainfoError::NoLength),
        };
        let layout = layout(piece_length, &files)?;
        check_hashes(pieces, &layout)?;
        let at = pieces.as_ptr() as usize - raw.raw().as_ptr() as usize;
        let hashes = PieceHashes { info: raw.raw().into(), at: at..at + pieces.len() };
        let (name, mended, mended_unlisted) = names.done();
        Ok(Self {
            info_hash: InfoHash(Sha1::digest(raw.raw()).into()),
            name,
            layout,
            hashes,
            files,
            trackers: Vec::new(),
            private: info.get("private").and_then(Value::int) == Some(1),
            mended,
            mended_unlisted,
            comment: None,
            created_by: None,
            creation_date: None,
        })
    }
}

/// Memory still to be had.
struct Budget(usize);

impl Budget {
    fn spend(&mut self, bytes: usize) -> Result<(), MetainfoError> {
        self.0 = self.0.checked_sub(bytes).ok_or(MetainfoError::TooMuchMemory)?;
        Ok(())
    }
}

fn layout(piece_length: i64, files: &[File]) -> Result<Layout, MetainfoError> {
    let wrong = MetainfoError::PieceLength { piece_length };
    let piece_bytes = u32::try_from(piece_length).map_err(|_| wrong.clone())?;
    Layout::new(piece_bytes, files.iter().map(|file| file.length)).map_err(|error| match error {
        LayoutError::PieceLength { .. } => wrong,
        other => MetainfoError::Layout(other),
    })
}

fn check_hashes(pieces: &[u8], layout: &Layout) -> Result<(), MetainfoError> {
    let (hashes, rest) = pieces.as_chunks::<20>();
    if !rest.is_empty() {
        return Err(MetainfoError::HashesCut { bytes: pieces.len() });
    }
    if hashes.len() != layout.pieces() as usize {
        return Err(MetainfoError::HashCount { hashes: hashes.len(), pieces: layout.pieces() });
    }
    Ok(())
}

fn length(dict: &Dict<'_>, file: usize) -> Result<u64, MetainfoError> {
    let length = dict.int("length")?;
    u64::try_from(length).map_err(|_| MetainfoError::NegativeLength { file, length })
}

fn single_file(info: &Dict<'_>, names: &mut Names) -> Result<File, MetainfoError> {
    let length = length(info, 0)?;
    if attributes(info).contains(&b'l') {
        names.note_symlink(0, &[names.root().to_owned()]);
    }
    Ok(File { path: vec![names.root().to_owned()], length, pad: false })
}

fn several_files(info: &Dict<'_>, names: &mut Names, budget: &mut Budget) -> Result<Vec<File>, MetainfoError> {
    // Counted first, so that the list is allocated once.
    let count = info.list("files")?.count();
    if count == 0 {
        return Err(MetainfoError::NoFiles);
    }
    budget.spend(count.saturating_mul(paths::FILE_COST))?;
    let mut files = Vec::with_capacity(count);
    for (file, entry) in info.list("files")?.enumerate() {
        let read = one_of_several(file, entry, names).map_err(|error| error.within(format_args!("files → {file}")))?;
        budget.spend(names.cost_of(&read))?;
        files.push(read);
    }
    names.make_distinct(&mut files);
    Ok(files)
}

fn one_of_several(file: usize, entry: Value<'_>, names: &mut Names) -> Result<File, MetainfoError> {
    let entry = entry.dict()?;
    let length = length(&entry, file)?;
    let attributes = attributes(&entry);
    let pad = attributes.contains(&b'p');
    let raw = match preferred(&entry, "path", components) {
        Some(raw) => raw,
        None => {
            entry.list("path")?;
            return Err(BencodeError::field("path", Fault::NotA { kind: "a list of strings" }).into());
        }
    };
    let path = names.path(file, &raw, pad)?;
    if attributes.contains(&b'l') {
        names.note_symlink(file, &path);
    }
    Ok(File { path, length, pad })
}

/// The components of a path, as far as one may be long; `None` when it is no list of strings.
fn components(path: Value<'_>) -> Option<Vec<&[u8]>> {
    path.list()?.take(paths::MAX_COMPONENTS + 1).map(Value::bytes).collect()
}

fn attributes<'a>(dict: &Dict<'a>) -> &'a [u8] {
    dict.bytes("attr").unwrap_or_default()
}

/// The field in its `.utf-8` form when that is there and UTF-8, otherwise as BEP 3 has it.
fn preferred<'a, T: MaybeUtf8>(dict: &Dict<'a>, key: &str, read: impl Fn(Value<'a>) -> Option<T>) -> Option<T> {
    let utf8 = dict.get(&format!("{key}.utf-8")).and_then(&read).filter(T::is_utf8);
    utf8.or_else(|| dict.get(key).and_then(&read))
}

trait MaybeUtf8 {
    fn is_utf8(&self) -> bool;
}

impl MaybeUtf8 for &[u8] {
    fn is_utf8(&self) -> bool {
        str::from_utf8(self).is_ok()
    }
}

impl MaybeUtf8 for Vec<&[u8]> {
    fn is_utf8(&self) -> bool {
        !self.is_empty() && self.iter().all(MaybeUtf8::is_utf8)
    }
}

/// The announce URLs in tiers. `announce` counts only when there is no usable list (BEP 12).
fn trackers(root: &Dict<'_>) -> Vec<Vec<String>> {
    let mut left = MAX_TRACKERS;
    let mut known = Vec::new();
    let mut tier = |urls: &mut dyn Iterator<Item = Value<'_>>| {
        let mut tier = Vec::new();
        for url in urls.take(MAX_TRACKERS).filter_map(|url| announce_url(url.bytes()?)) {
            if left > 0 && !known.contains(&url) {
                left -= 1;
                known.push(url.clone());
                tier.push(url);
            }
        }
        tier
    };
    let tiers = root.list("announce-list").into_iter().flatten().take(MAX_TRACKERS);
    let mut tiers: Vec<_> = tiers.filter_map(Value::list).map(|mut urls| tier(&mut urls)).collect();
    tiers.retain(|tier| !tier.is_empty());
    if tiers.is_empty() {
        tiers.push(tier(&mut root.get("announce").into_iter()));
        tiers.retain(|tier| !tier.is_empty());
    }
    tiers
}

/// An announce URL as it came from outside, when it can be one.
pub(super) fn announce_url(bytes: &[u8]) -> Option<String> {
    let url = str::from_utf8(bytes).ok()?.trim();
    let strange = |c: char| c.is_whitespace() || is_unprintable(c);
    (url.len() <= MAX_URL_BYTES && url.contains("://") && !url.contains(strange)).then(|| url.to_owned())
}

fn text(root: &Dict<'_>, key: &str) -> Option<String> {
    let bytes = root.bytes(key).ok()?;
    let bytes = &bytes[..bytes.len().min(4 * MAX_TEXT)];
    Some(String::from_utf8_lossy(bytes).chars().filter(|c| !is_unprintable(*c)).take(MAX_TEXT).collect())
}

#[cfg(test)]
mod tests;
