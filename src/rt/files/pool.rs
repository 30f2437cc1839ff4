//! A bounded number of open files, shared by all workers.
//!
//! The file used longest ago is closed when another one is needed. The pool's lock is held for bookkeeping only, each
//! file's own lock only while that file is opened: two workers read and write different files, or different parts of
//! one, at once. Never holds more descriptors than its limit plus one per worker.

use std::collections::HashMap;
use std::fs::File;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Access, DiskError, DiskFault, Folder, Found, Look, PooledFile, system};

/// Keeps files open, but not too many.
#[derive(Debug)]
pub struct FilePool {
    limit: AtomicUsize,
    uses: AtomicU64,
    next_id: AtomicU64,
    open: Mutex<HashMap<u64, Arc<Slot>>>,
}

impl FilePool {
    /// At most `limit` files stay open (at least 1). Fewer once the operating system has said that there are too many.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit: AtomicUsize::new(limit.max(1)),
            uses: AtomicU64::new(0),
            next_id: AtomicU64::new(0),
            open: Mutex::new(HashMap::new()),
        })
    }

    /// The file at `components` below `folder`. Opens nothing yet. Make one per file and clone it: two made for the
    /// same file count as two, and neither knows what the other wrote.
    pub fn file(self: &Arc<Self>, folder: &Arc<Folder>, components: Vec<String>) -> PooledFile {
        let place = Place {
            id: self.next_id.fetch_add(1, Ordering::Relaxed),
            pool: self.clone(),
            slot: Arc::new(Slot { used: AtomicU64::new(0), state: Mutex::new(State::default()) }),
        };
        PooledFile::new(folder.clone(), components, place)
    }

    /// Files that are open now.
    pub fn open_files(&self) -> usize {
        lock(&self.open).len()
    }

    /// Closes the files used longest ago until at most `keep` are open, never `spared`.
    fn trim(&self, keep: usize, spared: u64) {
        let mut closing = Vec::new();
        let mut open = lock(&self.open);
        while open.len() > keep {
            let others = open.iter().filter(|(id, _)| **id != spared);
            let oldest = others.min_by_key(|(_, slot)| slot.used.load(Ordering::Relaxed)).map(|(id, _)| *id);
            let Some(slot) = oldest.and_then(|id| open.remove(&id)) else { break };
            closing.push(slot);
        }
        drop(open);
        for slot in closing {
            slot.close();
        }
    }

    /// The system has no descriptor left: give half of ours back, and never take as many again.
    fn retreat(&self, spared: u64) {
        let keep = (self.open_files() / 2).max(1);
        self.limit.fetch_min(keep, Ordering::Relaxed);
        self.trim(keep, spared);
    }
}

/// A file's place in its pool. Dropped with the file: it leaves the pool, and closes when nobody is reading or writing
/// it.
#[derive(Debug)]
pub(super) struct Place {
    id: u64,
    pool: Arc<FilePool>,
    slot: Arc<Slot>,
}

/// One file's descriptor, and what has to stay known about the file while it is closed.
#[derive(Debug)]
struct Slot {
    /// The pool's count of uses when this file was last used.
    used: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: Option<(Arc<File>, Access)>,
    /// How the file looked when it was last opened, closed, or looked at while it was closed; `None`: never, or it was found to be
    /// another one.
    seen: Option<Look>,
}

enum Opened {
    Before(Arc<File>),
    Now(Arc<File>),
}

impl Slot {
    fn close(&self) {
        let mut state = lock(&self.state);
        let Some((file, access)) = state.open.take() else { return };
        // What was written to it has changed how it looks.
        if access.writes()
            && state.seen.is_some()
            && let Ok(facts) = system::facts(&file)
        {
            state.seen = Some(facts.look);
        }
    }
}

impl Place {
    /// The system has no descriptor left for a call that needs one for a moment.
    pub(super) fn make_room(&self) {
        self.pool.retreat(self.id);
    }

