//! One file of a torrent: read and written by position, whether the pool has it open or not.
//!
//! Notices when the file under it was deleted, replaced or shortened by somebody else, as far as the system tells, and
//! says so instead of writing into a file that misses what was written before. Never keeps data: what a call has
//! written is the kernel's. `naming` is about its two names.

mod naming;

use std::fmt;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::pool::Place;
use crate::rt::wall;
use supervisors::fault_result;

pub use naming::NewName;

use super::{Access, DiskError, DiskFault, Folder, Found, Look, Walk, is_worth_expecting, system};

/// Buffers in one system call: what every Unix takes.
const MAX_SLICES: usize = 1024;

/// One file of a torrent, open or not. Cheap to clone; made by [`FilePool::file`](super::FilePool::file).
#[derive(Clone)]
pub struct PooledFile(Arc<Inner>);

/// How a file is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// As we left it; or nobody had looked before.
    AsLeft,
    /// It is not there, is another one, or somebody else has written to it. Said once.
    Lost,
}

/// Whether room was reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// What is written there will find room.
    Yes,
    /// The file system cannot do that.
    Unsupported,
}

struct Inner {
    folder: Arc<Folder>,
    components: Vec<String>,
    /// The other components that the file may be under, while it is not whole. They never change; changing which of both lead to
    /// the file takes the lock of its place.
    part: OnceLock<Vec<String>>,
    is_part: AtomicBool,
    place: Place,
    /// We have written to it, now or in an earlier run.
    ours: AtomicBool,
    left: Mutex<Left>,
    /// We may have changed how it looks since the last look.
    touched: AtomicBool,
    /// How many are changing it just now.
    writing: AtomicU32,
    /// Somebody heard that it is not what it was; the next look says so, too.
    vanished: AtomicBool,
    /// The file is at least this long, because we made it so.
    reached: AtomicU64,
    /// Bytes were written since the file was last synced.
    unsynced: AtomicBool,
    /// The system could not bring all of it to the disk. It says so once and may have dropped what it could not write.
    doubtful: AtomicBool,
}

/// How a file was left.
#[derive(Debug, Default)]
struct Left {
    /// How it looked when it was looked at last; `None`: it was not there, or that does not matter.
    look: Option<Look>,
    /// A change of about this time is our own: a file server may tell the time of the last one late. Nanoseconds since 1970.
    ours: u64,
}

impl PooledFile {
    pub(super) fn new(folder: Arc<Folder>, components: Vec<String>, place: Place) -> Self {
        Self(Arc::new(Inner {
            folder,
            components,
            part: OnceLock::new(),
            is_part: AtomicBool::new(false),
            place,
            ours: AtomicBool::new(false),
            left: Mutex::new(Left::default()),
            touched: AtomicBool::new(false),
            writing: AtomicU32::new(0),
            vanished: AtomicBool::new(false),
            reached: AtomicU64::new(0),
            unsynced: AtomicBool::new(false),
            doubtful: AtomicBool::new(false),
        }))
    }

    /// Where the file is, for people to read.
    pub fn path(&self) -> PathBuf {
        self.0.folder.join(self.components())
    }

    /// The components below its folder, as it is called now.
    pub fn components(&self) -> &[String] {
        self.0.part.get().filter(|_| self.is_part()).unwrap_or(&self.0.components)
    }

    /// What the file is called when it is whole.
    pub fn own_name(&self) -> &str {
        self.0.components.last().map_or("", String::as_str)
    }

    /// The length in bytes; `None` when there is no such file.
    pub fn length(&self) -> Result<Option<u64>, DiskError> {
        Ok(self.find()?.map(|found| found.length()))
    }

    /// How the file stands; `None` when there is no such file.
    pub fn find(&self) -> Result<Option<Found>, DiskError> {
        self.find_in(&mut self.0.folder.walk())
    }

    /// The same, as one of many.
    pub fn find_in(&self, walk: &mut Walk<'_>) -> Result<Option<Found>, DiskError> {
        self.with_room(|| self.look(|components| walk.find(components)))
    }

    /// When the system has no descriptor left, some of this pool's are closed, and `look` is done again.
    fn with_room<T>(&self, mut look: impl FnMut() -> Result<T, DiskError>) -> Result<T, DiskError> {
        match look() {
            Err(DiskError { fault: DiskFault::TooManyOpenFiles, .. }) => {
                self.0.place.make_room();
                look()
            }
            other => other,
        }
    }

    /// Makes the file, empty, and the folders above it; leaves one that is there as it is.
    pub fn create(&self) -> Result<(), DiskError> {
        self.touching(|| self.opened("make", Access::Create)).map(drop)
    }

    /// Makes the file `length` bytes long; new bytes are a hole that reads as zeros.
    pub fn set_len(&self, length: u64) -> Result<(), DiskError> {
        let file = self.opened("set the length of", Access::Create)?;
        self.0.reached.store(0, Ordering::Release);
        self.touching(|| file.set_len(length)).map_err(|error| self.error("set the length of", error))?;
        self.0.reached.store(length, Ordering::Release);
        Ok(())
    }

