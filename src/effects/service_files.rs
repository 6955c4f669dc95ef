//! The files of the service managers: where the user's units and property lists lie, and how one of
//! ours gets there. Must not touch a file that we did not write, nor ask a manager for anything.
//!
//! A file is whole or it is not there: it is written beside, made durable and renamed.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::error::{At, Error, Result};
use crate::pure::service::{LABEL_OF_GSTACK, SERVICE_NAME, is_ours};
use crate::pure::text::escape::shell_word;

/// More than any of them takes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Where the files of a user's services are.
#[derive(Debug)]
pub struct ServicePlaces {
    pub unit: PathBuf,
    pub plist: PathBuf,
    /// Those of gstack's own installer.
    pub of_gstack: [PathBuf; 2],
}

impl ServicePlaces {
    /// `config_home` is `$XDG_CONFIG_HOME`, which counts if it is absolute.
    pub fn new(home: &Path, config_home: Option<&OsStr>) -> ServicePlaces {
        let config = config_home.map(PathBuf::from).filter(|dir| dir.is_absolute());
        let units = config.unwrap_or_else(|| home.join(".config")).join("systemd/user");
        let lists = home.join("Library/LaunchAgents");
        ServicePlaces {
            unit: units.join(format!("{SERVICE_NAME}.service")),
            plist: lists.join(format!("{SERVICE_NAME}.plist")),
            of_gstack: [
                units.join(format!("{LABEL_OF_GSTACK}.service")),
                lists.join(format!("{LABEL_OF_GSTACK}.plist")),
            ],
        }
    }

    /// The file of gstack's own installer, if there is one.
    pub fn found_of_gstack(&self) -> Option<&Path> {
        self.of_gstack.iter().find(|path| fs::symlink_metadata(path).is_ok()).map(PathBuf::as_path)
    }
}

/// The text of such a file, whoever wrote it. `None`: there is none.
pub fn read_service_file(path: &Path) -> Result<Option<String>> {
    let opened = match File::open(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.at("open", path)?,
    };
    let mut bytes = Vec::new();
    opened.take(FILE_BYTES_MAX).read_to_end(&mut bytes).at("read", path)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Puts our text there. False: it stood there already. A file that is not ours is an error.
pub fn install_service_file(path: &Path, text: &str) -> Result<bool> {
    if ours_at(path)?.is_some_and(|there| there == text) {
        return Ok(false);
    }
    let dir = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(dir).at("make", dir)?;
    let beside = dir.join(format!(".{SERVICE_NAME}.{}", std::process::id()));
    let written = write_whole(&beside, text).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written.at("write", path)?;
    File::open(dir).and_then(|dir| dir.sync_all()).at("sync", dir)?;
    Ok(true)
}

/// Takes our text away. False: there is none.
pub fn remove_service_file(path: &Path) -> Result<bool> {
    if ours_at(path)?.is_none() {
        return Ok(false);
    }
    fs::remove_file(path).at("remove", path)?;
    Ok(true)
}

/// What of ours stands there. Whatever else does is an error.
fn ours_at(path: &Path) -> Result<Option<String>> {
    let meta = match fs::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        found => found.at("look at", path)?,
    };
    let text = if meta.is_file() { read_service_file(path)? } else { None };
    match text.filter(|text| is_ours(text)) {
        Some(text) => Ok(Some(text)),
        None => {
            let word = shell_word(&path.to_string_lossy());
            let why = format!("it is not ours; to move it away: mv {word} {word}.old");
            Err(Error::new("replace", path, io::Error::other(why)))
        }
    }
}

fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
