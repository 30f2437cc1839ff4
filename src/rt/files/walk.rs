//! Looking at many files below a folder, one after the other.
//!
//! A torrent's files come folder by folder. The folder above the last one stays open, and what is known to be missing is not
//! looked for again, so a file costs one system call, and none in a folder that is not there. Changes nothing.

use std::sync::Arc;

use super::folder::open_sub;
use super::system::Dir;
use super::{DiskError, DiskFault, Folder, Found};

/// Made by [`Folder::walk`]. What it has seen is not looked at twice: make a new one for a later look.
#[derive(Debug)]
pub struct Walk<'a> {
    folder: &'a Folder,
    root: Arc<Dir>,
    /// The open folder above the last file, when that is not `folder` itself.
    here: Option<(Vec<String>, Dir)>,
    /// A folder that is not there, though the one above it is. Empty: none is known.
    missing: Vec<String>,
    /// Where a file or a folder could be made.
    open_to_us: Option<Vec<String>>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(folder: &'a Folder) -> Self {
        Self { folder, root: folder.root(), here: None, missing: Vec::new(), open_to_us: None }
    }

    /// As [`Folder::find`].
    pub fn find(&mut self, components: &[String]) -> Result<Option<Found>, DiskError> {
        let (name, dir) = match self.reach(components) {
            Ok(reached) => reached,
            Err(DiskFault::Missing) => return Ok(None),
            Err(fault) => return Err(DiskError::new("look at", &self.folder.join(components), fault)),
        };
        Folder::found(dir, name).map_err(|fault| DiskError::new("look at", &self.folder.join(components), fault))
    }

    /// As [`Folder::check_writable`], for a file that is not there.
    pub fn check_makeable(&mut self, components: &[String]) -> Result<(), DiskError> {
        let above = match components {
            _ if self.is_missing(components) => &self.missing[..self.missing.len() - 1],
            [above @ .., _] => above,
            [] => &[],
        };
        if self.open_to_us.as_deref() != Some(above) {
            self.folder.check_writable(components)?;
            self.open_to_us = Some(above.to_vec());
        }
        Ok(())
    }

    fn is_missing(&self, components: &[String]) -> bool {
        !self.missing.is_empty() && components.starts_with(&self.missing)
    }

    /// The name of the file at `components`, and the folder that it is in.
    fn reach<'b>(&mut self, components: &'b [String]) -> Result<(&'b str, &Dir), DiskFault> {
        let (name, above) = components.split_last().ok_or(DiskFault::BadName)?;
        Folder::check_names(components)?;
        if self.is_missing(above) {
            return Err(DiskFault::Missing);
        }
        if self.here.as_ref().is_none_or(|(path, _)| path != above) {
            self.here = None;
            for (depth, component) in above.iter().enumerate() {
                let next = open_sub(self.here.as_ref().map_or(&self.root, |(_, dir)| dir), component);
                if matches!(next, Err(DiskFault::Missing)) {
                    self.missing = above[..=depth].to_vec();
                }
                self.here = Some((Vec::new(), next?));
            }
            if let Some((path, _)) = &mut self.here {
                path.extend_from_slice(above);
            }
        }
        Ok((name, self.here.as_ref().map_or(&self.root, |(_, dir)| dir)))
    }
}
