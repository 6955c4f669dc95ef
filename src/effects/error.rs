//! Our own errors, as opposed to a failed session: what was being done, to which path or program,
//! and why it did not work. Must not decide what follows; [`fault`] only says who is to blame,
//! since an error of the disk or of the machine would hit every other dispatch likewise.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::pure::upkeep::health::Fault;

#[derive(Debug)]
pub struct Error {
    action: &'static str,
    target: PathBuf,
    source: io::Error,
    /// The target is a folder that every dispatch goes through.
    is_shared: bool,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The error reads `cannot {action} {target}: {source}`.
    pub fn new(action: &'static str, target: impl Into<PathBuf>, source: io::Error) -> Error {
        Error { action, target: target.into(), source, is_shared: false }
    }

    /// Marks the target as a folder that every dispatch goes through: the next one would fail
    /// likewise.
    pub fn of_all(self) -> Error {
        Error { is_shared: true, ..self }
    }

    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    pub fn raw_os_error(&self) -> Option<i32> {
        self.source.raw_os_error()
    }

    pub fn fault(&self) -> Fault {
        match fault(&self.source) {
            Fault::Other if self.is_shared => Fault::Folder,
            fault => fault,
        }
    }
}

/// Who is to blame for an error: the disk, the machine, or only what was being done.
pub fn fault(e: &io::Error) -> Fault {
    // FBIG is the limit on the size of a file (`ulimit -f`), which a file of our own can reach.
    let disk = [Errno::NOSPC, Errno::DQUOT, Errno::IO, Errno::ROFS, Errno::FBIG];
    let shortage = [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE];
    let is_of = |list: &[Errno]| list.iter().any(|n| e.raw_os_error() == Some(n.raw_os_error()));
    if is_of(&disk) || e.kind() == io::ErrorKind::StorageFull {
        Fault::Disk
    } else if is_of(&shortage) {
        Fault::Shortage
    } else {
        Fault::Other
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Error { action, target, source, .. } = self;
        write!(f, "cannot {action} {}: {source}", target.display())
    }
}

impl std::error::Error for Error {}

/// Names what an I/O error happened to.
pub trait At<T> {
    fn at(self, action: &'static str, target: &Path) -> Result<T>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, target: &Path) -> Result<T> {
        self.map_err(|source| Error::new(action, target, source))
    }
}

impl<T> At<T> for std::result::Result<T, rustix::io::Errno> {
    fn at(self, action: &'static str, target: &Path) -> Result<T> {
        self.map_err(|errno| Error::new(action, target, errno.into()))
    }
}
