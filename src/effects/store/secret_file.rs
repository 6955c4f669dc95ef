//! Files with keys and secrets: read at use, and only from a file that nobody else could have read
//! or written.
//!
//! The checks are those of ssh: a regular file, no link, with one name, ours or root's, closed to
//! others, and small. They are made on the descriptor that is read. A complaint names the path and
//! the way out, and never shows what is in the file.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::io::Errno;

use super::disk::{files, identity};
use super::ownership::me;
use crate::effects::error::{At, Result};
use crate::effects::failpoint::{self, Effect};
use crate::pure::dispatch::FILE_BYTES_MAX;
use crate::pure::text::escape::shell_word;
use crate::pure::upkeep::ownership::{Guarded, Verdict, judge};

/// More than any key or token has.
const SECRET_BYTES_MAX: u64 = 4096;

/// What a look at such a file gives.
pub enum SecretFile {
    Absent,
    /// Why it is not used, in one line with what to type.
    Wrong(String),
    /// Its content; one newline at the end is cut.
    Read(Vec<u8>),
}

/// Reads a secret, or what says whose signatures count (`place`). An error is our trouble of the
/// moment and says nothing about the file.
pub fn read_secret(path: &Path, place: Guarded) -> Result<SecretFile> {
    let file = match files::open_no_follow(path) {
        Err(e) if identity::is_nothing(&e) => return Ok(SecretFile::Absent),
        Err(e) if is_its_own_fault(&e) => return Ok(wrong(path, &no_file(path, &e.to_string()))),
        opened => opened.at("open", path)?,
    };
    let meta = file.metadata().at("look at", path)?;
    match complaint(path, place, &meta) {
        Some(why) => Ok(wrong(path, &why)),
        None => read(file, path),
    }
}

/// Reads a key that its owner keeps somewhere else, wherever a link leads (containers mount their
/// secrets so). It is the sender's: what others could read is read all the same.
pub fn read_key_elsewhere(path: &Path) -> Result<SecretFile> {
    let file = match File::open(path) {
        Err(e) if identity::is_nothing(&e) => return Ok(SecretFile::Absent),
        opened => opened.at("open", path)?,
    };
    let meta = file.metadata().at("look at", path)?;
    if !meta.is_file() {
        return Ok(wrong(path, "it is not a regular file"));
    }
    read(file, path)
}

/// Says in one line that others can read a key.
pub fn open_to_others(path: &Path) -> Option<String> {
    let mode = std::fs::metadata(path).ok()?.mode() & 0o7777;
    let word = shell_word(&path.to_string_lossy());
    let is_open = judge(Guarded::Secret, me(), mode, me()) == Verdict::TooOpen;
    let path = path.display();
    is_open.then(|| format!("{path} is open to others (mode {mode:04o}): chmod 600 {word}"))
}

/// Reads a document that a person names; `None` is stdin. One byte more than a dispatch may have
/// says that it is too large.
pub fn read_document(path: Option<&Path>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = match path {
        Some(path) => {
            File::open(path).and_then(|f| f.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        }
        None => io::stdin().lock().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes),
    };
    read.at("read", path.unwrap_or(Path::new("stdin")))?;
    Ok(bytes)
}

fn read(file: File, path: &Path) -> Result<SecretFile> {
    let mut bytes = Vec::new();
    failpoint::before(Effect::Read)
        .and_then(|()| file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes))
        .at("read", path)?;
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Ok(wrong(path, &too_large()));
    }
    bytes.pop_if(|last| *last == b'\n');
    Ok(SecretFile::Read(bytes))
}

fn wrong(path: &Path, why: &str) -> SecretFile {
    SecretFile::Wrong(format!("cannot use {}: {why}", path.display()))
}

/// A link, a socket, or a file that we may not read.
fn is_its_own_fault(e: &io::Error) -> bool {
    let errnos = [Errno::LOOP, Errno::ACCESS, Errno::PERM, Errno::NXIO, Errno::NODEV];
    errnos.iter().any(|n| e.raw_os_error() == Some(n.raw_os_error()))
}

fn complaint(path: &Path, place: Guarded, meta: &Metadata) -> Option<String> {
    let (me, word) = (me(), shell_word(&path.to_string_lossy()));
    let mode = meta.mode() & 0o7777;
    if !meta.is_file() {
        return Some(no_file(path, "it is not a regular file"));
    }
    match judge(place, meta.uid(), meta.mode(), me) {
        Verdict::Foreign => {
            let uid = meta.uid();
            return Some(format!("it belongs to uid {uid}: chown {me} {word} && chmod 600 {word}"));
        }
        Verdict::TooOpen => {
            let open = if place == Guarded::Secret {
                "is open to others"
            } else {
                "may be written by others"
            };
            return Some(format!("it {open} (mode {mode:04o}): chmod 600 {word}"));
        }
        Verdict::Fine | Verdict::Mend(_) => {}
    }
    if meta.nlink() != 1 {
        let names = meta.nlink();
        return Some(format!(
            "it has {names} names: cp {word} {word}.new && chmod 600 {word}.new && mv {word}.new {word}"
        ));
    }
    (meta.len() > SECRET_BYTES_MAX).then(too_large)
}

fn no_file(path: &Path, why: &str) -> String {
    let word = shell_word(&path.to_string_lossy());
    format!("{why}; it must be a regular file of its own with mode 0600: mv {word} {word}.old")
}

fn too_large() -> String {
    format!("it is larger than {SECRET_BYTES_MAX} bytes")
}
