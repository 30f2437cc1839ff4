//! Names from a torrent file made safe to create: one name each, below the download folder, on every system.
//!
//! What a name may not have becomes `_`, one rule for all: `..` becomes `__`, `/etc` becomes `_etc`. The same torrent gives
//! the same names everywhere and every time, and each change is noted with its reason. Two names that some file system
//! would take for one (upper and lower case, accents apart or joined) are made distinct by a number, and so is a file that has the name of a folder.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hasher};

use icu_normalizer::ComposingNormalizerBorrowed;

use super::{File, MetainfoError};

/// Longest name that file systems take, in bytes.
pub(super) const MAX_NAME_BYTES: usize = 255;
/// Most components of a path inside the torrent.
pub(super) const MAX_COMPONENTS: usize = 100;
/// Longest path below the download folder, in bytes: leaves room below the 4,096 that systems take.
const MAX_PATH_BYTES: usize = 3000;
/// Longest extension that a shortened name keeps, in bytes, its dot included.
const MAX_EXTENSION_BYTES: usize = 32;
/// Room for the number that makes a name distinct, in bytes.
pub(super) const NUMBER_BYTES: usize = 12;
/// Most changes that are listed.
const MAX_LISTED: usize = 1000;
/// Longest part of an original name that is listed, in characters.
const MAX_FROM: usize = 300;

/// Memory for a file without its names, in bytes: the `File`, its end, its places in the tables that find doubles.
pub(super) const FILE_COST: usize = 144;
/// Memory for a name beside its bytes, and for a folder in the table of folders.
const NAME_COST: usize = 40;
const FOLDER_COST: usize = 48;

/// A name that could not stay as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mended {
    /// Number of the file, from 0; `None` when it is the name of the torrent.
    pub file: Option<usize>,
    /// As the torrent has it, as far as it is text; not safe to print as it is.
    pub from: String,
    /// As it will be on disk.
    pub to: String,
    /// The first reason found.
    pub why: Why,
}

/// Why a name could not stay as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// A separator, NUL, control character, or one that reverses the direction of text.
    Forbidden,
    /// A trailing dot or space; `.` and `..` are among them.
    DotOrSpace,
    /// No character at all.
    Empty,
    /// A letter and a colon at its beginning.
    Drive,
    /// The name of a device on some system.
    Device,
    /// Longer than 255 bytes.
    TooLong,
    /// Another file has the same path, at least where case or the writing of accents does not count.
    Double,
    /// A folder has the same path.
    Folder,
    /// A symbolic link (BEP 47). Its name stays; it becomes a plain file of the length given.
    Symlink,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotUtf8 => "it is not UTF-8",
            Self::Forbidden => "it holds a character that no file name may hold",
            Self::DotOrSpace => "it ends in a dot or a space",
            Self::Empty => "it is empty",
            Self::Drive => "it begins with a drive letter",
            Self::Device => "it is the name of a device",
            Self::TooLong => "it is longer than 255 bytes",
            Self::Double => "another file has the same name",
            Self::Folder => "a folder has the same name",
            Self::Symlink => "it is a symbolic link, made a plain file",
        })
    }
}

impl fmt::Display for Mended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.file {
            Some(file) => write!(f, "file {file}: ")?,
            None => write!(f, "torrent: ")?,
        }
        if self.why == Why::Symlink {
            return write!(f, "{:?} stays: {}", self.to, self.why);
        }
        write!(f, "{:?} became {:?}: {}", self.from, self.to, self.why)
    }
}

/// The names of one torrent while it is read.
pub(super) struct Names {
    root: String,
    mended: Vec<Mended>,
    unlisted: usize,
    /// The [`key`] of every folder.
    folders: HashSet<u64>,
    new_folders: usize,
}

impl Names {
    /// Begins with the torrent's own name.
    pub(super) fn new(name: &[u8]) -> Self {
        let mut names =
            Self { root: String::new(), mended: Vec::new(), unlisted: 0, folders: HashSet::new(), new_folders: 0 };
        names.root = names.component(None, name, false);
        names
    }

