//! The two names of a file: its own, and the one that it has while it is not whole.
//!
//! Part of `pooled`: which of both leads to the file, and the change from one to the other. Who has the file open meanwhile reads and
//! writes on. Never takes a name from another file; which name is right is decided elsewhere.

use std::io;
use std::path::Path;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use supervisors::fault_result;

use super::{Left, PooledFile};
use crate::rt::files::{DiskError, DiskFault, Found, Standing, Walk};

/// The name of a file that is found under neither of its two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewName {
    /// Its own.
    Own,
    /// The one that it has while it is not whole.
    Part,
}

impl PooledFile {
    /// True while the file has the name of one that is not whole.
    pub fn is_part(&self) -> bool {
        self.0.is_part.load(Ordering::Acquire)
    }

    /// True for the path of either name.
    pub fn is_at(&self, path: &Path) -> bool {
        let names = [Some(&self.0.components), self.0.part.get()];
        names.into_iter().flatten().any(|components| self.0.folder.join(components) == path)
    }

    /// What `look` sees at the components of the file, which keeps its name meanwhile.
    pub fn look<T>(&self, look: impl FnOnce(&[String]) -> T) -> T {
        self.0.place.locked(|| look(self.components()))
    }

    /// Finds the file under its own name, otherwise under the one that `part` makes of that; `None` when it is under neither, and is `new`.
    /// The file that is found is the one that is meant from now on.
    pub fn find_name(
        &self,
        walk: &mut Walk<'_>,
        part: impl Fn(&[String]) -> Vec<String>,
        new: NewName,
    ) -> Result<(Option<Found>, Standing), DiskError> {
        let was_part = self.is_part();
        let found = self.look_back(walk, |walk| self.find_either(walk, &part, new))?;
        if self.is_part() != was_part {
            self.close();
        }
        Ok(found)
    }

    fn find_either(
        &self,
        walk: &mut Walk<'_>,
        part: impl Fn(&[String]) -> Vec<String>,
        new: NewName,
    ) -> Result<Option<Found>, DiskError> {
        let mut found = walk.find(&self.0.components)?;
        let mut is_part = false;
        if found.is_none() {
            let part = part(&self.0.components);
            found = match walk.find(&part) {
                // Something of somebody else, in nobody's way.
                Err(error) if new == NewName::Own && !error.is_refusal() => None,
                other => other?,
            };
            is_part = found.is_some() || new == NewName::Part;
            if is_part {
                self.0.part.get_or_init(|| part);
            }
        }
        self.0.is_part.store(is_part, Ordering::Release);
        Ok(found)
    }

    /// The file is not the one that has the name of a part: it is to be made under its own name.
    pub fn leave_part(&self) {
        self.0.place.locked(|| self.0.is_part.store(false, Ordering::Release));
        *self.0.left.lock().unwrap_or_else(PoisonError::into_inner) = Left::default();
        self.forget();
    }

    /// Gives the file its own name, for it is whole.
    pub fn take_own_name(&self) -> Result<(), DiskError> {
        self.rename(false)
    }

    /// Gives the file the name `part`, for it is not whole.
    pub fn take_part_name(&self, part: impl FnOnce(&[String]) -> Vec<String>) -> Result<(), DiskError> {
        self.0.part.get_or_init(|| part(&self.0.components));
        self.rename(true)
    }

    /// The next [`sync_written`](Self::sync_written) makes the name survive a power cut.
    fn rename(&self, to_part: bool) -> Result<(), DiskError> {
        let inner = &self.0;
        let (Some(part), own) = (inner.part.get(), &inner.components) else { return Ok(()) };
        let (from, to) = if to_part { (own, part) } else { (part, own) };
        let renamed = inner.place.locked(|| {
            if self.is_part() == to_part {
                return Ok(());
            }
            fault_result!("disk.rename", path = self.path().display()).map_err(io::Error::from)?;
            inner.folder.rename_to_new(from, to)?;
            inner.is_part.store(to_part, Ordering::Release);
            inner.unsynced.store(true, Ordering::Release);
            Ok(())
        });
        renamed.map_err(|fault: DiskFault| DiskError::new("rename", &inner.folder.join(from), fault))
    }
}
