//! What goes wrong with a disk: what was tried, where, and what a person can do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A failed call on a file or folder, as one sentence: what, where, what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskError {
    /// What was tried: "write", "read", "open", …
    pub doing: &'static str,
    /// The file or folder that it was tried on.
    pub path: PathBuf,
    /// What the disk or the file system answered.
    pub fault: DiskFault,
}

/// Why the disk or the file system refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskFault {
    /// No space, or the user's quota is used up.
    Full,
    /// As [`Full`](Self::Full), known before anything is written.
    Lacking {
        /// Bytes that are missing.
        bytes: u64,
    },
    /// The file system is mounted read-only.
    ReadOnly,
    /// Missing rights.
    Denied,
    /// There is no file or folder of that name.
    Missing,
    /// A file stands where a folder is needed.
    NotADirectory,
    /// A folder, a device or a pipe stands where a file is needed.
    NotAFile,
    /// A symbolic link stands there; we never follow one.
    Symlink,
    /// A name that is empty, special, or holds a separator. Names are mended before they come here, so this is a bug or
    /// an attack.
    BadName,
    /// Another file, a folder or anything else has the name that the file is to get.
    NameTaken,
    /// Longer than the file system allows.
    NameTooLong,
    /// The file would be larger than the file system allows.
    TooLarge,
    /// The file ends before what was asked for: somebody shortened it.
    Short,
    /// The file was deleted or replaced while we had it open.
    Vanished,
    /// Somebody else wrote to the file after we did.
    Changed,
    /// The folder that everything is in was deleted, or its disk was taken out. What is in it may be as it was.
    FolderGone,
    /// Another folder has the place of the one that was there.
    FolderReplaced,
    /// This OS process or the machine has no file descriptor left.
    TooManyOpenFiles,
    /// Anything else (a failing disk, mostly), in the operating system's words.
    Io {
        /// The operating system's message.
        message: String,
    },
}

impl DiskError {
    pub(super) fn new(doing: &'static str, path: &Path, fault: impl Into<DiskFault>) -> Self {
        Self { doing, path: path.to_owned(), fault: fault.into() }
    }

    /// True when this says nothing about what is on the disk: the content may be there, but nobody may look at it now.
    pub fn is_refusal(&self) -> bool {
        match self.fault {
            DiskFault::Full
            | DiskFault::Lacking { .. }
            | DiskFault::ReadOnly
            | DiskFault::Denied
            | DiskFault::FolderGone
            | DiskFault::TooManyOpenFiles => true,
            DiskFault::Missing
            | DiskFault::NotADirectory
            | DiskFault::NotAFile
            | DiskFault::Symlink
            | DiskFault::BadName
            | DiskFault::NameTaken
            | DiskFault::NameTooLong
            | DiskFault::TooLarge
            | DiskFault::Short
            | DiskFault::Vanished
            | DiskFault::Changed
            | DiskFault::FolderReplaced
            | DiskFault::Io { .. } => false,
        }
    }

    /// True when no wait will help: this torrent cannot be on this file system.
    pub fn is_hopeless(&self) -> bool {
        matches!(self.fault, DiskFault::BadName | DiskFault::NameTooLong)
    }

    /// True when the content of the file is no longer what was written to it: its pieces have to be checked again.
    pub fn content_lost(&self) -> bool {
        use DiskFault::{Changed, FolderReplaced, Missing, Short, Vanished};
        matches!(self.fault, Missing | Short | Vanished | Changed | FolderReplaced)
    }
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.doing, self.path.display(), self.fault)
    }
}

impl std::error::Error for DiskError {}

impl fmt::Display for DiskFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "no space left; free some space or choose another folder",
            Self::Lacking { bytes } => {
                let mib = bytes.div_ceil(1 << 20);
                return write!(f, "no space left; free {mib} MiB more or choose another folder");
            }
            Self::ReadOnly => "the file system is read-only; choose another folder or mount it writable",
            Self::Denied => "permission denied; choose another folder or change its rights",
            Self::Missing => "it is not there (any more); put it back or start again",
            Self::NotADirectory => "a file is in the way where a folder is needed; move it away",
            Self::NotAFile => "something that is not a file has that name; move it away",
            Self::Symlink => {
                "a symbolic link has that name, and links are not followed; replace it by what it points to"
            }
            Self::BadName => "that is not a name for a file",
            Self::NameTaken => "something else has the name that it should get; move that away",
            Self::NameTooLong => "the name is too long for this file system; choose a folder with a shorter path",
            Self::TooLarge => {
                "the file would be larger than it may be; choose a folder on another file system or raise the limit (ulimit -f)"
            }
            Self::Short => "the file ends too early, something shortened it",
            Self::Vanished => "the file was deleted or replaced while it was in use",
            Self::Changed => "something else has changed the file",
            Self::FolderGone => "the folder is not there any more; put it back or start again",
            Self::FolderReplaced => "another folder is in its place",
            Self::TooManyOpenFiles => "too many open files; raise the limit (ulimit -n)",
            Self::Io { message } => return write!(f, "{message}; check the disk"),
        })
    }
}

impl From<io::Error> for DiskFault {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::StorageFull | Kind::QuotaExceeded => Self::Full,
            Kind::ReadOnlyFilesystem => Self::ReadOnly,
            Kind::PermissionDenied => Self::Denied,
            Kind::NotFound => Self::Missing,
            Kind::NotADirectory => Self::NotADirectory,
            Kind::IsADirectory => Self::NotAFile,
            Kind::InvalidFilename => Self::NameTooLong,
            Kind::FileTooLarge => Self::TooLarge,
            Kind::UnexpectedEof => Self::Short,
            _ => Self::from_code(&error),
        }
    }
}

impl DiskFault {
    #[cfg(unix)]
    fn from_code(error: &io::Error) -> Self {
        use rustix::io::Errno;
        match Errno::from_io_error(error) {
            Some(Errno::MFILE | Errno::NFILE) => Self::TooManyOpenFiles,
            Some(Errno::LOOP) => Self::Symlink,
            _ => Self::Io { message: error.to_string() },
        }
    }

    #[cfg(not(unix))]
    fn from_code(error: &io::Error) -> Self {
        Self::Io { message: error.to_string() }
    }
}