    /// Takes room for the first `length` bytes of the file, which is made when it is not there and stays as long as it is.
    pub fn reserve(&self, length: u64) -> Result<Reserved, DiskError> {
        let file = self.opened("reserve room for", Access::Create)?;
        let reserved = fault_result!("disk.reserve", path = self.path().display()).map_err(io::Error::from);
        match reserved.and_then(|()| self.touching(|| system::reserve(&file, length))) {
            Ok(()) => Ok(Reserved::Yes),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(Reserved::Unsupported),
            Err(error) => Err(self.error("reserve room for", error)),
        }
    }

    /// Waits until everything written so far is on the disk. For the name of a new file see [`Folder::sync_parent`].
    pub fn sync(&self) -> Result<(), DiskError> {
        let file = self.opened("write to disk", Access::Read)?;
        let synced = fault_result!("disk.sync", path = self.path().display()).map_err(io::Error::from);
        synced.and_then(|()| self.touching(|| file.sync_data())).map_err(|error| {
            self.0.doubtful.store(true, Ordering::Release);
            self.error("write to disk", error)
        })
    }

    /// True when a [`sync`](Self::sync) has failed: the next one that succeeds does not say that everything is on the disk.
    pub fn is_doubtful(&self) -> bool {
        self.0.doubtful.load(Ordering::Acquire)
    }

    /// [`sync`](Self::sync), if anything was written since the last time; and the file's name with it.
    pub fn sync_written(&self) -> Result<(), DiskError> {
        if !self.0.unsynced.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let synced = self.sync().and_then(|()| self.0.folder.sync_parent(&self.0.components));
        if synced.is_err() {
            self.0.unsynced.store(true, Ordering::Release);
        }
        synced
    }

    /// An earlier run has written to the file.
    pub fn claim(&self) {
        self.0.ours.store(true, Ordering::Release);
    }

    /// True when we have written to the file, now or in an earlier run.
    pub fn is_ours(&self) -> bool {
        self.0.ours.load(Ordering::Acquire)
    }

