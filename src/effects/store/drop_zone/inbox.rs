//! The drop zone's files: each is seen once, opened once and read once, and a rejected one is moved
//! away by a rename. `claims::names` takes away the files of answered dispatches.
//!
//! Everything here is written against a hostile or merely careless writer: links, FIFOs, devices,
//! files that grow while they are read, names that change hands between two calls. Only the bytes
//! that one descriptor gave are ever used.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use rustix::process::geteuid;
use serde_json::json;

use crate::effects::clock;
use crate::effects::error::{At, Result, fault};
use crate::effects::failpoint::{self, Effect};
use crate::effects::secrets;
use crate::effects::store::Store;
use crate::effects::store::disk::files::{self, Durable};
use crate::effects::store::disk::identity::{self, Kind, Stamp};
use crate::effects::store::disk::tree;
use crate::pure::attempt::record::Identity;
use crate::pure::dispatch::{FILE_BYTES_MAX, Reason, Rejection};
use crate::pure::text::digest::sha256_hex;
use crate::pure::text::time::file_stamp;
use crate::pure::upkeep::health::Fault;

/// A dispatch file's bytes, and which file they came from.
pub struct Dropped {
    pub name: OsString,
    pub bytes: Vec<u8>,
    pub sha256: String,
    pub stamp: Stamp,
}

/// What one look at a name in the drop zone gives.
pub enum Inspected {
    Gone,
    Read(Dropped),
    /// It changed while it was being read.
    Changing(Stamp),
    Refused(Rejection, Stamp),
}

/// The seed's pattern: `dispatch-*.json`.
pub fn is_inbox_name(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.starts_with(b"dispatch-") && name.ends_with(b".json")
}

impl Store {
    /// Calls `each` with the name and inode number of everything in the drop zone.
    pub fn scan_drop_zone(&self, each: &mut dyn FnMut(OsString, u64)) -> Result<()> {
        for entry in files::list(&self.dispatch)? {
            let entry = entry.at("read", &self.dispatch)?;
            each(entry.file_name(), entry.ino());
        }
        Ok(())
    }

    pub fn drop_zone_identity(&self) -> Result<Identity> {
        Ok(identity::of_path(&self.dispatch).at("look at", &self.dispatch)?.identity)
    }

    /// Stamps what has that name; `None` if nothing has.
    pub fn stamp_inbox(&self, name: &OsStr) -> Result<Option<Stamp>> {
        identity::find(&self.dispatch.join(name))
    }