    /// The open file; `open` is called when it is not open yet, or only to read. The caller's share stays good when the
    /// pool closes its own.
    pub(super) fn opened(
        &self,
        access: Access,
        open: impl Fn(Access) -> Result<File, DiskFault>,
    ) -> Result<Arc<File>, DiskFault> {
        self.slot.used.store(self.pool.uses.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        match self.try_opened(access, &open) {
            Err(DiskFault::TooManyOpenFiles) => {
                self.pool.retreat(self.id);
                self.try_opened(access, &open)
            }
            other => other,
        }
    }

    fn try_opened(
        &self,
        access: Access,
        open: impl Fn(Access) -> Result<File, DiskFault>,
    ) -> Result<Arc<File>, DiskFault> {
        let file = match self.open_or_share(access, open)? {
            Opened::Before(file) => return Ok(file),
            Opened::Now(file) => file,
        };
        // Not under the lock of this file: closing the others takes theirs.
        self.pool.trim(self.pool.limit.load(Ordering::Relaxed), self.id);
        Ok(file)
    }

    fn open_or_share(
        &self,
        access: Access,
        open: impl Fn(Access) -> Result<File, DiskFault>,
    ) -> Result<Opened, DiskFault> {
        let mut state = lock(&self.slot.state);
        if let Some((file, held)) = &state.open
            && (held.writes() || !access.writes())
        {
            return Ok(Opened::Before(file.clone()));
        }
        // A file that was there before must not be made anew in silence: what was written to it would be missing.
        let known = state.seen.is_some();
        let file = match open(if known && access == Access::Create { Access::Write } else { access }) {
            Err(DiskFault::Missing) if known => {
                *state = State::default();
                return Err(DiskFault::Vanished);
            }
            other => other?,
        };
        let look = system::facts(&file)?.look;
        if state.seen.is_some_and(|before| !look.is_the_file(before)) {
            *state = State::default();
            return Err(DiskFault::Vanished);
        }
        let file = Arc::new(file);
        *state = State {
            open: Some((file.clone(), if access.writes() { Access::Write } else { access })),
            seen: Some(look),
        };
        lock(&self.pool.open).insert(self.id, self.slot.clone());
        Ok(Opened::Now(file))
    }

    /// Closes the file; the next use opens it again.
    pub(super) fn close(&self) {
        lock(&self.pool.open).remove(&self.id);
        self.slot.close();
    }

    /// Nobody opens or renames the file while `work` is done, which must not ask for this file or another one of the pool; who has it open reads and writes on.
    pub(super) fn locked<T>(&self, work: impl FnOnce() -> T) -> T {
        let _held = lock(&self.slot.state);
        work()
    }

    /// What `look` finds where the name leads: from now on that is the file, and has to be. Also whether it is the one that was seen
    /// before, if one was. As [`locked`](Self::locked).
    pub(super) fn looked(
        &self,
        look: impl FnOnce() -> Result<Option<Found>, DiskError>,
    ) -> Result<(Option<Found>, bool), DiskError> {
        let mut state = lock(&self.slot.state);
        let found = look()?;
        let now = found.map(|found| found.look);
        let known = |before| now.is_some_and(|now| now.is_the_file(before));
        if state.seen.is_none_or(known) {
            if state.open.is_none() {
                state.seen = now;
            }
            return Ok((found, true));
        }
        let other = std::mem::replace(&mut *state, State { open: None, seen: now });
        drop(state);
        lock(&self.pool.open).remove(&self.id);
        drop(other);
        Ok((found, false))
    }

    /// It was seen, and has not been found to be another one.
    pub(super) fn is_known(&self) -> bool {
        lock(&self.slot.state).seen.is_some()
    }

    /// Closes the file and forgets which one it was: the next use takes whatever it finds.
    pub(super) fn forget(&self) {
        lock(&self.pool.open).remove(&self.id);
        *lock(&self.slot.state) = State::default();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.pool.open).remove(&self.id);
    }
}

/// A panic elsewhere cannot leave this bookkeeping half done: every change to it is one assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
