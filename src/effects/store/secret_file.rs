//! Reads files with a secret in them, each time that the secret is used.
//!
//! A secret that others could have read or chosen is none: the file must be a plain one of ours (or
//! root's) under one name and closed to everybody else. The error says what to type, and nothing of
//! the secret.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Store;
use super::disk::{files, identity};
use super::ownership::{foreign, me, refused};
use crate::effects::error::{At, Result};
use crate::pure::text::escape::shell_word;
use crate::pure::upkeep::ownership::{Guarded, Verdict, judge};

/// The largest file with a secret, in bytes.
const SECRET_BYTES_MAX: u64 = 4096;

impl Store {
    /// Where the secret stands that callbacks are signed with.
    pub fn callback_secret_path(&self) -> PathBuf {
        self.home().join(".callback-secret")
    }
}

/// Reads a secret without the newline at its end. `None`: there is no such file.
pub fn read_secret(path: &Path) -> Result<Option<String>> {
    let file = match files::open_no_follow(path) {
        Err(e) if identity::is_nothing(&e) => return Ok(None),
        Err(e) if e.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(refused(path, "it is a link; put the file itself there".into()));
        }
        opened => opened.at("open", path)?,
    };
    let meta = file.metadata().at("look at", path)?;
    let word = shell_word(&path.to_string_lossy());
    if !meta.is_file() {
        return Err(refused(path, "it is not a regular file".into()));
    }
    match judge(Guarded::Secret, meta.uid(), meta.mode(), me()) {
        Verdict::Foreign => return Err(foreign(path, meta.uid(), "")),
        Verdict::TooOpen => {
            let mode = meta.mode() & 0o7777;
            let why = format!("it is open to others (mode {mode:04o}): chmod 600 {word}");
            return Err(refused(path, why));
        }
        Verdict::Fine | Verdict::Mend(_) => {}
    }
    if meta.nlink() != 1 {
        let why = "it has another name too (a hard link); to give it one of its own: ";
        return Err(refused(path, format!("{why}cp -p {word} {word}.new && mv {word}.new {word}")));
    }
    let mut bytes = Vec::new();
    file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes).at("read", path)?;
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(refused(path, format!("it is larger than {SECRET_BYTES_MAX} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|_| refused(path, "it is no text".into()))?;
    Ok(Some(text.strip_suffix('\n').unwrap_or(&text).to_string()))
}