    /// Opens, checks and reads the dispatch file that was `seen` under that name, and never blocks,
    /// whatever stands there.
    ///
    /// An error is our trouble of the moment and no word against the file, which is looked at
    /// again.
    pub fn inspect(&self, name: &OsStr, seen: Stamp) -> Result<Inspected> {
        let path = self.dispatch.join(name);
        if let Some(rejection) = self.refuse(&seen) {
            return Ok(Inspected::Refused(rejection, seen));
        }
        let opened = files::open_no_follow(&path).and_then(|f| Ok((identity::of_file(&f)?, f)));
        let (before, file) = match opened {
            Ok(opened) => opened,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Inspected::Gone),
            Err(e) => return unreadable(&path, e).map(|why| Inspected::Refused(why, seen)),
        };
        // The checks are made again on the descriptor: the name may have been given to something
        // else in between.
        if let Some(rejection) = self.refuse(&before) {
            return Ok(Inspected::Refused(rejection, before));
        }
        let mut bytes = Vec::with_capacity(before.size as usize);
        failpoint::before(Effect::Read)
            .and_then(|()| (&file).take(before.size).read_to_end(&mut bytes))
            .at("read", &path)?;
        let after = identity::of_file(&file).at("look at", &path)?;
        if after != before || bytes.len() as u64 != after.size {
            return Ok(Inspected::Changing(after));
        }
        let sha256 = sha256_hex(&bytes);
        Ok(Inspected::Read(Dropped { name: name.into(), bytes, sha256, stamp: after }))
    }

    /// The checks that need no content; they are those of cron and sshd.
    fn refuse(&self, stamp: &Stamp) -> Option<Rejection> {
        let no = |reason, error: String| Some(Rejection::new(reason, error));
        match stamp.kind {
            Kind::File => {}
            Kind::Symlink => return no(Reason::Symlink, "it is a symbolic link".into()),
            Kind::Directory => return no(Reason::NotAFile, "it is a directory".into()),
            Kind::Special => {
                return no(Reason::NotAFile, "it is a FIFO, a socket or a device".into());
            }
        }
        let me = geteuid().as_raw();
        if stamp.uid != me && stamp.uid != 0 && !self.allowed().contains(&stamp.uid) {
            let error = format!(
                "it belongs to user {}, the daemon runs as {me}: name that user in allowed_uids if it may send",
                stamp.uid
            );
            return no(Reason::ForeignOwner, error);
        }
        if stamp.mode & 0o022 != 0 && !self.was_out_of_reach(stamp) {
            let mode = stamp.mode & 0o7777;
            let error = format!("others may write to it (mode {mode:o}): chmod go-w");
            return no(Reason::WritableByOthers, error);
        }
        if stamp.links > 1 {
            let others = stamp.links - 1;
            let error = format!("it has {others} other name(s) (hard links): copy it instead");
            return no(Reason::HardLink, error);
        }
        if stamp.size > FILE_BYTES_MAX {
            let error = format!("it has {} bytes, at most {FILE_BYTES_MAX} are read", stamp.size);
            return no(Reason::TooLarge, error);
        }
        None
    }

    /// Whether nobody else can reach into the directory, nor could when the file came: then the
    /// file's own mode (umask 002) does not matter.
    fn was_out_of_reach(&self, stamp: &Stamp) -> bool {
        let came_ns = stamp.identity.born_ns.unwrap_or(stamp.mtime_ns);
        let is_private = identity::of_path(&self.dispatch).is_ok_and(|dir| dir.mode & 0o077 == 0);
        is_private && came_ns > self.shut_at_ns.load(Ordering::Acquire)
    }

    /// Makes the folder of a rejection and writes why. The file itself follows with
    /// [`Store::move_rejected`], after the sender has been answered.
    pub fn note_rejection(
        &self,
        name: &OsStr,
        rejection: &Rejection,
        sha256: Option<&str>,
    ) -> Result<PathBuf> {
        let tag = sha256.map_or_else(|| sha256_hex(name.as_bytes()), str::to_string);
        let now = clock::unix_ms();
        let base = format!("{}-{}", file_stamp(now), &tag[..8]);
        let dir = self.make_free_dir(&base)?;
        let mut reason = json!({
            "reason": rejection.reason.name(),
            "error": rejection.error,
            "file": name.to_string_lossy(),
            "at": crate::pure::text::time::rfc3339(now),
        });
        if let Some(id) = &rejection.id {
            reason["dispatch_id"] = json!(id.as_str());
        }
        if let Some(sha256) = sha256 {
            reason["sha256"] = json!(sha256);
        }
        let bytes = serde_json::to_vec_pretty(&reason).unwrap_or_default();
        let bytes = secrets::redact_json_bytes(bytes);
        files::replace(&dir, "reason.json", &bytes, Durable::Yes)?;
        // A file must not move into a folder that may be gone after a power cut.
        files::sync_dir(&self.rejected)?;
        self.rejected_count.fetch_add(1, Ordering::Relaxed);
        Ok(dir)
    }

    /// Takes back what [`Store::note_rejection`] made, if the file could not be moved there. If it
    /// did get there and could not go back, it stays, with its reason.
    pub fn remove_rejection(&self, dir: &Path) -> Result<()> {
        for entry in files::list(dir)? {
            if entry.at("read", dir)?.file_name() != "reason.json" {
                return Ok(());
            }
        }
        tree::remove_tree(dir)
    }

    fn make_free_dir(&self, base: &str) -> Result<PathBuf> {
        let mut number = 0;
        loop {
            let suffix = if number == 0 { String::new() } else { format!("-{number}") };
            let dir = self.rejected.join(format!("{base}{suffix}"));
            match files::make_dir(&dir) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => number += 1,
                made => return made.at("make", &dir).map(|()| dir),
            }
        }
    }

    /// Moves what was judged, whatever it is, untouched beside its reason. If the drop zone is a
    /// file system of its own, the bytes of a plain file are copied there instead.
    pub fn move_rejected(&self, name: &OsStr, judged: &Stamp, dir: &Path) -> Result<()> {
        let is_it = |path: &Path| -> Result<bool> {
            Ok(identity::find(path)?.is_some_and(|moved| moved.is_unchanged(judged)))
        };
        match self.take_away(name, &dir.join(name), &is_it) {
            Err(e) if e.kind() == io::ErrorKind::CrossesDevices => {}
            moved => return moved.map(drop),
        }
        let tag = dir.file_name().unwrap_or_default().to_string_lossy();
        let aside = self.dispatch.join(format!(".rejected-{tag}"));
        if self.copy_rejected(name, judged, dir)? {
            return if self.take_away(name, &aside, &is_it)? {
                files::remove(&aside)
            } else {
                Ok(())
            };
        }
        // A directory, a FIFO or a file larger than a dispatch may be cannot be copied within
        // bounds, and to remove it would be to lose it. It stays there for good, under a name that
        // nothing looks at; the reason names it.
        self.take_away(name, &aside, &is_it).map(drop)
    }

    /// Copies a rejected file. False if it is nothing that can be copied. The copy is durable when
    /// this returns, since the file itself goes next.
    fn copy_rejected(&self, name: &OsStr, judged: &Stamp, dir: &Path) -> Result<bool> {
        if !judged.is_plain_file() || judged.size > FILE_BYTES_MAX {
            return Ok(false);
        }
        let path = self.dispatch.join(name);
        let file = match files::open_no_follow(&path) {
            // We may not read it, or it is something else by now.
            Err(e) if fault(&e) == Fault::Other => return Ok(false),
            opened => opened.at("open", &path)?,
        };
        if !identity::of_file(&file).at("look at", &path)?.is_unchanged(judged) {
            return Ok(false);
        }
        let mut bytes = Vec::with_capacity(judged.size as usize);
        failpoint::before(Effect::Read)
            .and_then(|()| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes))
            .at("read", &path)?;
        let copy = dir.join(name);
        let made = files::create(&copy, &bytes)?;
        files::sync_file(&made, &copy).at("sync", &copy)?;
        files::sync_dir(dir).map(|()| true)
    }
}

/// Why the file cannot be opened, if that is its own fault.
fn unreadable(path: &Path, e: io::Error) -> Result<Rejection> {
    use rustix::io::Errno;
    match Errno::from_io_error(&e) {
        // A link took the file's place, and O_NOFOLLOW refused it.
        Some(Errno::LOOP) => Ok(Rejection::new(Reason::Symlink, "it is a symbolic link")),
        Some(Errno::ACCESS | Errno::PERM | Errno::NXIO | Errno::NODEV) => {
            Ok(Rejection::new(Reason::Unreadable, format!("cannot read {}: {e}", path.display())))
        }
        _ => Err(e).at("open", path),
    }
}
