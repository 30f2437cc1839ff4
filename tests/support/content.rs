//! Content made from a seed: any byte of it can be computed at any time, so nobody has to keep a copy to compare with.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use super::mix;

/// Read and written at a time.
const STRIDE_BYTES: usize = 1 << 20;

/// One file of the content.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Path components below the torrent's name; empty for a single-file torrent. Bytes, because hostile torrents need them.
    pub(crate) path: Vec<Vec<u8>>,
    /// Bytes of content before this file.
    pub(crate) offset: u64,
    pub(crate) length: u64,
    /// Padding (BEP 47): all zeros, never on disk.
    pub(crate) pad: bool,
}

/// Files with reproducible bytes.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    seed: u64,
    pub(crate) name: Vec<u8>,
    pub(crate) files: Vec<Entry>,
    /// One file that carries the torrent's name itself.
    pub(crate) single: bool,
}

impl Content {
    /// One file.
    pub(crate) fn single(name: &str, length: u64, seed: u64) -> Content {
        let file = Entry { path: vec![], offset: 0, length, pad: false };
        Content { seed, name: name.into(), files: vec![file], single: true }
    }

    /// A folder `name`; each file is (components, bytes).
    pub(crate) fn folder(name: impl AsRef<[u8]>, files: Vec<(Vec<Vec<u8>>, u64)>, seed: u64) -> Content {
        let mut offset = 0;
        let files = files.into_iter().map(|(path, length)| {
            let file = Entry { path, offset, length, pad: false };
            offset += length;
            file
        });
        Content { files: files.collect(), seed, name: name.as_ref().to_vec(), single: false }
    }

    /// A folder whose files are given as `a/b/c`.
    pub(crate) fn tree(name: &str, files: &[(&str, u64)], seed: u64) -> Content {
        let split = |path: &str| path.split('/').map(|part| part.as_bytes().to_vec()).collect();
        Content::folder(name, files.iter().map(|(path, length)| (split(path), *length)).collect(), seed)
    }

    /// `count` files in nested folders, some empty, some named in other scripts, `total` bytes together.
    pub(crate) fn many(name: &str, count: u64, total: u64, seed: u64) -> Content {
        const FOLDERS: [&str; 6] = ["", "a", "a/b/c", "Ärger", "日本語/の", "спутник/ü"];
        const STEMS: [&str; 4] = ["plain", "with space", "naïve", "🎵-音"];
        let mut left = total;
        let files: Vec<(String, u64)> = (0..count)
            .map(|i| {
                let dice = mix(seed ^ i);
                let length = match (i + 1 == count, i % 10) {
                    (true, _) => left,
                    (false, 3) => 0,
                    (false, _) => (dice % (2 * total / count)).min(left),
                };
                left -= length;
                let folder = FOLDERS[i as usize % FOLDERS.len()];
                let slash = if folder.is_empty() { "" } else { "/" };
                (format!("{folder}{slash}{} {i:04}.bin", STEMS[(dice >> 40) as usize % STEMS.len()]), length)
            })
            .collect();
        let files: Vec<(&str, u64)> = files.iter().map(|(path, length)| (path.as_str(), *length)).collect();
        Content::tree(name, &files, seed)
    }

    /// All bytes together, padding included.
    pub(crate) fn total(&self) -> u64 {
        self.files.last().map_or(0, |file| file.offset + file.length)
    }

