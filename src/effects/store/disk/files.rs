//! The few ways in which a file of ours comes into being or is read. Outside of this module only
//! the lock, the audit log, outputs and scratch files are opened for writing.
//!
//! Each fsync has its reason: after a power cut a file that was renamed without fsync can be empty
//! under its final name, and without the directory's fsync the rename itself is gone (both seen on
//! ext4 and xfs). An fsync that failed is never tried again on the same file: the kernel may have
//! dropped the pages and would then report success.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::identity::{self, Kind, Stamp};
use crate::effects::error::{At, Error, Result};
use crate::effects::failpoint::{self, Effect};
use crate::effects::secrets;
use crate::pure::attempt::record::Identity;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::effects::store) enum Durable {
    Yes,
    /// The file is durable; the caller sees to its folder.
    FileOnly,
    /// The file is synced under its final name, which saves one journal commit; a power cut before
    /// this returns may leave it empty. This is for a record whose every reader tells an unreadable
    /// one from a readable one.
    AfterRename,
    No,
}

/// Creates a file that must not exist yet, and does not make it durable.
pub(in crate::effects::store) fn create(path: &Path, bytes: &[u8]) -> Result<File> {
    create_for(path, bytes, Readers::Us)
}

/// Who may read a file of ours.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::effects::store) enum Readers {
    Us,
    /// The file's group too, whatever the umask.
    Group,
}

fn create_for(path: &Path, bytes: &[u8], readers: Readers) -> Result<File> {
    let mut file = create_new(path).at("create", path)?;
    match readers {
        Readers::Us => {}
        Readers::Group => {
            let mode = fs::Permissions::from_mode(0o640);
            file.set_permissions(mode).at("open to its group", path)?;
        }
    }
    write_all(&mut file, bytes).at("write", path)?;
    Ok(file)
}

fn create_new(path: &Path) -> io::Result<File> {
    failpoint::before(Effect::Create(path))?;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits() as i32)
        .open(path)
}

/// The name under which a file is written before it takes its own.
pub(in crate::effects::store) fn temporary(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!(".tmp.{name}"))
}

/// Puts a file in place of whatever stands there, at once and whole. The rename never follows a
/// planted link.
pub(in crate::effects::store) fn replace(
    dir: &Path,
    name: &str,
    bytes: &[u8],
    durable: Durable,
) -> Result<()> {
    replace_for(dir, name, bytes, durable, Readers::Us)
}

/// Does [`replace`] with a file that these may read.
pub(in crate::effects::store) fn replace_for(
    dir: &Path,
    name: &str,
    bytes: &[u8],
    durable: Durable,
    readers: Readers,
) -> Result<()> {
    let temporary = temporary(dir, name);
    let file = match create_for(&temporary, bytes, readers) {
        // A crash left this, or somebody planted it.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            remove(&temporary)?;
            create_for(&temporary, bytes, readers)?
        }
        created => created?,
    };
    match durable {
        Durable::Yes | Durable::FileOnly => sync_file(&file, &temporary).at("sync", &temporary)?,
        Durable::AfterRename | Durable::No => {}
    }
    let path = dir.join(name);
    rename(&temporary, &path).at("put in place", &path)?;
    match durable {
        Durable::Yes => sync_dir(dir),
        Durable::AfterRename => {
            sync_file(&file, &path).at("sync", &path)?;
            sync_dir(dir)
        }
        Durable::FileOnly | Durable::No => Ok(()),
    }
}

/// Gives a file or a folder its new name, at once and whole.
pub(in crate::effects::store) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    failpoint::before(Effect::Rename(from, to))?;
    fs::rename(from, to)
}

/// Does [`rename`], but never over what has the new name.
pub(in crate::effects::store) fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
    failpoint::before(Effect::Rename(from, to))?;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // This file system cannot do it in one step.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => match fs::symlink_metadata(to) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => fs::rename(from, to),
            found => found.and(Err(io::ErrorKind::AlreadyExists.into())),
        },
        renamed => Ok(renamed?),
    }
}

