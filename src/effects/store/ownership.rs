//! Checks whose our directories and `config.json` are, before anything in them is believed.
//!
//! A directory of ours that is too open, or shut to ourselves, is mended and told once; what
//! another user could have put there is refused with the line to type. The checks go from the
//! outside in: once a directory is safe, nobody can exchange the one inside it. They must not
//! follow a link in place of a directory of ours, nor read a file other than the one that was
//! checked.

use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use rustix::fs::OFlags;

use super::Store;
use super::disk::files::Readers;
use crate::effects::error::{At, Error, Result};
use crate::pure::text::escape::shell_word;
use crate::pure::upkeep::ownership::{Guarded, Verdict, judge, judge_shared};

/// More than anybody writes by hand.
const CONFIG_BYTES_MAX: u64 = 1024 * 1024;

/// A directory of ours that had a wrong mode.
#[derive(Debug)]
pub struct Mended {
    pub dir: PathBuf,
    pub old_mode: u32,
    new_mode: u32,
}

impl fmt::Display for Mended {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (dir, old, new) = (self.dir.display(), self.old_mode & 0o7777, self.new_mode);
        let what =
            if old & 0o700 == 0o700 { "was open to others" } else { "was shut to its owner" };
        let private = if new == 0o700 { " private" } else { "" };
        write!(f, "{dir} {what} ({old:04o}) and is{private} now ({new:04o})")
    }
}

impl Store {
    /// Checks at the start the directories that are there already, before a file in them is read.
    /// Gives those that were mended. Who may own the drop zone is for the settings to say, which
    /// stand in here: [`Store::make_directories`] checks it.
    pub fn check_ownership(&self) -> Result<Vec<Mended>> {
        let mut mended = Vec::from_iter(self.check_home()?);
        for dir in [&self.own, &self.keys] {
            match check_private(dir) {
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                checked => mended.extend(checked?),
            }
        }
        Ok(mended)
    }

    /// Lets files of these users count as ours, and one of them own the drop zone, from now on. The
    /// daemon says so before it looks at the drop zone.
    pub fn allow(&self, uids: &[u32]) {
        *self.allowed_uids.write().unwrap_or_else(PoisonError::into_inner) = uids.to_vec();
    }

    pub(super) fn allowed(&self) -> Vec<u32> {
        self.allowed_uids.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Checks the drop zone, or `completed/`, which other users may have to reach.
    pub(super) fn check_shared(&self, dir: &Path) -> Result<Option<Mended>> {
        let allowed = self.allowed();
        let meta = fs::symlink_metadata(dir).at("look at", dir)?;
        if !meta.is_dir() || allowed.is_empty() {
            return check_private(dir);
        }
        let owners = if dir == self.dispatch { allowed.as_slice() } else { &[] };
        heed(dir, judge_shared(meta.uid(), meta.mode(), me(), owners), &meta)
    }

    /// Holds `completed/` where another user owns the drop zone, who could put a link in its place
    /// at any moment: what is put below this path comes into the folder that was judged. `None`:
    /// nobody else could.
    #[cfg(target_os = "linux")]
    pub(super) fn hold_completed(&self) -> Result<Option<(File, PathBuf)>> {
        use std::os::fd::AsRawFd;
        if self.allowed().is_empty() {
            return Ok(None);
        }
        let path = self.completed.path();
        let flags = (OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW).bits() as i32;
        let held = OpenOptions::new().read(true).custom_flags(flags).open(path).at("open", path)?;
        let uid = held.metadata().at("look at", path)?.uid();
        if uid != me() {
            return Err(foreign(path, uid, "-R "));
        }
        let below = PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd()));
        Ok(below.exists().then_some((held, below)))
    }

    /// Elsewhere a path leads to no open folder; the beats look whose it is.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn hold_completed(&self) -> Result<Option<(File, PathBuf)>> {
        Ok(None)
    }

    /// Who may read a report: with `completed/`, its group.
    pub(super) fn readers_of_reports(&self) -> Readers {
        let reads = |meta: fs::Metadata| meta.mode() & 0o040 != 0;
        let is_shared = !self.allowed().is_empty();
        match is_shared && fs::metadata(self.completed.path()).is_ok_and(reads) {
            true => Readers::Group,
            false => Readers::Us,
        }
    }

    /// Checks `$GSTACK_HOME` itself, which may be a link of ours. It is fine if nothing is there.
    pub(super) fn check_home(&self) -> Result<Option<Mended>> {
        let home = &self.home;
        let link = match fs::symlink_metadata(home) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            found => found.at("look at", home)?,
        };
        let meta = fs::metadata(home).at("look at", home)?;
        if !meta.is_dir() {
            return Err(not_a_directory(home, "set GSTACK_HOME to a directory"));
        }
        if link.is_symlink() && judge(Guarded::Config, link.uid(), 0, me()) == Verdict::Foreign {
            return Err(foreign(home, link.uid(), "-h "));
        }
        check(home, Guarded::Home, &meta)
    }

    /// Checks the directories above `$GSTACK_HOME`, up to the user's own one if that contains it.
    /// They are not ours to mend.
    pub fn check_above(&self, user_home: Option<&Path>) -> Result<()> {
        let Some(top) = user_home.filter(|top| self.home.starts_with(top)) else { return Ok(()) };
        let above = self.home.ancestors().skip(1).take_while(|dir| dir.starts_with(top));
        for dir in above {
            match fs::metadata(dir) {
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                found => {
                    let meta = found.at("look at", dir)?;
                    heed(dir, judge(Guarded::Above, meta.uid(), meta.mode(), me()), &meta)?;
                }
            }
        }
        Ok(())
    }

    /// Reads `dispatchd/config.json`, if there is one, from the very file that was checked.
    pub fn read_config(&self) -> Result<Option<Vec<u8>>> {
        let path = self.config_path();
        // The open does not block: a FIFO must not hold up the start.
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound && fs::symlink_metadata(&path).is_err() => {
                return Ok(None);
            }
            opened => opened.at("open", &path)?,
        };
        check_config(&file, &path)?;
        let mut bytes = Vec::new();
        file.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut bytes).at("read", &path)?;
        if bytes.len() as u64 > CONFIG_BYTES_MAX {
            return Err(refused(&path, format!("it is larger than {CONFIG_BYTES_MAX} bytes")));
        }
        Ok(Some(bytes))
    }

    pub fn config_path(&self) -> PathBuf {
        self.own.join("config.json")
    }
}