    /// The torrent's own name.
    pub(super) fn root(&self) -> &str {
        &self.root
    }

    /// The name, the list of changes, and how many more there were.
    pub(super) fn done(self) -> (String, Vec<Mended>, usize) {
        (self.root, self.mended, self.unlisted)
    }

    /// The path of a file below the torrent's folder. Changes to padding files are not worth a note.
    pub(super) fn path(&mut self, file: usize, raw: &[&[u8]], pad: bool) -> Result<Vec<String>, MetainfoError> {
        if raw.is_empty() {
            return Err(MetainfoError::EmptyPath { file });
        }
        if raw.len() > MAX_COMPONENTS {
            return Err(MetainfoError::PathTooLong { file });
        }
        let mut path = Vec::with_capacity(raw.len() + 1);
        path.push(self.root.clone());
        path.extend(raw.iter().map(|name| self.component(Some(file), name, pad)));
        if path.iter().map(|name| name.len() + 1).sum::<usize>() > MAX_PATH_BYTES {
            return Err(MetainfoError::PathTooLong { file });
        }
        let folders = if pad { 0 } else { path.len() - 1 };
        self.new_folders = keys(&path).take(folders).filter(|key| self.folders.insert(*key)).count();
        Ok(path)
    }

    /// Memory that the file just read takes for its names.
    pub(super) fn cost_of(&self, file: &File) -> usize {
        let names: usize = file.path.iter().map(|name| NAME_COST + name.len().next_multiple_of(16)).sum();
        names + self.new_folders * FOLDER_COST
    }

    /// Notes that a file is a symbolic link, which is not followed.
    pub(super) fn note_symlink(&mut self, file: usize, path: &[String]) {
        let path = path.join("/");
        self.note(Some(file), path.clone(), path, Why::Symlink);
    }

    fn note(&mut self, file: Option<usize>, from: String, to: String, why: Why) {
        if self.mended.len() < MAX_LISTED {
            self.mended.push(Mended { file, from, to, why });
        } else {
            self.unlisted += 1;
        }
    }

    fn component(&mut self, file: Option<usize>, raw: &[u8], quiet: bool) -> String {
        let (name, why) = mend(raw);
        if let Some(why) = why.filter(|_| !quiet) {
            let from = String::from_utf8_lossy(&raw[..raw.len().min(4 * MAX_FROM)]).chars().take(MAX_FROM).collect();
            self.note(file, from, name.clone(), why);
        }
        name
    }

    /// Gives every file a path of its own, also where case does not count, and none the path of a folder.
    /// The first file of a name keeps it. Padding is never written, so it may share.
    pub(super) fn make_distinct(&mut self, files: &mut [File]) {
        let mut taken = HashSet::with_capacity(files.len());
        let mut doubles = Vec::new();
        for (n, file) in files.iter().enumerate().filter(|(_, file)| !file.pad) {
            let key = key(&file.path);
            if self.folders.contains(&key) {
                doubles.push((n, Why::Folder));
            } else if !taken.insert(key) {
                doubles.push((n, Why::Double));
            }
        }
        // The number to try next for each name, so that a million doubles of one name do not count up a million times.
        let mut next: HashMap<u64, u32> = HashMap::new();
        for (n, why) in doubles {
            let Some(name) = files[n].path.pop() else { continue };
            let (stem, extension) = split_extension(&name);
            let stem = cut(stem, MAX_NAME_BYTES - NUMBER_BYTES - extension.len());
            let mut path = std::mem::take(&mut files[n].path);
            path.push(format!("{stem}{extension}"));
            let number = next.entry(key(&path)).or_insert(1);
            loop {
                *number += 1;
                path.pop();
                path.push(format!("{stem} ({number}){extension}"));
                let key = key(&path);
                if !self.folders.contains(&key) && taken.insert(key) {
                    break;
                }
            }
            let to = path.last().cloned().unwrap_or_default();
            files[n].path = path;
            self.note(Some(n), name, to, why);
        }
    }
}