    /// The bytes from `offset` on.
    pub(crate) fn fill(&self, offset: u64, out: &mut [u8]) {
        let mut at = 0;
        while at < out.len() {
            let place = offset + at as u64;
            let word = mix(self.seed ^ (place / 8).wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes();
            let skip = (place % 8) as usize;
            let n = (8 - skip).min(out.len() - at);
            out[at..at + n].copy_from_slice(&word[skip..skip + n]);
            at += n;
        }
        for pad in self.files.iter().filter(|file| file.pad) {
            let from = pad.offset.clamp(offset, offset + out.len() as u64) - offset;
            let to = (pad.offset + pad.length).clamp(offset, offset + out.len() as u64) - offset;
            out[from as usize..to as usize].fill(0);
        }
    }

    /// `length` bytes from `offset` on.
    pub(crate) fn bytes(&self, offset: u64, length: usize) -> Vec<u8> {
        let mut out = vec![0; length];
        self.fill(offset, &mut out);
        out
    }

    /// Where `file` lies below a download folder, when its names are honest UTF-8.
    pub(crate) fn path_of(&self, file: &Entry) -> PathBuf {
        let words = std::iter::once(&self.name).chain(&file.path);
        words.map(|word| std::str::from_utf8(word).expect("an honest name")).collect()
    }

    /// (path below the download folder, offset, length) of every file that belongs on disk.
    pub(crate) fn on_disk(&self) -> Vec<(PathBuf, u64, u64)> {
        let real = self.files.iter().filter(|file| !file.pad);
        real.map(|file| (self.path_of(file), file.offset, file.length)).collect()
    }

    /// Writes all files below `folder`.
    pub(crate) fn write_below(&self, folder: &Path) {
        let mut buffer = vec![0; STRIDE_BYTES];
        for (path, offset, length) in self.on_disk() {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("make a folder");
            let mut file = File::create(&path).unwrap_or_else(|e| panic!("make {}: {e}", path.display()));
            let mut done = 0;
            while done < length {
                let n = (length - done).min(STRIDE_BYTES as u64) as usize;
                self.fill(offset + done, &mut buffer[..n]);
                file.write_all(&buffer[..n]).expect("write content");
                done += n as u64;
            }
        }
    }

    /// The first difference between this content and what lies below `folder`, in words.
    pub(crate) fn difference(&self, folder: &Path) -> Option<String> {
        self.difference_at(folder, &self.on_disk())
    }

    /// As [`Content::difference`], with the files at the given places: (path below `folder`, offset, length).
    pub(crate) fn difference_at(&self, folder: &Path, files: &[(PathBuf, u64, u64)]) -> Option<String> {
        let mut expected = vec![0; STRIDE_BYTES];
        let mut found = vec![0; STRIDE_BYTES];
        for (path, offset, length) in files {
            let path = folder.join(path);
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(error) => return Some(format!("{}: {error}", path.display())),
            };
            let size = file.metadata().expect("size of a file").len();
            if size != *length {
                return Some(format!("{}: {size} bytes instead of {length}", path.display()));
            }
            let mut file = BufReader::with_capacity(STRIDE_BYTES, file);
            let mut done = 0;
            while done < *length {
                let n = (length - done).min(STRIDE_BYTES as u64) as usize;
                self.fill(offset + done, &mut expected[..n]);
                file.read_exact(&mut found[..n]).expect("read what was downloaded");
                if expected[..n] != found[..n] {
                    let first = expected[..n].iter().zip(&found[..n]).position(|(a, b)| a != b).unwrap_or(0);
                    return Some(format!("{}: other content from byte {} on", path.display(), done + first as u64));
                }
                done += n as u64;
            }
        }
        None
    }

    /// The bytes of `offset..offset + length` as they are on disk below `folder` now; padding and what is missing reads as zeros.
    pub(crate) fn read_back(&self, folder: &Path, offset: u64, length: usize) -> Vec<u8> {
        use std::os::unix::fs::FileExt;
        let mut out = vec![0; length];
        let end = offset + length as u64;
        for (path, start, size) in self.on_disk() {
            let (from, to) = (start.max(offset), (start + size).min(end));
            if from >= to {
                continue;
            }
            if let Ok(file) = File::open(folder.join(path)) {
                let part = &mut out[(from - offset) as usize..(to - offset) as usize];
                let mut done = 0;
                while let Ok(n @ 1..) = file.read_at(&mut part[done..], from - start + done as u64) {
                    done += n;
                }
            }
        }
        out
    }
}
