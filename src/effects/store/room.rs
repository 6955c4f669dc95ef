//! The file system below us: how much of it is free.

use rustix::fs::statvfs;

use super::Store;
use crate::effects::error::{At, Result};

/// Where the file system counts its files, fewer free than this are too few.
const FREE_FILES_MIN: u64 = 1000;
const MEGABYTE: u64 = 1_000_000;

impl Store {
    /// What is wanting, in words, if less than `bytes_min` is free for us.
    pub fn want_of_room(&self, bytes_min: u64) -> Result<Option<String>> {
        let free = statvfs(&self.own).at("look at the file system of", &self.own)?;
        let bytes = free.f_bavail.saturating_mul(free.f_frsize);
        let place = self.home.display();
        // One that counts nothing says nothing.
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
}
