//! Small files in which one run tells the next what it knows.
//!
//! A file is replaced whole or not at all. Nothing here knows what is in it. All calls block.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{DiskError, Folder};

/// One such file.
#[derive(Debug, Clone)]
pub struct StateFile {
    folder: Arc<Folder>,
    name: [String; 1],
}

impl StateFile {
    /// The file `name` in the folder `folder`, which is made when it is not there.
    pub fn open(folder: &Path, name: &str) -> Result<Self, DiskError> {
        Ok(Self { folder: Folder::open(folder)?, name: [name.to_owned()] })
    }

    /// Where it is, for people to read.
    pub fn path(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// What is in it, at most `at_most` bytes; `None` when it is not there.
    pub fn load(&self, at_most: usize) -> Result<Option<Vec<u8>>, DiskError> {
        self.folder.read_whole(&self.name, at_most)
    }

    /// Replaces what is in it. `synced`: also a power cut leaves the old bytes or the new ones; that waits for the disk.
    pub fn save(&self, bytes: &[u8], synced: bool) -> Result<(), DiskError> {
        self.folder.replace(&self.name, bytes, synced)
    }

    /// Keeps a file that cannot be used for people to look at, under its name with `.bad` behind it; an older one is gone.
    pub fn set_aside(&self) -> Result<(), DiskError> {
        let [name] = &self.name;
        self.folder.rename(&self.name, &format!("{name}.bad"))
    }
}

/// A name for this run of the operating system, another one after each boot; `None` where the system has none. What was written and
/// not synced survives everything but the end of that run.
pub fn boot_id() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_file_is_saved_loaded_and_set_aside() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = StateFile::open(&dir.path().join("deep/down"), "x.resume").expect("a state file");
        assert_eq!(file.load(10).expect("no error"), None);
        for synced in [true, false] {
            file.save(b"old", true).expect("saved");
            file.save(b"new", synced).expect("saved");
            assert_eq!(file.load(10).expect("loaded").as_deref(), Some(&b"new"[..]));
        }
        assert!(file.load(2).is_err(), "larger than anything we write");
        file.set_aside().expect("set aside");
        file.set_aside().expect("there is none any more");
        assert_eq!(file.load(10).expect("no error"), None);
        assert_eq!(std::fs::read(file.path().with_extension("resume.bad")).expect("kept"), b"new");
        let names = std::fs::read_dir(dir.path().join("deep/down")).expect("the folder").count();
        assert_eq!(names, 1, "no draft is left");
    }
}
