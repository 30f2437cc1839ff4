//! What the files are called: their own names when they are whole; until then, where the user wants it, the names of parts.
//!
//! A file that is there under its own name is the torrent's, and then a part beside it is not. A part is the torrent's, whoever began it,
//! when a piece of it is right, when we have written to it, or when there is nothing in it. No name is ever taken from another file.

use super::*;

impl Content {
    /// Finds each file under one of its names, and says how it stands; those that are not as we left them are noted in `lost`, once.
    pub(crate) fn find_names(&self, lost: &mut Vec<Loss>) -> Result<Vec<Option<Stamp>>, DiskError> {
        self.each_file(|walk, position, file| {
            let (found, standing) = self.find_name(walk, position, file)?;
            if standing == Standing::Lost {
                lost.push(Loss::of(position, file, found));
            }
            Ok(found.map(stamp_of))
        })
    }

    pub(super) fn find_name(
        &self,
        walk: &mut Walk<'_>,
        position: usize,
        file: &PooledFile,
    ) -> Result<(Option<Found>, Standing), DiskError> {
        // An empty file is whole when it is made.
        if self.lengths[position] == 0 {
            return file.look_back(walk, |walk| walk.find(file.components()));
        }
        file.find_name(walk, |path| self.parts.path(position, path), self.new)
    }

    /// The name of a part, if that is what the file has.
    pub(crate) fn part_name(&self, position: usize) -> Option<&str> {
        let file = self.files.get(position)?.as_ref().filter(|file| file.is_part())?;
        file.components().last().map(String::as_str)
    }

    /// True when [`settle_names`](Self::settle_names) may have something to do.
    pub(crate) fn may_rename(&self) -> bool {
        self.new == NewName::Part || self.files.iter().flatten().any(PooledFile::is_part)
    }

    /// The files of `piece` that have the names of parts, and are whole with the pieces in `have`.
    pub(crate) fn whole_parts(&self, piece: PieceIndex, have: &Bitfield) -> Vec<usize> {
        let length = self.layout.piece_length(piece).into();
        let files = self.layout.file_ranges(self.layout.piece_offset(piece), length).map(|range| range.file);
        let is_part = |file: &usize| self.files[*file].as_ref().is_some_and(PooledFile::is_part);
        files.filter(is_part).filter(|file| self.layout.is_whole(*file, have)).collect()
    }

    /// Gives each file that is or will be written to the name that it should have while these pieces are finished; what cannot be
    /// renamed keeps the name that it has. Returns what was refused.
    pub(crate) fn settle_names(&self, have: &Bitfield) -> Vec<DiskError> {
        let mut walk = self.folder.walk();
        let settled = self.touched().filter(|(position, _)| self.lengths[*position] > 0);
        settled.filter_map(|(position, file)| self.settle(&mut walk, position, file, have).err()).collect()
    }

    fn settle(
        &self,
        walk: &mut Walk<'_>,
        position: usize,
        file: &PooledFile,
        have: &Bitfield,
    ) -> Result<(), DiskError> {
        let whole = self.layout.is_whole(position, have);
        match (file.is_part(), self.new) {
            (true, _) if whole => self.end(position, file, file.length()?),
            (true, new) if self.layout.pieces_of_file(position).any(|piece| have.get(piece)) => match new {
                NewName::Own => file.take_own_name(),
                NewName::Part => Ok(()),
            },
            (true, NewName::Part) if file.is_ours() || is_empty(walk, file)? => Ok(()),
            (true, _) => {
                log::warn!(
                    "{} holds no piece of this torrent and is left alone; {} is written under its own name",
                    file.path().display(),
                    file.own_name()
                );
                file.leave_part();
                Ok(())
            }
            (false, NewName::Part) if !whole => file.take_part_name(|path| self.parts.path(position, path)),
            (false, _) => Ok(()),
        }
    }

    /// The last run wrote to these files, whatever is in them now. `stamps`: how it left them.
    pub(crate) fn claim(&self, stamps: &[Option<Stamp>]) {
        let left = self.files.iter().zip(stamps).filter(|(_, stamp)| stamp.is_some());
        left.filter_map(|(file, _)| file.as_ref()).for_each(PooledFile::claim);
    }

    /// What is left to do for a file that has become whole.
    pub(crate) fn end_file(&self, position: usize) -> Result<(), DiskError> {
        let Some(Some(file)) = self.files.get(position) else { return Ok(()) };
        self.end(position, file, file.length()?)
    }

    /// It gets its length, if it is wanted, and its name. `found`: how long it is.
    pub(super) fn end(&self, position: usize, file: &PooledFile, found: Option<u64>) -> Result<(), DiskError> {
        let length = self.lengths[position];
        if self.selection.wants_file(position) && found.is_some_and(|found| found > length) {
            file.set_len(length)?;
        }
        file.take_own_name()
    }
}

/// True when nobody has written anything to it.
fn is_empty(walk: &mut Walk<'_>, file: &PooledFile) -> Result<bool, DiskError> {
    let found = file.find_in(walk)?;
    Ok(found.is_none_or(|found| found.length() == 0) || file.next_data(0)?.is_none())
}
