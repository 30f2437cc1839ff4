//! A folder of our own for the time of one run, in the system's folder for such things (`TMPDIR`).
//!
//! Private (only this user may look in), new (never one that was there before), and removed with all that is in it. Never removes
//! anything else: a symbolic link inside is removed, not followed.

use std::fs::DirBuilder;
use std::io;
use std::path::{Path, PathBuf};

use super::dice;
use super::files::{DiskError, DiskFault};

/// Removed when dropped, at the latest.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    there: bool,
}

impl Scratch {
    /// Makes a fresh folder whose name begins with `prefix`.
    pub fn new(prefix: &str) -> Result<Self, DiskError> {
        const TRIES: u32 = 16;
        let parent = std::env::temp_dir();
        for _ in 0..TRIES {
            let path = parent.join(format!("{prefix}{:016x}", dice::seed()));
            match private_folder().create(&path) {
                Ok(()) => return Ok(Self { path, there: true }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(fail("make the folder", &path, error)),
            }
        }
        Err(fail("make a folder in", &parent, io::ErrorKind::AlreadyExists.into()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it and everything in it. Blocks.
    pub fn remove(mut self) -> Result<(), DiskError> {
        self.there = false;
        std::fs::remove_dir_all(&self.path).map_err(|error| fail("remove", &self.path, error))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.there {
            // Nobody is left to be told; the system cleans this folder up sooner or later.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

fn private_folder() -> DirBuilder {
    #[cfg_attr(not(unix), allow(unused_mut))]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

fn fail(doing: &'static str, path: &Path, error: io::Error) -> DiskError {
    DiskError { doing, path: path.to_owned(), fault: DiskFault::from(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_folder_is_new_private_and_gone_afterwards() {
        let (one, two) = (Scratch::new("bt-erl-test-").unwrap(), Scratch::new("bt-erl-test-").unwrap());
        assert_ne!(one.path(), two.path());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(one.path()).unwrap().permissions().mode() & 0o777, 0o700);
        }
        std::fs::write(one.path().join("x"), "x").unwrap();
        let paths = [one.path().to_owned(), two.path().to_owned()];
        one.remove().unwrap();
        drop(two);
        assert!(paths.iter().all(|path| !path.exists()));
    }
}
