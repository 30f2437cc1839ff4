//! A folder and everything below it, by components.
//!
//! Whatever the components are, nothing outside the folder is opened, made or renamed. Never follows a link below the
//! folder.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use super::system::Dir;
use super::{Access, DiskError, DiskFault, Kind, Look, Walk};

/// A file as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Bytes of the disk that it takes, where the system tells; otherwise its length.
    pub allocated: u64,
    pub(super) look: Look,
}

impl Found {
    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        self.look.length
    }

    /// When it was last changed: nanoseconds since 1970, as coarse as its file system tells it.
    pub fn modified(&self) -> u64 {
        self.look.modified
    }
}

/// An open folder. Stays the same folder when it is renamed.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    root: RwLock<Arc<Dir>>,
}

impl Folder {
    /// Opens the folder `path`; makes it, and those above it, when it is not there.
    pub fn open(path: &Path) -> Result<Arc<Self>, DiskError> {
        std::fs::create_dir_all(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => DiskError::new("open the folder", path, DiskFault::NotADirectory),
            _ => DiskError::new("open the folder", path, error),
        })?;
        Self::open_existing(path)
    }

    /// Opens the folder `path`, which has to be there.
    pub fn open_existing(path: &Path) -> Result<Arc<Self>, DiskError> {
        let root = Dir::open_root(path).map_err(|error| DiskError::new("open the folder", path, error))?;
        Ok(Arc::new(Self::at(path, root)))
    }

    fn at(path: &Path, root: Dir) -> Self {
        Self { path: path.to_owned(), root: RwLock::new(Arc::new(root)) }
    }

    pub(super) fn root(&self) -> Arc<Dir> {
        self.root.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An error when the folder itself was deleted.
    pub fn check_there(&self) -> Result<(), DiskError> {
        let fault = match self.root().is_deleted() {
            Ok(false) => return Ok(()),
            Ok(true) => DiskFault::FolderGone,
            Err(error) => error.into(),
        };
        Err(DiskError::new("use", &self.path, fault))
    }

    /// Which file system a file at `components` is on, or would be, and the bytes that this user may still use there.
    pub fn room_at(&self, components: &[String]) -> Result<(u64, u64), DiskError> {
        let above = components.len().saturating_sub(1);
        for part in (0..=above).rev().map(|length| &components[..length]) {
            let room = |dir: &Dir| -> Result<_, DiskFault> { Ok((dir.file_system()?, dir.usable_bytes()?)) };
            let found = match part {
                [] => room(&self.root()),
                part => self.below(part, false, |dir, name| room(&open_sub(dir, name)?)),
            };
            match found {
                Err(DiskFault::Missing) if !part.is_empty() => {}
                other => return other.map_err(|fault| DiskError::new("look at", &self.join(part), fault)),
            }
        }
        Ok((0, 0))
    }

    /// Bytes that are free on its file system.
    pub fn free_bytes(&self) -> Result<u64, DiskError> {
        self.root().free_bytes().map_err(|error| DiskError::new("look at", &self.path, error))
    }

    /// Follows its path again, which may lead to another folder by now (a copy that was put back, a disk that was mounted anew). That
    /// one is taken if it is `ours`; true when it was.
    pub fn find_again(&self, ours: impl FnOnce(&Self) -> bool) -> bool {
        let Ok(there) = Dir::open_root(&self.path) else { return false };
        if there.is_same(&self.root()) {
            return false;
        }
        let there = Self::at(&self.path, there);
        let taken = ours(&there);
        if taken {
            *self.root.write().unwrap_or_else(PoisonError::into_inner) = there.root();
        }
        taken
    }

    /// As it was given to [`Folder::open`].
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where `components` lead, for people to read; never opened as a path.
    pub fn join(&self, components: &[String]) -> PathBuf {
        let mut path = self.path.clone();
        path.extend(components);
        path
    }

    /// The length in bytes of the file at `components`; `None` when it, or a folder above it, is not there.
    pub fn file_length(&self, components: &[String]) -> Result<Option<u64>, DiskError> {
        Ok(self.find(components)?.map(|found| found.length()))
    }

    /// How the file at `components` stands; `None` when it, or a folder above it, is not there.
    pub fn find(&self, components: &[String]) -> Result<Option<Found>, DiskError> {
        match self.below(components, false, Self::found) {
            Err(DiskFault::Missing) => Ok(None),
            found => found.map_err(|fault| DiskError::new("look at", &self.join(components), fault)),
        }
    }

    /// To look at many files.
    pub fn walk(&self) -> Walk<'_> {
        Walk::new(self)
    }

    pub(super) fn found(dir: &Dir, name: &str) -> Result<Option<Found>, DiskFault> {
        match dir.kind(name).map_err(DiskFault::from) {
            Ok(Kind::File { look, allocated }) => Ok(Some(Found { allocated, look })),
            Ok(Kind::Symlink) => Err(DiskFault::Symlink),
            Ok(Kind::Folder | Kind::Other) => Err(DiskFault::NotAFile),
            Err(DiskFault::Missing) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Makes the folder at `components` and those above it; fine when it is there already.
    pub fn create_folder(&self, components: &[String]) -> Result<(), DiskError> {
        let made = self.below(components, true, |dir, name| {
            dir.make_sub(name)?;
            open_sub(dir, name).map(drop)
        });
        made.map_err(|fault| DiskError::new("make the folder", &self.join(components), fault))
    }

    /// Whether the file at `components` could be written now, or made with the folders above it. Makes nothing.
    pub fn check_writable(&self, components: &[String]) -> Result<(), DiskError> {
        // What is there already decides: the file itself, or the deepest folder above it.
        for part in (0..=components.len()).rev().map(|length| &components[..length]) {
            let checked = match part {
                [] => self.root().check_writable(".").map_err(DiskFault::from),
                part => self.below(part, false, |dir, name| Ok(dir.check_writable(name)?)),
            };
            match checked {
                Err(DiskFault::Missing) if !part.is_empty() => {}
                other => return other.map_err(|fault| DiskError::new("write to", &self.join(part), fault)),
            }
        }
        Ok(())
    }

    /// Makes the names of the folder that holds `components` survive a power cut.
    pub fn sync_parent(&self, components: &[String]) -> Result<(), DiskError> {
        let synced = self.below(components, false, |dir, _| Ok(dir.sync()?));
        synced.map_err(|fault| DiskError::new("write to disk the folder of", &self.join(components), fault))
    }

    /// The whole file at `components`, which may hold `at_most` bytes; `None` when it is not there.
    pub fn read_whole(&self, components: &[String], at_most: usize) -> Result<Option<Vec<u8>>, DiskError> {
        let fail = |fault| DiskError::new("read", &self.join(components), fault);
        let file = match self.open_file(components, Access::Read) {
            Err(DiskFault::Missing) => return Ok(None),
            other => other.map_err(fail)?,
        };
        let mut bytes = Vec::new();
        let limit = at_most as u64 + 1;
        file.take(limit).read_to_end(&mut bytes).map_err(|error| fail(error.into()))?;
        if bytes.len() > at_most { Err(fail(DiskFault::TooLarge)) } else { Ok(Some(bytes)) }
    }

    /// Replaces the file at `components` by `bytes`: after a crash or a power cut it holds either the old bytes or the
    /// new ones.
    pub fn replace_whole(&self, components: &[String], bytes: &[u8]) -> Result<(), DiskError> {
        self.replace(components, bytes, true)
    }

    /// The same; only with `synced` also after a power cut: draft written, draft synced, renamed, folder synced, in this order.
    pub(super) fn replace(&self, components: &[String], bytes: &[u8], synced: bool) -> Result<(), DiskError> {
        let replaced = self.below(components, true, |dir, name| {
            let draft = format!(".{name}.new");
            let written = Self::write_draft(dir, &draft, bytes, synced).and_then(|()| Ok(dir.rename(&draft, name)?));
            if written.is_err() {
                let _ = dir.remove(&draft);
            }
            written?;
            if synced { Ok(dir.sync()?) } else { Ok(()) }
        });
        replaced.map_err(|fault| DiskError::new("write", &self.join(components), fault))
    }

    /// Gives the file at `from` the last name of `to`, in the same folder; what had that name is gone. Fine when there is no such file.
    pub(super) fn rename(&self, from: &[String], to: &str) -> Result<(), DiskError> {
        match self.below(from, false, |dir, name| Ok(dir.rename(name, to)?)) {
            Err(DiskFault::Missing) => Ok(()),
            other => other.map_err(|fault| DiskError::new("rename", &self.join(from), fault)),
        }
    }

    /// Gives the file at `from` the last name of `to`, in the same folder; `NameTaken` when anything has that name.
    pub(super) fn rename_to_new(&self, from: &[String], to: &[String]) -> Result<(), DiskFault> {
        Self::check_names(to)?;
        let (name, _) = to.split_last().ok_or(DiskFault::BadName)?;
        self.below(from, false, |dir, from| match dir.rename_to_new(from, name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(DiskFault::NameTaken),
            other => Ok(other?),
        })
    }

    fn write_draft(dir: &Dir, name: &str, bytes: &[u8], synced: bool) -> Result<(), DiskFault> {
        let mut file = open_regular(dir, name, Access::Create)?;
        file.set_len(0)?;
        file.write_all(bytes)?;
        if synced { Ok(file.sync_all()?) } else { Ok(()) }
    }

    /// Opens the file at `components`, with the folders above it when it may be made.
    pub(super) fn open_file(&self, components: &[String], access: Access) -> Result<File, DiskFault> {
        let opened = self.below(components, access == Access::Create, |dir, name| open_regular(dir, name, access));
        match opened {
            // Nothing can be found or made in a folder that is gone.
            Err(DiskFault::Missing) if self.check_there().is_err() => Err(DiskFault::FolderGone),
            other => other,
        }
    }

    pub(super) fn check_names(components: &[String]) -> Result<(), DiskFault> {
        if components.iter().all(|name| is_plain(name)) { Ok(()) } else { Err(DiskFault::BadName) }
    }

    /// Walks to the folder that holds `components` and calls `work` with it and the last component.
    fn below<T>(
        &self,
        components: &[String],
        make: bool,
        work: impl FnOnce(&Dir, &str) -> Result<T, DiskFault>,
    ) -> Result<T, DiskFault> {
        Self::check_names(components)?;
        let (name, above) = components.split_last().ok_or(DiskFault::BadName)?;
        let root = self.root();
        let mut deepest: Option<Dir> = None;
        for component in above {
            let here = deepest.as_ref().unwrap_or(&root);
            let next = match open_sub(here, component) {
                Err(DiskFault::Missing) if make => {
                    here.make_sub(component)?;
                    open_sub(here, component)?
                }
                other => other?,
            };
            deepest = Some(next);
        }
        work(deepest.as_ref().unwrap_or(&root), name)
    }
}

/// The system names a link and a file in the way alike; a person wants to know which.
pub(super) fn open_sub(dir: &Dir, name: &str) -> Result<Dir, DiskFault> {
    dir.open_sub(name).map_err(|error| match dir.kind(name) {
        Ok(Kind::Symlink) => DiskFault::Symlink,
        _ => error.into(),
    })
}

fn open_regular(dir: &Dir, name: &str, access: Access) -> Result<File, DiskFault> {
    let file = dir.open_file(name, access).map_err(|error| match dir.kind(name) {
        Ok(Kind::Symlink) => DiskFault::Symlink,
        Ok(Kind::Folder | Kind::Other) => DiskFault::NotAFile,
        _ => error.into(),
    })?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(DiskFault::NotAFile) }
}

/// A component that names something directly inside its folder, on every system.
fn is_plain(name: &str) -> bool {
    let separator = |c: char| matches!(c, '/' | '\0') || (cfg!(windows) && matches!(c, '\\' | ':'));
    !matches!(name, "" | "." | "..") && !name.contains(separator)
}
