//! What lies in a folder, by its names alone. A folder that is not there has none.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::DirEntryExt;
use std::path::Path;

use crate::effects::error::{At, Result};
use crate::effects::store::disk::files;
use crate::effects::store::disk::identity::{self, Kind};
use crate::pure::dispatch::DispatchId;

pub(super) fn is_dir(path: &Path) -> bool {
    identity::of_path(path).is_ok_and(|stamp| stamp.kind == Kind::Directory)
}

/// The names of a folder that are ids. A folder that is not there has none.
pub(super) fn ids_of(dir: &Path) -> Result<Vec<DispatchId>> {
    let mut ids = Vec::new();
    each_entry(dir, &mut |name, _| ids.extend(name.to_str().and_then(DispatchId::parse)))?;
    Ok(ids)
}

/// Calls `each` with every name of a folder and the number of its file. A folder that is not there
/// has none.
pub(super) fn each_entry(dir: &Path, each: &mut dyn FnMut(OsString, u64)) -> Result<()> {
    let entries = match files::list(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        listed => listed?,
    };
    for entry in entries {
        let entry = entry.at("read", dir)?;
        each(entry.file_name(), entry.ino());
    }
    Ok(())
}

/// The same for names with `.json` behind the id.
pub(super) fn json_ids_of(dir: &Path) -> Result<Vec<DispatchId>> {
    let mut ids = Vec::new();
    each_entry(dir, &mut |name, _| {
        let id = name.to_str().and_then(|name| name.strip_suffix(".json"));
        ids.extend(id.and_then(DispatchId::parse));
    })?;
    Ok(ids)
}