    /// What `look` finds, and how that stands to what we left there. If it is lost, what was known about the file is forgotten.
    pub fn look_back(
        &self,
        walk: &mut Walk<'_>,
        look: impl Fn(&mut Walk<'_>) -> Result<Option<Found>, DiskError>,
    ) -> Result<(Option<Found>, Standing), DiskError> {
        let inner = &self.0;
        // One look at a time; held before and never within the lock of the place.
        let mut left = inner.left.lock().unwrap_or_else(PoisonError::into_inner);
        let writing = || inner.writing.load(Ordering::Acquire) > 0;
        let [touched, vanished] = [&inner.touched, &inner.vanished].map(|flag| flag.swap(false, Ordering::AcqRel));
        let by_us = touched || writing();
        let reached = inner.reached.load(Ordering::Acquire);
        let mut look = || match look(walk)? {
            // A walk believes what it has seen of folders; one may have been made since.
            None if by_us || left.look.is_some() => look(&mut inner.folder.walk()),
            found => Ok(found),
        };
        let looked = self.with_room(|| inner.place.looked(&mut look));
        let (found, known) = looked.inspect_err(|_| {
            inner.touched.fetch_or(touched, Ordering::AcqRel);
            inner.vanished.fetch_or(vanished, Ordering::AcqRel);
        })?;
        let now = found.map(|found| found.look);
        // Asked again after the look: who writes says so before and after.
        let by_us = by_us || writing() || inner.touched.load(Ordering::Acquire);
        let as_left = match (left.look, now) {
            (Some(_), None) => false,
            (Some(before), Some(now)) => by_us || now.is_as(before) || now.was_changed_about(left.ours),
            (None, _) => true,
        };
        let short = now.is_some_and(|now| now.length < reached);
        left.look = now;
        if by_us {
            left.ours = wall::unix_nanos();
        }
        drop(left);
        if vanished || !known || !as_left || short {
            self.forget();
            return Ok((found, Standing::Lost));
        }
        Ok((found, Standing::AsLeft))
    }

    /// Does what changes how the file looks.
    fn touching<T>(&self, change: impl FnOnce() -> T) -> T {
        let inner = &self.0;
        inner.writing.fetch_add(1, Ordering::AcqRel);
        let _done = scopeguard::guard((), |()| {
            inner.touched.store(true, Ordering::Release);
            inner.writing.fetch_sub(1, Ordering::AcqRel);
        });
        change()
    }

    /// True when the file was there at some time, as far as we know.
    pub fn was_there(&self) -> bool {
        self.0.place.is_known()
    }

    /// Closes the file and takes what its name leads to for the file from now on.
    pub fn forget(&self) {
        self.0.place.forget();
        self.0.ours.store(false, Ordering::Release);
        self.0.reached.store(0, Ordering::Release);
    }

    /// Closes the file if it is open; the next use opens it again.
    pub fn close(&self) {
        self.0.place.close();
    }

    /// Fills all of `bufs` from `offset` on; an error when the file ends before that. The slices are used up.
    pub fn read_at(&self, mut offset: u64, mut bufs: &mut [IoSliceMut<'_>]) -> Result<(), DiskError> {
        fault_result!("disk.read", path = self.path().display())
            .map_err(|fault| self.error("read", io::Error::from(fault)))?;
        let file = self.opened("read", Access::Read)?;
        IoSliceMut::advance_slices(&mut bufs, 0);
        while !bufs.is_empty() {
            let some = bufs.len().min(MAX_SLICES);
            let read = match system::read_vectored_at(&file, &mut bufs[..some], offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other.map_err(|error| self.error("read", error))?,
            };
            if read == 0 {
                // Said once: what is written to it from here on does not find it short again.
                self.0.reached.store(0, Ordering::Release);
                return Err(self.error("read", DiskFault::Short));
            }
            IoSliceMut::advance_slices(&mut bufs, read);
            offset += read as u64;
        }
        Ok(())
    }

    /// These bytes will be read soon: the disk may begin. Whatever is wrong, reading will say so.
    pub fn expect(&self, offset: u64, length: u64) {
        if is_worth_expecting(length)
            && let Ok(file) = self.opened("read", Access::Read)
        {
            system::expect(&file, offset, length);
        }
    }

    /// Writes all of `bufs` from `offset` on; makes the file when it was never there. The slices are used up. When it
    /// returns an error some of the bytes may be written.
    pub fn write_at(&self, offset: u64, bufs: &mut [IoSlice<'_>]) -> Result<(), DiskError> {
        fault_result!("disk.write", path = self.path().display())
            .map_err(|fault| self.error("write", io::Error::from(fault)))?;
        let file = self.opened("write", Access::Create)?;
        self.check_untouched(&file)?;
        self.0.ours.store(true, Ordering::Release);
        let written = self.touching(|| self.write_all(&file, offset, bufs));
        // Afterwards: a sync meanwhile need not have had all of it.
        self.0.unsynced.store(true, Ordering::Release);
        written
    }

    fn write_all(&self, file: &File, mut offset: u64, mut bufs: &mut [IoSlice<'_>]) -> Result<(), DiskError> {
        IoSlice::advance_slices(&mut bufs, 0);
        while !bufs.is_empty() {
            let some = bufs.len().min(MAX_SLICES);
            let written = match system::write_vectored_at(file, &bufs[..some], offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other.map_err(|error| self.error("write", error))?,
            };
            if written == 0 {
                return Err(self.error("write", DiskFault::Full));
            }
            IoSlice::advance_slices(&mut bufs, written);
            offset += written as u64;
        }
        self.0.reached.fetch_max(offset, Ordering::AcqRel);
        Ok(())
    }

    /// The first run of bytes at or after `offset` that were ever written, as far as the file system knows; `None` when
    /// only a hole is left, or nothing. A hole reads as zeros.
    pub fn next_data(&self, offset: u64) -> Result<Option<Range<u64>>, DiskError> {
        let file = self.opened("look into", Access::Read)?;
        system::next_data(&file, offset).map_err(|error| self.error("look into", error))
    }

    /// Nobody has deleted or shortened the file behind our back. Said once; the next write takes the file as it is.
    fn check_untouched(&self, file: &File) -> Result<(), DiskError> {
        // Read first: another worker may lengthen the file in between, never shorten it.
        let reached = self.0.reached.load(Ordering::Acquire);
        let facts = system::facts(file).map_err(|error| self.error("write", error))?;
        let fault = match facts {
            facts if facts.deleted => DiskFault::Vanished,
            facts if facts.look.length < reached => DiskFault::Short,
            _ => return Ok(()),
        };
        // With the folder everything is gone, and may come back as it was.
        if let Err(error) = self.0.folder.check_there() {
            self.0.place.close();
            return Err(error);
        }
        self.forget();
        self.0.vanished.store(true, Ordering::Release);
        Err(self.error("write", fault))
    }

    fn opened(&self, doing: &'static str, access: Access) -> Result<Arc<File>, DiskError> {
        let Inner { folder, place, .. } = &*self.0;
        let file = place.opened(access, |access| folder.open_file(self.components(), access));
        if matches!(file, Err(DiskFault::Vanished)) {
            self.0.vanished.store(true, Ordering::Release);
            self.0.reached.store(0, Ordering::Release);
        }
        file.map_err(|fault| self.error(doing, fault))
    }

    fn error(&self, doing: &'static str, fault: impl Into<DiskFault>) -> DiskError {
        DiskError::new(doing, &self.path(), fault)
    }
}

impl fmt::Debug for PooledFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PooledFile").field(&self.path()).finish()
    }
}
