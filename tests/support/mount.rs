//! Small file systems in memory, for who may mount some.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system in memory, unmounted when dropped.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// Of `size` bytes. `None`, and says so, when this user may not mount.
    pub(crate) fn at(test: &str, path: &Path, size: u64) -> Option<Mount> {
        std::fs::create_dir_all(path).expect("a folder to mount on");
        if mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"], path) {
            return Some(Mount(path.to_owned()));
        }
        super::skipped(test, "this user may not mount a file system");
        None
    }

    /// Changes its size, or whether it may be written.
    pub(crate) fn again(&self, options: &str) {
        assert!(mount(&["-o", &format!("remount,{options}")], &self.0), "remount with {options}");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn mount(args: &[&str], path: &Path) -> bool {
    Command::new("mount").args(args).arg(path).output().is_ok_and(|output| output.status.success())
}
