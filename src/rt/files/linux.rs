//! Folders as descriptors and vectored positional I/O, the way Linux has them.
//!
//! Every name is opened relative to the open folder above it with `O_NOFOLLOW`, so a folder that is swapped for a link
//! in the middle of it cannot lead us outside. `portable.rs` does the same by path.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access as Right, Advice, AtFlags, FallocateFlags, FileType, Mode, OFlags, RenameFlags, SeekFrom};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{Access, Facts, Kind, Look, WINDOW_BYTES};

/// An open folder.
#[derive(Debug)]
pub(super) struct Dir(OwnedFd);

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Dir {
    /// The folder that the user named; links on the way to it are the user's business.
    pub(super) fn open_root(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::open(path, FOLDER, Mode::empty())?))
    }

    pub(super) fn open_sub(&self, name: &str) -> io::Result<Self> {
        Ok(Self(rustix::fs::openat(&self.0, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?))
    }

    /// Fine when it is there already.
    pub(super) fn make_sub(&self, name: &str) -> io::Result<()> {
        match rustix::fs::mkdirat(&self.0, name, Mode::from_raw_mode(0o777)) {
            Err(Errno::EXIST) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Does not wait on a pipe or a device that has the name; the caller looks at what it got.
    pub(super) fn open_file(&self, name: &str, access: Access) -> io::Result<File> {
        let how = match access {
            Access::Read => OFlags::RDONLY,
            Access::Write => OFlags::RDWR,
            Access::Create => OFlags::RDWR | OFlags::CREATE,
        };
        let flags = how | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        Ok(rustix::fs::openat(&self.0, name, flags, Mode::from_raw_mode(0o666))?.into())
    }

    pub(super) fn kind(&self, name: &str) -> io::Result<Kind> {
        let stat = rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let [length, blocks] = [stat.st_size, stat.st_blocks].map(|n| u64::try_from(n).unwrap_or(0));
                let modified = nanoseconds(stat.st_mtime, stat.st_mtime_nsec);
                let look = Look { id: Some((stat.st_dev, stat.st_ino)), length, modified };
                Kind::File { look, allocated: blocks.saturating_mul(512) }
            }
            FileType::Directory => Kind::Folder,
            FileType::Symlink => Kind::Symlink,
            _ => Kind::Other,
        })
    }

    /// `name` may be "." for the folder itself.
    pub(super) fn check_writable(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::accessat(&self.0, name, Right::WRITE_OK, AtFlags::EACCESS)?)
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, from, &self.0, to)?)
    }

    /// As [`rename`](Self::rename); `AlreadyExists` when something has the name `to`.
    pub(super) fn rename_to_new(&self, from: &str, to: &str) -> io::Result<()> {
        match rustix::fs::renameat_with(&self.0, from, &self.0, to, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => self.rename_in_steps(from, to),
            other => Ok(other?),
        }
    }

    /// Where the file system knows no such renaming (NFS is one): a second name, which is made only if nothing has it; then the first one
    /// goes. `to` may be that second name already: the answer was lost, or we were killed in between. Where the file system knows no
    /// second names either, somebody else could take `to` between the look and the renaming.
    pub(super) fn rename_in_steps(&self, from: &str, to: &str) -> io::Result<()> {
        match rustix::fs::linkat(&self.0, from, &self.0, to, AtFlags::empty()) {
            Ok(()) => self.remove(from),
            Err(Errno::EXIST) if self.is_one_file(from, to)? => self.remove(from),
            Err(Errno::PERM | Errno::NOSYS | Errno::NOTSUP) => match self.kind(to) {
                Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.rename(from, to),
                Err(error) => Err(error),
            },
            Err(error) => Err(error.into()),
        }
    }

    fn is_one_file(&self, from: &str, to: &str) -> io::Result<bool> {
        Ok(match (self.kind(from)?, self.kind(to)?) {
            (Kind::File { look: from, .. }, Kind::File { look: to, .. }) => from.id == to.id,
            _ => false,
        })
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    /// No name leads to it any more.
    pub(super) fn is_deleted(&self) -> io::Result<bool> {
        Ok(rustix::fs::fstat(&self.0)?.st_nlink == 0)
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        let id = |dir: &Self| rustix::fs::fstat(&dir.0).map(|stat| (stat.st_dev, stat.st_ino));
        matches!((id(self), id(other)), (Ok(this), Ok(that)) if this == that)
    }

    /// Which file system it is on.
    pub(super) fn file_system(&self) -> io::Result<u64> {
        Ok(rustix::fs::fstat(&self.0)?.st_dev)
    }

    /// Bytes free on the file system, those that only root may use included.
    pub(super) fn free_bytes(&self) -> io::Result<u64> {
        let facts = rustix::fs::fstatvfs(&self.0)?;
        Ok(facts.f_bfree.saturating_mul(facts.f_frsize))
    }

    /// Bytes of its file system that this user may still use, but for a quota.
    pub(super) fn usable_bytes(&self) -> io::Result<u64> {
        let facts = rustix::fs::fstatvfs(&self.0)?;
        let blocks = if rustix::process::geteuid().is_root() { facts.f_bfree } else { facts.f_bavail };
        Ok(blocks.saturating_mul(facts.f_frsize))
    }

    /// Makes the names in this folder survive a power cut.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.0)?)
    }
}

