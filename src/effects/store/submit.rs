//! What the commands put where the daemon looks: a dispatch in the inbox, a request in `control/`.
//!
//! Each comes whole and durable, by one rename: whoever was told that it is there finds it after a
//! power cut, and nobody ever reads half of it. The temporary name holds the writer's pid, since
//! many commands may be writing at once.

use std::io;
use std::path::{Path, PathBuf};

use super::Store;
use super::claims::accept::IdOwner;
use super::disk::{files, identity};
use super::drop_zone::requests::Request;
use crate::effects::clock;
use crate::effects::error::{At, Error, Result};
use crate::pure::dispatch::DispatchId;

/// Whether something else of that name may be replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    Anything,
    Nothing,
}

impl Store {
    /// Drops a dispatch under the name of its id, mode 0600, and never over another file: that is
    /// an error of the kind `AlreadyExists`. The folders are made where no daemon has made them.
    pub fn submit(&self, id: &DispatchId, bytes: &[u8]) -> Result<PathBuf> {
        self.make_directories()?;
        put(self.drop_zone(), &inbox_name(id), bytes, Over::Nothing)
    }

    /// Whether a dispatch of that id may be dropped: nobody has the id, nor a file of its name.
    pub fn is_free(&self, id: &DispatchId) -> Result<bool> {
        let is_dropped = identity::find(&self.drop_zone().join(inbox_name(id)))?.is_some();
        Ok(!is_dropped && matches!(self.owner(id)?, IdOwner::Nobody | IdOwner::Rejection))
    }

    /// Puts a request to the daemon into `control/`, in the place of one that stands there.
    pub fn request(&self, request: &Request, content: &str) -> Result<PathBuf> {
        self.make_directories()?;
        put(self.control_dir(), &request.name(), content.as_bytes(), Over::Anything)
    }

    /// Takes back a request that stands in `control/`.
    pub fn take_back(&self, request: &Request) -> Result<()> {
        files::remove(&self.control_dir().join(request.name()))
    }
}

fn inbox_name(id: &DispatchId) -> String {
    format!("{id}.json")
}

fn put(dir: &Path, name: &str, bytes: &[u8], over: Over) -> Result<PathBuf> {
    let temporary = files::temporary(dir, &format!("{name}.{}", writer()));
    let path = dir.join(name);
    let written = write(&temporary, &path, bytes, over);
    if written.is_err() {
        // What is left of it would lie there for ever; the error that counts is the first one.
        let _ = files::remove(&temporary);
    }
    written?;
    files::sync_dir(dir).map(|()| path)
}

fn write(temporary: &Path, path: &Path, bytes: &[u8], over: Over) -> Result<()> {
    let file = files::create(temporary, bytes)?;
    files::sync_file(&file, temporary).at("sync", temporary)?;
    let renamed = match over {
        Over::Anything => files::rename(temporary, path),
        Over::Nothing => files::rename_to_free(temporary, path),
    };
    renamed.map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => {
            let why = "it is there already, and is never written over";
            Error::new("make", path, io::Error::new(e.kind(), why))
        }
        _ => Error::new("put in place", path, e),
    })
}

/// A name that no other writer has: a pid may come again, but not at the same time.
fn writer() -> String {
    format!("{}.{}", std::process::id(), clock::monotonic_ms())
}
