//! A folder of ours that is made when something first belongs there.
//!
//! Most installations never have it. Whether it is there is kept in memory, so that nobody looks
//! for it on the way of a dispatch.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::disk::{files, identity};
use crate::effects::error::{At, Result};

pub(super) struct OptionalDir {
    pub dir: PathBuf,
    is_there: AtomicBool,
}

impl OptionalDir {
    pub fn new(dir: PathBuf) -> OptionalDir {
        OptionalDir { dir, is_there: AtomicBool::new(false) }
    }

    /// Looks whether an earlier daemon made the folder.
    pub fn look(&self) -> Result<()> {
        let is_there = identity::find(&self.dir)?.is_some();
        self.is_there.store(is_there, Ordering::Release);
        Ok(())
    }

    pub fn is_there(&self) -> bool {
        self.is_there.load(Ordering::Acquire)
    }

    /// Makes the folder in `own`, durably, if it is not there.
    pub fn make(&self, own: &Path) -> Result<()> {
        match files::make_dir(&self.dir) {
            Ok(()) => files::sync_dir(own)?,
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e).at("make", &self.dir),
        }
        self.is_there.store(true, Ordering::Release);
        Ok(())
    }
}