/// Numbers for the beginnings of a path, from its first name alone to the whole. Paths that differ only in upper and lower
/// case, or in how accents are written, have the same. That two other paths have the same one is unlikely and harmless: one would get a number
/// behind its name that it does not need.
fn keys(path: &[String]) -> impl Iterator<Item = u64> + '_ {
    path.iter().scan(DefaultHasher::new(), |hasher, name| {
        if name.is_ascii() {
            hasher.write(name.to_ascii_lowercase().as_bytes());
        } else {
            // Accents joined first: where names are normalized, "e" and an accent are "é".
            let joined = ComposingNormalizerBorrowed::new_nfc().normalize(name);
            let folded = joined.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase);
            hasher.write(folded.collect::<String>().as_bytes());
        }
        hasher.write_u8(0xff);
        Some(hasher.finish())
    })
}

/// The last of [`keys`].
pub(super) fn key(path: &[String]) -> u64 {
    keys(path).last().unwrap_or_default()
}

/// The safe form of a name, and the first reason why it is not the name itself.
fn mend(raw: &[u8]) -> (String, Option<Why>) {
    let mut why = None;
    let mut because = |reason| why = why.or(Some(reason));
    let shorter;
    let raw = if raw.len() > 16 * MAX_NAME_BYTES {
        // Only the beginning and the extension can survive; the rest is not worth decoding.
        because(Why::TooLong);
        shorter = [&raw[..4 * MAX_NAME_BYTES], &raw[raw.len() - 2 * MAX_EXTENSION_BYTES..]].concat();
        &shorter
    } else {
        raw
    };
    let mut name = match str::from_utf8(raw) {
        Ok(name) => name.to_owned(),
        Err(_) => {
            because(Why::NotUtf8);
            String::from_utf8_lossy(raw).replace(char::REPLACEMENT_CHARACTER, "_")
        }
    };
    if name.contains(is_forbidden) {
        because(Why::Forbidden);
        name = name.replace(is_forbidden, "_");
    }
    let kept = name.trim_end_matches(['.', ' ']).len();
    if kept < name.len() {
        because(Why::DotOrSpace);
        let tail = "_".repeat(name.len() - kept);
        name.replace_range(kept.., &tail);
    }
    if name.is_empty() {
        because(Why::Empty);
        name.push('_');
    }
    if let [letter, b':', ..] = name.as_bytes()
        && letter.is_ascii_alphabetic()
    {
        because(Why::Drive);
        name.replace_range(1..2, "_");
    }
    if is_device(&name) {
        because(Why::Device);
        name.insert(0, '_');
    }
    if name.len() > MAX_NAME_BYTES {
        because(Why::TooLong);
        let (stem, extension) = split_extension(&name);
        let stem = cut(stem, MAX_NAME_BYTES - extension.len());
        name = format!("{stem}{extension}");
    }
    name.shrink_to_fit();
    (name, why)
}

/// True for characters that no component may hold: they separate, end, hide or disguise a name.
fn is_forbidden(c: char) -> bool {
    matches!(c, '/' | '\\') || is_unprintable(c)
}

/// Control characters and those that change the direction of text, which can make `exe.txt` of `txt.exe`.
pub(crate) fn is_unprintable(c: char) -> bool {
    let direction =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || direction
}

/// True for names that open a device on Windows, with any extension.
fn is_device(name: &str) -> bool {
    let stem = name.split(['.', ':']).next().unwrap_or_default().trim_end();
    let numbered = |rest: &str| matches!(rest, "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³");
    let stem = stem.to_ascii_uppercase();
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$")
        || stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT")).is_some_and(numbered)
}

/// A name before and from its last dot on; the latter is empty unless it looks like an extension.
fn split_extension(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(dot) if dot > 0 && (2..=MAX_EXTENSION_BYTES).contains(&(name.len() - dot)) => name.split_at(dot),
        _ => (name, ""),
    }
}

/// At most `bytes` bytes of a name, whole characters, not ending in a dot or space.
pub(super) fn cut(name: &str, bytes: usize) -> &str {
    let end = name.floor_char_boundary(bytes);
    if end == name.len() { name } else { name[..end].trim_end_matches(['.', ' ']) }
}
