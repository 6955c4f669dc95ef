//! Looks at the file system below us: how much of it is free, and whether it lies on this machine.
//!
//! This module only measures; what follows from a shortage is decided elsewhere. A file system that
//! does not count its blocks or files is never short of them.

use std::path::Path;

use rustix::fs::{StatFs, statfs, statvfs};

use super::Store;
use crate::effects::error::{At, Result};
use crate::pure::upkeep::network_fs;

/// Fewer free files than this are too few, where the file system counts them.
const FREE_FILES_MIN: u64 = 1000;
const MEGABYTE: u64 = 1_000_000;

impl Store {
    /// Says in words what is short, if less than `bytes_min` is free for us.
    pub fn want_of_room(&self, bytes_min: u64) -> Result<Option<String>> {
        let free = statvfs(&self.own).at("look at the file system of", &self.own)?;
        let bytes = free.f_bavail.saturating_mul(free.f_frsize);
        let place = self.home.display();
        // A file system that counts no blocks says nothing.
        if free.f_blocks > 0 && bytes < bytes_min {
            let (is, min) = (bytes / MEGABYTE, bytes_min as f64 / MEGABYTE as f64);
            return Ok(Some(format!(
                "only {is} MB are free for {place}, min_free_mb is {min}: make room"
            )));
        }
        if free.f_files > 0 && free.f_favail < FREE_FILES_MIN {
            let files = free.f_favail;
            return Ok(Some(format!(
                "the file system of {place} has room for {files} more files only: make room"
            )));
        }
        Ok(None)
    }

    /// The name of the file system that we are on, or would be, if it is a network file system.
    pub fn network_file_system(&self) -> Result<Option<&'static str>> {
        // Our directories need not be there yet.
        let there = self.own.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
        let found = statfs(there).at("look at the file system of", there)?;
        Ok(network_name(there, &found))
    }
}

#[cfg(target_os = "linux")]
fn network_name(path: &Path, found: &StatFs) -> Option<&'static str> {
    // The type's width and sign are those of the machine's word; the magic numbers have 32 bits.
    let magic = found.f_type as u32;
    if magic != network_fs::FUSE_MAGIC {
        return network_fs::by_magic(magic);
    }
    let device = rustix::fs::stat(path).ok()?.st_dev;
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    network_fs::by_name(network_fs::mount_type(&mountinfo, major, minor)?)
}

#[cfg(target_os = "macos")]
fn network_name(_path: &Path, found: &StatFs) -> Option<&'static str> {
    let name = found.f_fstypename.iter().map(|c| *c as u8).take_while(|byte| *byte != 0).collect();
    network_fs::by_name(&String::from_utf8(name).ok()?)
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn network_name(_path: &Path, _found: &StatFs) -> Option<&'static str> {
    None
}
