//! Each attempt's private temporary directory, which its session has as `TMPDIR` and which goes
//! with it: agents leave whole conversations there, and have filled disks.
//!
//! It lies outside of the claim, below the daemon's own `TMPDIR` or `/tmp`, since its path must be
//! short: a socket's name has 108 bytes at most (unix(7)). Its name follows from the run token, so
//! that no record has to say where it is: a session could write another directory there, and we
//! would remove that.

use std::collections::HashSet;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::geteuid;

use super::Store;
use super::disk::files::{self, make_dir};
use super::disk::identity::{self, Kind};
use super::disk::tree::{self, Removal};
use crate::effects::error::{At, Error, Result};
use crate::pure::text::digest::sha256_hex;

/// How many digits of a digest tell one daemon's directories from another's.
const HOME_DIGITS: usize = 8;
/// How many digits of a digest name one attempt's directory.
const NAME_DIGITS: usize = 12;

/// The two places of the directories: the second is used where the first cannot be ours.
#[derive(Debug)]
pub(super) struct TmpPlaces([PathBuf; 2]);

impl TmpPlaces {
    /// `base` is the daemon's own temporary directory.
    pub(super) fn new(base: &Path, home: &Path, own: &Path) -> TmpPlaces {
        let digest = sha256_hex(home.as_os_str().as_bytes());
        TmpPlaces([base.join(format!("gstack-{}", &digest[..HOME_DIGITS])), own.join("tmp")])
    }
}

impl Store {
    /// Has the directories made below `base` from now on, if that is a path from the root.
    pub fn make_tmp_below(&mut self, base: &Path) {
        if base.is_absolute() {
            self.tmp = TmpPlaces::new(base, &self.home, &self.own);
        }
    }

    /// Makes the attempt's directory, empty and for us alone.
    pub fn make_tmp(&self, run_token: &str) -> Result<PathBuf> {
        let [usual, other] = &self.tmp.0;
        let place = if is_private(usual) { usual } else { other };
        let dir = place.join(name_of(run_token));
        let made = match make_dir(&dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                make_dir(place).at("make", place).map_err(Error::of_all)?;
                make_dir(&dir).at("make", &dir)
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => tree::make_dir_anew(&dir),
            made => made.at("make", &dir),
        };
        made.map_err(Error::of_all)?;
        Ok(dir)
    }

    /// The attempt's directory, if it is there.
    pub fn tmp_of(&self, run_token: &str) -> Option<PathBuf> {
        let name = name_of(run_token);
        let is_there =
            |dir: &PathBuf| identity::of_path(dir).is_ok_and(|stamp| stamp.kind == Kind::Directory);
        self.tmp.0.iter().map(|place| place.join(&name)).find(is_there)
    }

    /// The places of all such directories, which hold those of other sessions too.
    pub fn tmp_places(&self) -> &[PathBuf] {
        &self.tmp.0
    }

    /// Removes as much of a directory as can be removed in that time, or whatever a session put in
    /// its place.
    pub fn remove_tmp(&self, dir: &Path, time: Duration) -> Result<Removal> {
        match identity::find(dir)?.map(|stamp| stamp.kind) {
            Some(Kind::Directory) => tree::remove_tree_until(dir, Some(Instant::now() + time)),
            None => Ok(Removal::Done),
            Some(Kind::File | Kind::Symlink | Kind::Special) => {
                files::remove(dir).map(|()| Removal::Done)
            }
        }
    }

    /// How many bytes a directory takes up: no less than what was seen of it in that time.
    pub fn tmp_bytes(&self, dir: &Path, time: Duration) -> u64 {
        tree::bytes_in(dir, Instant::now() + time)
    }

    /// The directories that are there and not of one of these run tokens.
    pub fn tmp_left_behind<'t>(
        &self,
        in_use: impl IntoIterator<Item = &'t String>,
    ) -> Vec<PathBuf> {
        let in_use: HashSet<String> = in_use.into_iter().map(|token| name_of(token)).collect();
        let mut left = Vec::new();
        for place in self.tmp.0.iter().filter(|place| is_private(place)) {
            let entries = files::list(place).into_iter().flatten().flatten();
            let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
            let names = names.filter(|name| is_name(name) && !in_use.contains(name));
            left.extend(names.map(|name| place.join(name)));
        }
        left
    }
}

fn name_of(run_token: &str) -> String {
    let mut name = sha256_hex(run_token.as_bytes());
    name.truncate(NAME_DIGITS);
    name
}

fn is_name(name: &str) -> bool {
    name.len() == NAME_DIGITS && name.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Whether it is a directory of ours that nobody else can enter, or is not there yet. Anybody can
/// make something of that name in `/tmp` before us.
fn is_private(place: &Path) -> bool {
    match identity::find(place) {
        Ok(None) => place.parent().is_some_and(Path::is_dir),
        Ok(Some(stamp)) => {
            let is_ours = stamp.kind == Kind::Directory && stamp.uid == geteuid().as_raw();
            is_ours && stamp.mode & 0o777 == 0o700
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_place_that_is_not_ours_alone_is_not_used() {
        let top = std::env::temp_dir().canonicalize().expect("temporary directory");
        let top = top.join(format!("dispatch-tmp-{}", std::process::id()));
        let home = top.join("home");
        fs::create_dir_all(home.join("dispatchd")).expect("create");
        let mut store = Store::new(&home);
        store.make_tmp_below(&top);
        let usual = store.tmp_places()[0].clone();
        let first = store.make_tmp("a").expect("made");
        assert!(first.starts_with(&usual) && store.tmp_of("a") == Some(first.clone()));
        fs::write(first.join("file"), "of an earlier life").expect("write");
        store.make_tmp("a").expect("made anew");
        assert_eq!(fs::read_dir(&first).expect("a directory").count(), 0);
        let second = store.make_tmp("b").expect("made");
        assert_eq!(store.tmp_left_behind(&["b".to_string()]), [first]);
        fs::set_permissions(&usual, fs::Permissions::from_mode(0o755)).expect("open it");
        assert!(store.make_tmp("c").expect("made").starts_with(&home));
        assert_eq!(store.tmp_of("b"), Some(second));
        fs::remove_dir_all(&usual).expect("remove it");
        symlink(&top, &usual).expect("symlink");
        assert!(store.make_tmp("d").expect("made").starts_with(&home));
        let left = store.tmp_left_behind(&[]);
        assert!(left.len() == 2 && left.iter().all(|dir| dir.starts_with(&home)), "{left:?}");
        assert!(name_of("x").len() + usual.file_name().expect("a name").len() < 30);
        fs::remove_dir_all(&top).expect("remove it");
    }
}