/// Checks a directory of ours below `$GSTACK_HOME`. The directory itself must stand there, not a
/// link to one.
pub(super) fn check_private(dir: &Path) -> Result<Option<Mended>> {
    let meta = fs::symlink_metadata(dir).at("look at", dir)?;
    if !meta.is_dir() {
        let word = shell_word(&dir.to_string_lossy());
        return Err(not_a_directory(dir, &format!("to move it away: mv {word} {word}.old")));
    }
    check(dir, Guarded::Private, &meta)
}

fn check(dir: &Path, place: Guarded, meta: &fs::Metadata) -> Result<Option<Mended>> {
    heed(dir, judge(place, meta.uid(), meta.mode(), me()), meta)
}

fn heed(dir: &Path, verdict: Verdict, meta: &fs::Metadata) -> Result<Option<Mended>> {
    match verdict {
        Verdict::Fine => Ok(None),
        Verdict::Foreign => Err(foreign(dir, meta.uid(), "-R ")),
        Verdict::TooOpen => Err(too_open(
            dir,
            meta.mode(),
            " (or set GSTACK_HOME to a directory of your own in it)",
        )),
        Verdict::Mend(new_mode) => {
            fs::set_permissions(dir, Permissions::from_mode(new_mode)).at("tighten", dir)?;
            Ok(Some(Mended { dir: dir.to_path_buf(), old_mode: meta.mode(), new_mode }))
        }
    }
}

fn check_config(file: &File, path: &Path) -> Result<()> {
    let meta = file.metadata().at("look at", path)?;
    if !meta.is_file() {
        return Err(refused(path, "it is not a regular file".into()));
    }
    match judge(Guarded::Config, meta.uid(), meta.mode(), me()) {
        Verdict::Foreign => Err(foreign(path, meta.uid(), "")),
        Verdict::TooOpen => Err(too_open(path, meta.mode(), "")),
        Verdict::Fine | Verdict::Mend(_) => Ok(()),
    }
}

impl Store {
    /// The user that we run as.
    pub fn our_uid(&self) -> u32 {
        me()
    }
}

pub(super) fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

pub(super) fn refused(path: &Path, why: String) -> Error {
    Error::new("use", path, io::Error::other(why))
}

fn not_a_directory(path: &Path, way_out: &str) -> Error {
    let why = format!("it is not a directory; {way_out}");
    Error::new("use", path, io::Error::new(ErrorKind::NotADirectory, why))
}

pub(super) fn foreign(path: &Path, uid: u32, option: &str) -> Error {
    let (me, word) = (me(), shell_word(&path.to_string_lossy()));
    refused(
        path,
        format!(
            "it belongs to another user (uid {uid}), who could make us (uid {me}) run anything; if all in it is \
             right: chown {option}{me} {word}"
        ),
    )
}

fn too_open(path: &Path, mode: u32, or: &str) -> Error {
    let (mode, word) = (mode & 0o7777, shell_word(&path.to_string_lossy()));
    let why = format!(
        "others may write to it (mode {mode:04o}); once it is right: chmod go-w {word}{or}"
    );
    refused(path, why)
}