pub(super) fn facts(file: &File) -> io::Result<Facts> {
    let metadata = file.metadata()?;
    let modified = nanoseconds(metadata.mtime(), u64::try_from(metadata.mtime_nsec()).unwrap_or(0));
    let look = Look { id: Some((metadata.dev(), metadata.ino())), length: metadata.len(), modified };
    Ok(Facts { deleted: metadata.nlink() == 0, look })
}

fn nanoseconds(seconds: i64, nanos: u64) -> u64 {
    u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// May read less than asked for; 0 at the end of the file.
pub(super) fn read_vectored_at(file: &File, bufs: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
    Ok(rustix::io::preadv(file, bufs, offset)?)
}

/// Linux reads no more than one window for each call, so there are several.
pub(super) fn expect(file: &File, offset: u64, length: u64) {
    for from in (0..length).step_by(WINDOW_BYTES as usize) {
        let some = NonZeroU64::new(WINDOW_BYTES.min(length - from));
        // What cannot be hinted at is read when its turn comes.
        let _ = rustix::fs::fadvise(file, offset + from, some, Advice::WillNeed);
    }
}

/// May write less than asked for.
pub(super) fn write_vectored_at(file: &File, bufs: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
    Ok(rustix::io::pwritev(file, bufs, offset)?)
}

/// Takes room for the first `length` bytes of the file, which stays as long as it is: so nothing that was only reserved is ever taken
/// for content, even where a file system cannot tell the two apart, and none has to write zeros. `Unsupported`: it cannot be done here.
pub(super) fn reserve(file: &File, length: u64) -> io::Result<()> {
    loop {
        match rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, 0, length) {
            Err(Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

/// The first run of bytes at or after `offset` that is not in a hole; `None` when only a hole is left. A file system that does not
/// know its holes has none.
pub(super) fn next_data(file: &File, offset: u64) -> io::Result<Option<Range<u64>>> {
    match rustix::fs::seek(file, SeekFrom::Data(offset)) {
        Ok(at) => Ok(Some(at..rustix::fs::seek(file, SeekFrom::Hole(at))?)),
        Err(Errno::NXIO) => Ok(None),
        Err(Errno::INVAL | Errno::NOTSUP) => Ok(Some(offset..u64::MAX)),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn raise_open_file_limit() -> u64 {
    let now = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: now.maximum, maximum: now.maximum };
    let held = if setrlimit(Resource::Nofile, wanted).is_ok() { wanted } else { now };
    held.current.unwrap_or(u64::MAX)
}
