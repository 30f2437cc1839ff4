//! Files that a person named on the command line, to read whole.
//!
//! Unlike [`Folder`](super::files::Folder) this follows symbolic links and takes pipes: the path is the person's own, not a torrent's.
//! Never makes or changes anything.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::files::{DiskError, DiskFault};

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
}
