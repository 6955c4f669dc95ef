//! `dispatchd/keys/`: the keys by which signatures are checked, read at use, so that a new one
//! counts at once.
//!
//! All keys there are live; files of other names are not looked at. A key that cannot be used is
//! not gone: it still counts as a key, or whoever spoils its file would turn the check off.

use std::io;
use std::path::{Path, PathBuf};

use super::Store;
use super::disk::files;
use super::disk::identity::{self, Kind};
use super::secret_file::{SecretFile, read_secret};
use crate::effects::error::{At, Error, Result};
use crate::pure::gate::key::{HeldKey, KeyId, key_in};
use crate::pure::text::escape::shell_word;
use crate::pure::upkeep::ownership::Guarded;

/// The keys that there are.
#[derive(Default)]
pub struct FoundKeys {
    /// Those that can be used, in the order of their names.
    pub keys: Vec<HeldKey>,
    /// Why each other one cannot, in one line with what to type.
    pub complaints: Vec<String>,
}

impl FoundKeys {
    pub fn holds_any(&self) -> bool {
        !self.keys.is_empty() || !self.complaints.is_empty()
    }
}

impl Store {
    pub fn keys_dir(&self) -> &Path {
        &self.keys
    }

    /// The file of that key.
    pub fn key_path(&self, id: &KeyId) -> PathBuf {
        self.keys.join(id.file_name())
    }

    /// Reads all keys. Where the folder is not there this is one look and nothing else.
    pub fn read_keys(&self) -> Result<FoundKeys> {
        let mut found = FoundKeys::default();
        match identity::find(&self.keys)? {
            None => return Ok(found),
            Some(stamp) if stamp.kind == Kind::Directory => {}
            Some(_) => {
                let word = shell_word(&self.keys.to_string_lossy());
                let keys = self.keys.display();
                found.complaints.push(format!(
                    "cannot use {keys}: it is not a directory: mv {word} {word}.old && mkdir {word} && chmod 700 {word}"
                ));
                return Ok(found);
            }
        }
        for id in self.list_keys()? {
            let path = self.key_path(&id);
            match read_key(&path, &id)? {
                SecretKey::Absent => {}
                SecretKey::Wrong(complaint) => found.complaints.push(complaint),
                SecretKey::Key(key) => found.keys.push(key),
            }
        }
        Ok(found)
    }

    fn list_keys(&self) -> Result<Vec<KeyId>> {
        let mut ids = Vec::new();
        for entry in files::list(&self.keys)? {
            let name = entry.at("read", &self.keys)?.file_name();
            ids.extend(name.to_str().and_then(KeyId::of_file));
        }
        ids.sort();
        Ok(ids)
    }

    /// The names of the keys that can sign here, readable or not.
    pub fn shared_key_ids(&self) -> Result<Vec<KeyId>> {
        if identity::find(&self.keys)?.is_none() {
            return Ok(Vec::new());
        }
        let mut ids = self.list_keys()?;
        ids.retain(|id| matches!(id, KeyId::Hmac(_)));
        Ok(ids)
    }

    /// Makes a file that must not be there yet, 0600 and durable, in the folder of the keys, which
    /// is made too.
    pub fn create_key(&self, id: &KeyId, content: &[u8]) -> Result<PathBuf> {
        match files::make_dir(&self.keys) {
            Ok(()) => files::sync_dir(&self.own)?,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                super::ownership::check_private(&self.keys)?;
            }
            Err(e) => return Err(e).at("make", &self.keys),
        }
        let path = self.key_path(id);
        create_secret(&path, content)?;
        Ok(path)
    }

    /// The token that Clawvisor knows us by.
    pub fn clawvisor_token_path(&self) -> PathBuf {
        self.home.join(".clawvisor-token")
    }

    /// The secret that callbacks are signed with.
    pub fn callback_secret_path(&self) -> PathBuf {
        self.home.join(".callback-secret")
    }
}

/// Makes a file that must not be there yet, 0600 and durable.
pub fn create_secret(path: &Path, content: &[u8]) -> Result<()> {
    let file = match files::create(path, content) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            let why = "it is there already, and is never written over";
            return Err(Error::new("make", path, io::Error::new(e.kind(), why)));
        }
        created => created?,
    };
    files::sync_file(&file, path).at("sync", path)?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    files::sync_dir(dir.unwrap_or(Path::new(".")))
}

/// Takes back what [`create_secret`] made.
pub fn remove_secret(path: &Path) -> Result<()> {
    files::remove(path)
}

enum SecretKey {
    Absent,
    Wrong(String),
    Key(HeldKey),
}

fn read_key(path: &Path, id: &KeyId) -> Result<SecretKey> {
    let place = match id {
        KeyId::Hmac(_) => Guarded::Secret,
        KeyId::Ed25519(_) => Guarded::PublicKey,
    };
    Ok(match read_secret(path, place)? {
        SecretFile::Absent => SecretKey::Absent,
        SecretFile::Wrong(complaint) => SecretKey::Wrong(complaint),
        SecretFile::Read(content) => match key_in(&content) {
            Some(bytes) => SecretKey::Key(HeldKey { id: id.clone(), bytes }),
            None => {
                let word = shell_word(&path.to_string_lossy());
                SecretKey::Wrong(format!(
                    "cannot use {}: a key is 64 hexadecimal digits: mv {word} {word}.old",
                    path.display()
                ))
            }
        },
    })
}
