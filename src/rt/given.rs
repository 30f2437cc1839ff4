//! Files and folders that a person named on the command line, to read.
//!
//! Unlike [`Folder`](super::files::Folder) this follows symbolic links and takes pipes: the path is the person's own, not a torrent's.
//! Never makes or changes anything.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::{DiskError, DiskFault, expect, is_worth_expecting};

/// All of the file at `path`. More than `at_most` bytes is [`DiskFault::TooLarge`], known from its length, or after reading that many
/// of a pipe. Blocks.
pub fn read_whole(path: &Path, at_most: usize) -> Result<Vec<u8>, DiskError> {
    let fail = |fault| DiskError { doing: "read", path: path.to_owned(), fault };
    let file = File::open(path).map_err(|error| fail(error.into()))?;
    let limit = u64::try_from(at_most).map_or(u64::MAX, |limit| limit.saturating_add(1));
    let facts = file.metadata().map_err(|error| fail(error.into()))?;
    if facts.is_dir() {
        return Err(fail(DiskFault::NotAFile));
    }
    let length = facts.len();
    if length >= limit {
        return Err(fail(DiskFault::TooLarge));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    file.take(limit).read_to_end(&mut bytes).map_err(|error| fail(error.into()))?;
    if bytes.len() > at_most { Err(fail(DiskFault::TooLarge)) } else { Ok(bytes) }
}

/// A file found by [`walk`]: components below the folder (none when a file was named), and length in bytes.
pub type Found = (Vec<String>, u64);

/// The file at `path`, or all files below the folder at `path`, in the order of their paths' bytes. Blocks.
pub fn walk(path: &Path) -> Result<Vec<Found>, DiskError> {
    /// A link that leads up would otherwise be followed for ever.
    const DEEPEST: usize = 32;
    let fail = |path: &Path, fault| DiskError { doing: "read", path: path.to_owned(), fault };
    let mut found = Vec::new();
    let mut rest: Vec<(PathBuf, Vec<String>)> = vec![(path.to_owned(), Vec::new())];
    while let Some((path, components)) = rest.pop() {
        let facts = std::fs::metadata(&path).map_err(|error| fail(&path, error.into()))?;
        if facts.is_file() {
            found.push((components, facts.len()));
        } else if !facts.is_dir() {
            return Err(fail(&path, DiskFault::NotAFile));
        } else if components.len() >= DEEPEST {
            let message = format!("more than {DEEPEST} folders deep, or a link that leads back up");
            return Err(fail(&path, DiskFault::Io { message }));
        } else {
            for entry in std::fs::read_dir(&path).map_err(|error| fail(&path, error.into()))? {
                let entry = entry.map_err(|error| fail(&path, error.into()))?;
                let name = entry.file_name().into_string().map_err(|_| fail(&entry.path(), DiskFault::BadName))?;
                let below = components.iter().cloned().chain([name]).collect();
                rest.push((entry.path(), below));
            }
        }
    }
    found.sort_by_cached_key(|(components, _)| components.join("/"));
    Ok(found)
}

/// Reads files found by [`walk`] by position. Keeps some of those that it read last open: who reads in several places comes back to each.
#[derive(Debug)]
pub struct Reader {
    root: PathBuf,
    files: Arc<Vec<Found>>,
    open: VecDeque<(usize, File)>,
}

impl Reader {
    /// For these files below `root`, as given to [`walk`].
    pub fn new(root: &Path, files: &Arc<Vec<Found>>) -> Self {
        Self { root: root.to_owned(), files: files.clone(), open: VecDeque::new() }
    }

    /// Fills `buffer` from `offset` of a file on; `file`: its position in the list. [`DiskFault::Short`]: the file ends before. Blocks.
    pub fn read_at(&mut self, file: usize, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        let open = self.opened(file);
        let read = open.and_then(|file| file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(buffer)));
        read.map_err(|error| DiskError { doing: "read", path: self.path(file), fault: error.into() })
    }

    /// These bytes will be read soon: the disk may begin. Whatever is wrong, reading will say so.
    pub fn expect(&mut self, file: usize, offset: u64, length: u64) {
        if is_worth_expecting(length)
            && let Ok(file) = self.opened(file)
        {
            expect(file, offset, length);
        }
    }

    fn opened(&mut self, file: usize) -> io::Result<&mut File> {
        const OPEN_FILES: usize = 64;
        let at = match self.open.iter().position(|(open, _)| *open == file) {
            Some(at) => at,
            None => {
                let opened = File::open(self.path(file))?;
                self.open.truncate(OPEN_FILES - 1);
                self.open.push_front((file, opened));
                0
            }
        };
        Ok(&mut self.open[at].1)
    }

    fn path(&self, file: usize) -> PathBuf {
        self.files[file].0.iter().fold(self.root.clone(), |path, name| path.join(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit_and_a_folder_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, [7; 10]).unwrap();
        assert_eq!(read_whole(&path, 10).unwrap(), [7; 10]);
        assert_eq!(read_whole(&path, 9).unwrap_err().fault, DiskFault::TooLarge);
        assert_eq!(read_whole(folder.path(), 9).unwrap_err().fault, DiskFault::NotAFile);
        assert_eq!(read_whole(&folder.path().join("y"), 9).unwrap_err().fault, DiskFault::Missing);
    }

    #[test]
    fn a_folder_is_walked_in_the_order_of_its_paths_and_read_by_position() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a/x", "a.b/y", "a-b", "z"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        }
        let found = walk(folder.path()).unwrap();
        assert_eq!(found.iter().map(|(path, _)| path.join("/")).collect::<Vec<_>>(), ["a-b", "a.b/y", "a/x", "z"]);
        let (mut reader, mut bytes) = (Reader::new(folder.path(), &Arc::new(found)), [0; 2]);
        for _ in 0..2 {
            reader.read_at(1, 2, &mut bytes).unwrap();
            assert_eq!(&bytes, b"b/");
            reader.read_at(2, 1, &mut bytes).unwrap();
            assert_eq!(&bytes, b"/x");
        }
        assert_eq!(reader.read_at(3, 0, &mut bytes).unwrap_err().fault, DiskFault::Short);
        assert_eq!(walk(&folder.path().join("z")).unwrap(), [(Vec::new(), 1)]);
        std::os::unix::fs::symlink(folder.path(), folder.path().join("up")).unwrap();
        assert!(walk(folder.path()).unwrap_err().to_string().contains("a link that leads back up"));
    }
}
