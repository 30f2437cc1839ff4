//! Files below a folder that cannot be left, and a bounded pool of open ones.
//!
//! A [`Folder`] is an open directory. Every name below it is opened component by component and never through a symbolic
//! link, so whatever a torrent or another program has put there, nothing outside the folder is opened. A [`FilePool`]
//! keeps a bounded number of files open, whatever the number of files in a torrent, and reads and writes them by
//! position with several buffers a call.
//!
//! All calls block: they belong on a blocking process of `storage_sup`, or on the blocking pool. Never retries a full
//! or failing disk, never deletes anything but its own temporary file, never chooses names, never takes one from another file.

mod error;
mod folder;
#[cfg(target_os = "linux")]
mod linux;
mod pool;
mod pooled;
#[cfg(any(test, not(target_os = "linux")))]
mod portable;
mod state;
mod walk;

pub use error::{DiskError, DiskFault};
pub use folder::{Folder, Found};
pub use pool::FilePool;
pub use pooled::{NewName, PooledFile, Reserved, Standing};
pub use state::{StateFile, boot_id};
pub use walk::Walk;

use crate::rt::wall;

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(not(target_os = "linux"))]
use portable as system;

/// Raises this OS process's limit on open files and sockets as far as it may; the limit that holds afterwards.
pub fn raise_open_file_limit() -> u64 {
    system::raise_open_file_limit()
}

/// What a system reads ahead by itself when a file is read from its beginning.
const WINDOW_BYTES: u64 = 128 << 10;

/// Of fewer bytes the first read brings all.
pub(super) fn is_worth_expecting(length: u64) -> bool {
    length > WINDOW_BYTES
}

/// These bytes of `file` will be read soon, and in the order in which they lie is best: the disk may begin. Only a hint.
pub(super) fn expect(file: &std::fs::File, offset: u64, length: u64) {
    system::expect(file, offset, length);
}

/// No file system tells times coarser than this, in nanoseconds.
const SETTLED: u64 = 2_000_000_000;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// An existing file, to read.
    Read,
    /// An existing file, to read and write.
    Write,
    /// To read and write; made when it is not there.
    Create,
}

impl Access {
    fn writes(self) -> bool {
        self != Self::Read
    }
}

/// What an open file says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Facts {
    /// No name leads to it any more.
    deleted: bool,
    look: Look,
}

/// How a file looks from outside: enough to know it again, and to see whether it was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// Device and number, where the system has them: two files never share them at one time.
    id: Option<(u64, u64)>,
    length: u64,
    /// Nanoseconds since 1970, as coarse as the file system tells it.
    modified: u64,
}

impl Look {
    /// True when this is the file that looked like `before`. Some file systems (FAT is one) give it another number once nobody has it
    /// open: then it has to be as it was, and so for a while that the time of a change says something.
    fn is_the_file(self, before: Self) -> bool {
        self.id == before.id || self.is_as(before) && self.modified.saturating_add(SETTLED) < wall::unix_nanos()
    }

    /// True when it was changed last at about this time.
    fn was_changed_about(self, time: u64) -> bool {
        self.modified.abs_diff(time) <= SETTLED
    }

    /// True when nobody has written to the file since.
    fn is_as(self, before: Self) -> bool {
        (self.length, self.modified) == (before.length, before.modified)
    }
}

/// What stands under a name, symbolic links not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `allocated`: bytes of the disk that it takes, or its length.
    File {
        look: Look,
        allocated: u64,
    },
    Folder,
    Symlink,
    Other,
}

#[cfg(unix)]
#[cfg(test)]
mod tests;
