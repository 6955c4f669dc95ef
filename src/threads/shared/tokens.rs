//! Secrets that are one line: the tokens of receivers of callbacks, and Clawvisor's. Each is read
//! when it is used.
//!
//! A file that cannot be used is an error and not the same as none. Must not show what is in it.

use std::io::{self, ErrorKind};
use std::path::Path;

use super::sources::{CLAWVISOR_TOKEN, Sources};
use crate::effects::error::{Error, Result};
use crate::effects::secrets;
use crate::effects::store::{SecretFile, Store, read_secret};
use crate::pure::upkeep::ownership::Guarded;

/// The token in a file, which must be there.
pub fn token_in(path: &Path) -> Result<String> {
    match secret_text(path)? {
        None => Err(Error::new("read", path, ErrorKind::NotFound.into())),
        Some(token) => checked(token, path),
    }
}

/// The token that Clawvisor knows us by. `None`: there is none.
pub fn clawvisor_token(store: &Store, sources: &Sources) -> Result<Option<String>> {
    let (place, text) = match sources.clawvisor_token() {
        Some(value) => {
            let value = value.to_string_lossy().into_owned();
            value.lines().for_each(secrets::hold);
            (Path::new(CLAWVISOR_TOKEN).to_path_buf(), Some(value))
        }
        None => {
            let path = store.clawvisor_token_path();
            let text = secret_text(&path)?;
            (path, text)
        }
    };
    text.map(|token| checked(token, &place)).transpose()
}

fn checked(token: String, place: &Path) -> Result<String> {
    if !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(token);
    }
    Err(unusable(place, "it is no token: one line of visible ASCII"))
}

/// What a file with a secret says. `None`: there is no such file.
pub fn secret_text(path: &Path) -> Result<Option<String>> {
    match read_secret(path, Guarded::Secret)? {
        SecretFile::Absent => Ok(None),
        SecretFile::Wrong(line) => {
            let whole = format!("cannot use {}: ", path.display());
            Err(unusable(path, line.strip_prefix(&whole).unwrap_or(&line)))
        }
        SecretFile::Read(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(unusable(path, "it is no text")),
        },
    }
}

pub fn unusable(place: &Path, why: &str) -> Error {
    Error::new("use", place, io::Error::new(ErrorKind::InvalidData, why))
}
