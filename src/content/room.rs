//! Room on the disk for what is still to come, taken before it comes, where the user wants it.
//!
//! A full disk is found out at the start, and nothing is taken then; a quota shows only in the taking. Only wanted files that are not whole get room; parts of others that
//! come with them do not. Blocks are reserved, not written, and no file becomes longer: to the survey what was reserved is no content.

use std::collections::BTreeMap;

use super::*;
use crate::rt::files::Reserved;

/// What a file still needs of the disk.
struct Need {
    position: usize,
    bytes: u64,
}

impl Content {
    /// Reserves room for the wanted files that are not whole with the pieces in `have`. `Err` when there is not enough: as far as that
    /// is known before, nothing has been reserved then.
    pub(crate) fn reserve(&self, have: &Bitfield) -> Result<(), DiskError> {
        let needs = self.needs(have)?;
        if let Some(lacking) = self.lacking(&needs)? {
            return Err(lacking);
        }
        for Need { position, .. } in &needs {
            let Some(Some(file)) = self.files.get(*position) else { continue };
            match file.reserve(self.lengths[*position]) {
                Ok(Reserved::Yes) => {}
                Ok(Reserved::Unsupported) => {
                    let path = file.path();
                    log::warn!(
                        "no room is reserved for {}, because its file system cannot do that; files grow as pieces come",
                        path.display()
                    );
                    return Ok(());
                }
                // Somebody was faster: how much is missing now says more. A quota is not known here.
                Err(error @ DiskError { fault: DiskFault::Full, .. }) => {
                    return Err(self.lacking(&self.needs(have)?)?.unwrap_or(error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn needs(&self, have: &Bitfield) -> Result<Vec<Need>, DiskError> {
        let mut walk = self.folder.walk();
        let mut needs = Vec::new();
        for (position, file) in self.touched().filter(|(position, _)| self.selection.wants_file(*position)) {
            if self.layout.is_whole(position, have) {
                continue;
            }
            let allocated = file.find_in(&mut walk)?.map_or(0, |found| found.allocated);
            let bytes = self.lengths[position].saturating_sub(allocated);
            if bytes > 0 {
                needs.push(Need { position, bytes });
            }
        }
        Ok(needs)
    }

    /// An error when some file system has less room than these files need there.
    fn lacking(&self, needs: &[Need]) -> Result<Option<DiskError>, DiskError> {
        let mut systems: BTreeMap<u64, (u64, u64, &[String])> = BTreeMap::new();
        let mut last: Option<(&[String], u64)> = None;
        for Need { position, bytes } in needs {
            let Some(Some(file)) = self.files.get(*position) else { continue };
            let above = file.components().split_last().map_or(&[][..], |(_, above)| above);
            let system = match last {
                Some((folder, system)) if folder == above => system,
                _ => {
                    let (system, free) = self.folder.room_at(file.components())?;
                    systems.entry(system).or_insert((0, free, above));
                    system
                }
            };
            last = Some((above, system));
            if let Some((needed, ..)) = systems.get_mut(&system) {
                *needed = needed.saturating_add(*bytes);
            }
        }
        let mut lacking = systems.into_values().filter(|(needed, free, _)| needed > free);
        Ok(lacking.next().map(|(needed, free, above)| DiskError {
            doing: "reserve room in",
            path: self.folder.join(above),
            fault: DiskFault::Lacking { bytes: needed - free },
        }))
    }
}
