//! Our own trouble, as opposed to a failed session: what was being done, to which path or program, and why it did not work.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub struct Error {
    action: &'static str,
    target: PathBuf,
    source: io::Error,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// `cannot {action} {target}: {source}`
    pub fn new(action: &'static str, target: impl Into<PathBuf>, source: io::Error) -> Error {
        Error { action, target: target.into(), source }
    }

    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Error { action, target, source } = self;
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