/// Does [`rename_to_free`] to the first of these names that nothing has, and gives that name.
/// `AlreadyExists` means that all of them are taken.
pub(in crate::effects::store) fn rename_to_first_free(
    from: &Path,
    names: impl Iterator<Item = PathBuf>,
) -> io::Result<PathBuf> {
    for to in names {
        match rename_to_free(from, &to) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            renamed => return renamed.map(|()| to),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Writes all of it, in as many pieces as it takes.
pub(in crate::effects::store) fn write_all(file: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match failpoint::write(file, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n..],
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Lists the names in a folder.
pub(in crate::effects::store) fn list(dir: &Path) -> Result<fs::ReadDir> {
    failpoint::before(Effect::Open).and_then(|()| fs::read_dir(dir)).at("read", dir)
}

pub(in crate::effects::store) fn sync_file(file: &File, path: &Path) -> io::Result<()> {
    failpoint::before(Effect::Sync(path))?;
    file.sync_all()
}

/// Writes over the beginning of a file that is there already, in one write.
pub(in crate::effects::store) fn overwrite(path: &Path, bytes: &[u8]) -> Result<()> {
    let file = OpenOptions::new().write(true).custom_flags(UNLED).open(path).and_then(plain);
    match failpoint::before(Effect::Write).and(file).and_then(|file| file.write_at(bytes, 0)) {
        Ok(written) if written < bytes.len() => Err(io::ErrorKind::WriteZero.into()),
        written => written.map(drop),
    }
    .at("write over", path)
}

/// Syncs a file that was written without fsync, or a folder.
pub(in crate::effects::store) fn sync(path: &Path) -> Result<()> {
    open_to_sync(path).and_then(|file| sync_file(&file, path)).at("sync", path)
}

/// Opens a file or a folder to sync it.
pub(in crate::effects::store) fn open_to_sync(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(UNLED).open(path)
}

/// Makes a folder that is ours alone, whatever the umask.
pub(in crate::effects::store) fn make_dir(path: &Path) -> io::Result<()> {
    failpoint::before(Effect::MakeDir(path))?;
    fs::DirBuilder::new().mode(0o700).create(path)
}

/// Gives a folder of ours its own mode back, if a session took it. `None` if it is no folder (any
/// more).
pub(in crate::effects::store) fn open_up(dir: &Path) -> Result<Option<Stamp>> {
    let Some(stamp) = identity::find(dir)?.filter(|stamp| stamp.kind == Kind::Directory) else {
        return Ok(None);
    };
    if stamp.mode & 0o700 != 0o700 {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).at("open up", dir)?;
    }
    Ok(Some(stamp))
}

/// Checks that a folder is the one that it was, and opens it up. Gives its identity.
pub(in crate::effects::store) fn open_same(
    dir: &Path,
    known: Option<Identity>,
) -> Result<Identity> {
    let now = open_up(dir)?.map(|stamp| stamp.identity);
    now.filter(|now| known.is_none_or(|known| known == *now)).ok_or_else(|| {
        let gone = io::Error::new(io::ErrorKind::NotFound, "it is not there any more");
        Error::new("use", dir, gone)
    })
}

pub(in crate::effects::store) fn sync_dir(dir: &Path) -> Result<()> {
    sync(dir)
}

/// Reads a file of ours, at most `bytes_max` of it. Anything but a plain file that we may read (a
/// session can put anything there) is unreadable, and no error: waiting would not change it.
pub(in crate::effects::store) fn read(path: &Path, bytes_max: u64) -> Result<Record<Vec<u8>>> {
    let file = match open_plain(path) {
        Err(e) if identity::is_nothing(&e) => return Ok(Record::Absent),
        Err(e) if is_no_file_of_ours(&e) => {
            log::warn!("{} is not what it was: {e}", path.display());
            return Ok(Record::Unreadable);
        }
        opened => opened.at("open", path)?,
    };
    // With room for a usual record, two reads do instead of six.
    let mut bytes = Vec::with_capacity(RECORD_BYTES_USUAL);
    failpoint::before(Effect::Read)
        .and_then(|()| file.take(bytes_max).read_to_end(&mut bytes))
        .at("read", path)?;
    Ok(Record::Read(bytes))
}

/// Whether a link, a folder, a FIFO or a socket stands there, or a file that we may not read.
fn is_no_file_of_ours(e: &io::Error) -> bool {
    let errnos = [Errno::LOOP, Errno::ACCESS, Errno::PERM, Errno::NXIO, Errno::NODEV];
    e.kind() == NOT_PLAIN || errnos.iter().any(|n| e.raw_os_error() == Some(n.raw_os_error()))
}

/// Opens for reading; never waits, and never follows a link.
pub(in crate::effects::store) fn open_no_follow(path: &Path) -> io::Result<File> {
    failpoint::before(Effect::Open)?;
    OpenOptions::new().read(true).custom_flags(UNLED).open(path)
}

/// Does [`open_no_follow`], for a plain file only.
pub(in crate::effects::store) fn open_plain(path: &Path) -> io::Result<File> {
    plain(open_no_follow(path)?)
}

/// Opens a plain file for appending, and makes it if it is not there.
pub(in crate::effects::store) fn open_to_append(path: &Path) -> io::Result<File> {
    failpoint::before(Effect::Create(path))?;
    let mut options = OpenOptions::new();
    plain(options.append(true).create(true).mode(0o600).custom_flags(UNLED).open(path)?)
}

fn plain(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(NOT_PLAIN, "it is not a plain file"))
}

/// With these flags no link is followed, and a FIFO that nobody writes to does not keep us waiting.
const UNLED: i32 =
    (OFlags::NOFOLLOW.bits() | OFlags::NONBLOCK.bits() | OFlags::NOCTTY.bits()) as i32;
/// The error that [`open_plain`] gives for anything else.
const NOT_PLAIN: io::ErrorKind = io::ErrorKind::InvalidInput;

/// The largest record of ours. An attempt record holds a whole dispatch, escaped once more.
pub(in crate::effects::store) const RECORD_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Most records have room in this, so that none is moved while it grows.
pub(in crate::effects::store) const RECORD_BYTES_USUAL: usize = 2048;

/// What a record's file says. A record that makes no sense is not the same as none.
#[derive(Clone, Debug, PartialEq)]
pub enum Record<T> {
    Absent,
    Unreadable,
    Read(T),
}

impl<T> Record<T> {
    pub fn read(&self) -> Option<&T> {
        match self {
            Record::Read(value) => Some(value),
            Record::Absent | Record::Unreadable => None,
        }
    }

    pub fn into_read(self) -> Option<T> {
        match self {
            Record::Read(value) => Some(value),
            Record::Absent | Record::Unreadable => None,
        }
    }
}

/// Reads a record. An error is our trouble of the moment (no descriptor left, a bad disk) and says
/// nothing about the record.
pub(in crate::effects::store) fn read_record<T: DeserializeOwned>(
    path: &Path,
) -> Result<Record<T>> {
    let bytes = match read(path, RECORD_BYTES_MAX)? {
        Record::Read(bytes) => bytes,
        Record::Absent => return Ok(Record::Absent),
        Record::Unreadable => return Ok(Record::Unreadable),
    };
    Ok(serde_json::from_slice(&bytes).map_or_else(
        |e| {
            log::warn!("{} is damaged: {e}", path.display());
            Record::Unreadable
        },
        Record::Read,
    ))
}

/// A record as it is written, without secrets.
pub(in crate::effects::store) fn to_json<T: Serialize>(value: &T, path: &Path) -> Result<Vec<u8>> {
    to_exact_json(value, path).map(secrets::redact_json_bytes)
}

/// Does [`to_json`] for a record that must be read back as it is: it holds what others wrote, and
/// nothing would be the same without it.
pub(in crate::effects::store) fn to_exact_json<T: Serialize>(
    value: &T,
    path: &Path,
) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(RECORD_BYTES_USUAL);
    match serde_json::to_writer(&mut bytes, value) {
        Ok(()) => Ok(bytes),
        Err(e) => Err(Error::new("encode", path, e.into())),
    }
}

/// Removes a file. It is no error if the file is gone already.
pub(in crate::effects::store) fn remove(path: &Path) -> Result<()> {
    match failpoint::before(Effect::Remove(path)).and_then(|()| fs::remove_file(path)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.at("remove", path),
    }
}
