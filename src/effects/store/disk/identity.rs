//! Tells which file this is, whatever its name: by device, inode and, where the file system knows
//! it, the time of its birth.
//!
//! The birth time matters: ext4 gives the inode number of a removed file to the very next one, so
//! that a file which was removed and dropped again would pass for the old one.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::effects::error::{At, Result};
use crate::effects::failpoint::{self, Effect};
use crate::pure::attempt::record::Identity;

/// What one look at a file gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub identity: Identity,
    pub kind: Kind,
    pub size: u64,
    pub mtime_ns: i64,
    pub mode: u32,
    pub uid: u32,
    /// How many names it has.
    pub links: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    File,
    Symlink,
    Directory,
    /// FIFO, socket or device.
    Special,
}

impl Stamp {
    /// Whether this is the same file with, as far as stamps can tell, the same content. A change of
    /// mode or owner is no change of content.
    ///
    /// Without a birth time, a new file with a reused inode number passes for the old one as long
    /// as size and time of change agree, and a writer can set that time back. So this only says
    /// what need not be read again, and whoever removes a file reads it first.
    pub fn is_unchanged(&self, other: &Stamp) -> bool {
        let content = |s: &Stamp| (s.identity, s.kind, s.size, s.mtime_ns);
        content(self) == content(other)
    }

    pub fn is_plain_file(&self) -> bool {
        self.kind == Kind::File
    }
}

/// Stamps the name itself, not what a link there points to.
pub(in crate::effects::store) fn of_path(path: &Path) -> io::Result<Stamp> {
    failpoint::before(Effect::Look)?;
    imp::of_path(path)
}

/// Stamps what has that name; `None` if nothing has. An error is not the same: whoever takes it for
/// "nothing" starts things twice.
pub(in crate::effects::store) fn find(path: &Path) -> Result<Option<Stamp>> {
    match of_path(path) {
        Err(e) if is_nothing(&e) => Ok(None),
        looked => looked.map(Some).at("look at", path),
    }
}

/// Whether the error says that the file, or the folder it should be in, is not there.
pub(in crate::effects::store) fn is_nothing(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

pub(in crate::effects::store) fn of_file(file: &File) -> io::Result<Stamp> {
    imp::of_file(file)
}

#[cfg(target_os = "linux")]
mod imp {
    use super::*;
    use rustix::fs::{AtFlags, CWD, FileType, Statx, StatxFlags, makedev, statx};

    pub fn of_path(path: &Path) -> io::Result<Stamp> {
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
        Ok(stamp(&statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, wanted)?))
    }

    pub fn of_file(file: &File) -> io::Result<Stamp> {
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
        Ok(stamp(&statx(file, "", AtFlags::EMPTY_PATH, wanted)?))
    }

    fn stamp(s: &Statx) -> Stamp {
        let ns = |sec: i64, nsec: u32| sec.saturating_mul(1_000_000_000) + i64::from(nsec);
        let born = s.stx_mask & StatxFlags::BTIME.bits() != 0;
        Stamp {
            identity: Identity {
                dev: makedev(s.stx_dev_major, s.stx_dev_minor),
                ino: s.stx_ino,
                born_ns: born.then(|| ns(s.stx_btime.tv_sec, s.stx_btime.tv_nsec)),
            },
            kind: match FileType::from_raw_mode(s.stx_mode.into()) {
                FileType::RegularFile => Kind::File,
                FileType::Symlink => Kind::Symlink,
                FileType::Directory => Kind::Directory,
                _ => Kind::Special,
            },
            size: s.stx_size,
            mtime_ns: ns(s.stx_mtime.tv_sec, s.stx_mtime.tv_nsec),
            mode: s.stx_mode.into(),
            uid: s.stx_uid,
            links: s.stx_nlink.into(),
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use super::*;
    use std::fs::{Metadata, symlink_metadata};
    use std::os::unix::fs::MetadataExt;
    use std::time::UNIX_EPOCH;

    pub fn of_path(path: &Path) -> io::Result<Stamp> {
        Ok(stamp(&symlink_metadata(path)?))
    }

    pub fn of_file(file: &File) -> io::Result<Stamp> {
        Ok(stamp(&file.metadata()?))
    }

    fn stamp(m: &Metadata) -> Stamp {
        let born = m.created().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
        let kind = if m.is_file() {
            Kind::File
        } else if m.is_symlink() {
            Kind::Symlink
        } else if m.is_dir() {
            Kind::Directory
        } else {
            Kind::Special
        };
        Stamp {
            identity: Identity {
                dev: m.dev(),
                ino: m.ino(),
                born_ns: born.map(|t| t.as_nanos() as i64),
            },
            kind,
            size: m.len(),
            mtime_ns: m.mtime().saturating_mul(1_000_000_000) + m.mtime_nsec(),
            mode: m.mode(),
            uid: m.uid(),
            links: m.nlink(),
        }
    }
}
