//! The same folders and positional I/O by path, for systems whose own way is not written yet.
//!
//! Looks at every component before it is used and refuses links. Between the look and the use another program could
//! still swap a folder for a link; only `linux.rs` closes that gap.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::{Access, Facts, Kind, Look};

/// A folder that was there when it was looked at.
#[derive(Debug)]
pub(super) struct Dir(PathBuf);

impl Dir {
    pub(super) fn open_root(path: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(path)?;
        if fs::metadata(&path)?.is_dir() { Ok(Self(path)) } else { Err(io::ErrorKind::NotADirectory.into()) }
    }

    pub(super) fn open_sub(&self, name: &str) -> io::Result<Self> {
        match self.kind(name)? {
            Kind::Folder => Ok(Self(self.0.join(name))),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn make_sub(&self, name: &str) -> io::Result<()> {
        match fs::create_dir(self.0.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    pub(super) fn open_file(&self, name: &str, access: Access) -> io::Result<File> {
        match self.kind(name) {
            Ok(Kind::File { .. }) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(_) => return Err(io::ErrorKind::IsADirectory.into()),
            Err(error) => return Err(error),
        }
        let create = access == Access::Create;
        OpenOptions::new().read(true).write(access.writes()).create(create).truncate(false).open(self.0.join(name))
    }

    pub(super) fn kind(&self, name: &str) -> io::Result<Kind> {
        let metadata = fs::symlink_metadata(self.0.join(name))?;
        Ok(match metadata.file_type() {
            kind if kind.is_file() => Kind::File { look: look(&metadata)?, allocated: metadata.len() },
            kind if kind.is_dir() => Kind::Folder,
            kind if kind.is_symlink() => Kind::Symlink,
            _ => Kind::Other,
        })
    }

    /// `name` may be "." for the folder itself. Sees read-only marks, not every way of being refused.
    pub(super) fn check_writable(&self, name: &str) -> io::Result<()> {
        match fs::metadata(self.0.join(name))?.permissions().readonly() {
            true => Err(io::ErrorKind::PermissionDenied.into()),
            false => Ok(()),
        }
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.0.join(from), self.0.join(to))
    }

    /// `AlreadyExists` when something has the name `to`; another program could still take it between the look and the renaming.
    pub(super) fn rename_to_new(&self, from: &str, to: &str) -> io::Result<()> {
        match self.kind(to) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.rename(from, to),
            Err(error) => Err(error),
        }
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }

    pub(super) fn is_deleted(&self) -> io::Result<bool> {
        Ok(!self.0.try_exists()?)
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    /// Not known: all are taken for one.
    pub(super) fn file_system(&self) -> io::Result<u64> {
        Ok(0)
    }

    /// Not known: nothing speaks against a try.
    pub(super) fn free_bytes(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    pub(super) fn usable_bytes(&self) -> io::Result<u64> {
        self.free_bytes()
    }

    /// Not every system can do this for a folder; those write its names in order by themselves.
    pub(super) fn sync(&self) -> io::Result<()> {
        if let Ok(folder) = File::open(&self.0) {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

/// A deleted file is not noticed.
pub(super) fn facts(file: &File) -> io::Result<Facts> {
    Ok(Facts { deleted: false, look: look(&file.metadata()?)? })
}

/// Which file it is is not known: any that has the name is taken for it.
fn look(metadata: &Metadata) -> io::Result<Look> {
    let since = metadata.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let modified = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
    Ok(Look { id: None, length: metadata.len(), modified })
}

pub(super) fn read_vectored_at(file: &File, bufs: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
    match bufs.iter_mut().find(|buf| !buf.is_empty()) {
        Some(buf) => read_at(file, buf, offset),
        None => Ok(0),
    }
}

/// The system is left to find out by itself.
#[cfg_attr(target_os = "linux", allow(dead_code))]
pub(super) fn expect(_: &File, _: u64, _: u64) {}

pub(super) fn write_vectored_at(file: &File, bufs: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
    match bufs.iter().find(|buf| !buf.is_empty()) {
        Some(buf) => write_at(file, buf, offset),
        None => Ok(0),
    }
}

/// Not done here.
pub(super) fn reserve(_: &File, _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Holes are not looked for: every byte counts as data.
pub(super) fn next_data(file: &File, offset: u64) -> io::Result<Option<Range<u64>>> {
    let end = file.metadata()?.len();
    Ok((offset < end).then_some(offset..end))
}

/// What is safe to count on everywhere.
#[cfg_attr(target_os = "linux", allow(dead_code))]
pub(super) fn raise_open_file_limit() -> u64 {
    256
}

#[cfg(unix)]
use std::os::unix::fs::FileExt;
#[cfg(windows)]
use std::os::windows::fs::FileExt;

#[cfg(unix)]
fn read_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    file.read_at(buf, offset)
}

#[cfg(unix)]
fn write_at(file: &File, buf: &[u8], offset: u64) -> io::Result<usize> {
    file.write_at(buf, offset)
}

#[cfg(windows)]
fn read_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    file.seek_read(buf, offset)
}

#[cfg(windows)]
fn write_at(file: &File, buf: &[u8], offset: u64) -> io::Result<usize> {
    file.seek_write(buf, offset)
}
