//! The names under which a sender's file lies in the drop zone: whether one still stands, when they
//! no longer count, and how each is taken away once its dispatch is answered.
//!
//! A sender may rename, copy or write a file anew at any moment, between any two of our calls. So a
//! file is moved to a name of ours and read there before it is removed; what turns out to be
//! something else goes back.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::effects::clock;
use crate::effects::error::{At, Error, Result};
use crate::effects::failpoint::{self, Effect};
use crate::effects::store::disk::files;
use crate::effects::store::disk::identity::{self, Kind, Stamp};
use crate::effects::store::drop_zone::inbox::{Dropped, Inspected, is_inbox_name};
use crate::effects::store::{Claim, InboxName, Room, Store};
use crate::pure::attempt::record::{Accepted, Identity};
use crate::pure::dispatch::{DispatchId, FILE_BYTES_MAX};
use crate::pure::text::digest::sha256_hex;
use crate::pure::text::time::file_stamp;

/// A file that is about to be removed has this prefix and its dispatch's id.
const ANSWERED: &str = ".answered.";
/// How many names of that kind may be occupied by what is not ours.
const ANSWERED_NAMES_MAX: u32 = 100;
/// A file of this name in a claim's folder says that the claim's names no longer count.
const DETACHED: &str = "detached";

impl Store {
    /// Whether the sender still wants the dispatch: a file of it lies in the drop zone, or the
    /// whole directory has been replaced (which withdraws nothing). False says no more than that
    /// intake has to look: the file may have a new name.
    pub fn is_named(&self, claim: &Claim, accepted: &Accepted) -> Result<bool> {
        if claim.is_detached || !self.is_drop_zone(&accepted.inbox_dir)? {
            return Ok(true);
        }
        for InboxName { name, seen } in &claim.names {
            let Some(stamp) = self.stamp_inbox(name)? else { continue };
            let known = seen.map_or(accepted.inbox_file, |seen| seen.identity);
            // If the file was written anew meanwhile, intake finds that; it withdraws nothing.
            if stamp.identity == known || self.holds(name, stamp, &accepted.sha256)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the drop zone is the directory that it was then.
    pub fn is_drop_zone(&self, then: &Identity) -> Result<bool> {
        Ok(identity::find(&self.dispatch)?.is_some_and(|now| now.identity == *then))
    }

    /// Whether the file under that name has exactly these bytes.
    fn holds(&self, name: &OsStr, seen: Stamp, sha256: &str) -> Result<bool> {
        Ok(match self.inspect(name, seen)? {
            Inspected::Read(dropped) => dropped.sha256 == sha256,
            Inspected::Gone | Inspected::Changing(_) | Inspected::Refused(..) => false,
        })
    }

    /// Notes for good that no name of the claim counts any more: the acceptance no longer rests on
    /// its inbox file, and nobody can withdraw it. The note is durable when this returns. False if
    /// the claim's folder is gone, because it is answered or a session removed it.
    pub fn detach(&self, id: &DispatchId, room: Room) -> Result<bool> {
        let marked = match files::create(&self.dir_in(id, room).join(DETACHED), b"") {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            created => created.map(drop),
        };
        match marked.and_then(|()| self.sync_acceptance(id, room)) {
            Err(e) if is_missing(&e) => Ok(false),
            kept => kept.map(|()| true),
        }
    }

    /// Takes back what [`Store::detach`] noted. A note that stays does no harm: what it is about
    /// runs, and a cancel stops it.
    pub fn attach(&self, id: &DispatchId, room: Room) {
        if let Err(e) = files::remove(&self.dir_in(id, room).join(DETACHED)) {
            log::debug!("{e}");
        }
    }

    /// Whether the claim's names no longer count. Not knowing counts as yes: what is detached runs,
    /// and nothing is lost by that.
    pub fn is_detached(&self, id: &DispatchId, room: Room) -> bool {
        !matches!(identity::find(&self.dir_in(id, room).join(DETACHED)), Ok(None))
    }

    /// Removes an answered dispatch's files from the drop zone, as far as they have its bytes.
    pub fn remove_answered(&self, claim: &Claim, accepted: &Accepted) -> Result<()> {
        let mut removed = Ok(());
        for InboxName { name, seen } in &claim.names {
            let aside = self.take_answered(name, *seen, claim, accepted);
            removed =
                removed.and(aside.and_then(|aside| aside.map_or(Ok(()), |a| files::remove(&a))));
        }
        removed
    }

    /// Moves the file under that name aside if it has the dispatch's bytes. A file that has changed
    /// is first read where it stands, so that another sender's file does not vanish even for a
    /// moment.
    fn take_answered(
        &self,
        name: &OsStr,
        seen: Option<Stamp>,
        claim: &Claim,
        accepted: &Accepted,
    ) -> Result<Option<PathBuf>> {
        let Some(stamp) = self.stamp_inbox(name)? else { return Ok(None) };
        let is_unchanged = seen.is_some_and(|seen| seen.is_unchanged(&stamp));
        if !is_unchanged && !self.holds(name, stamp, &accepted.sha256)? {
            return Ok(None);
        }
        self.move_to_answered(name, claim.id.as_str(), &accepted.sha256)
    }

    /// Removes a file that brought known bytes again.
    pub fn remove_redelivered(&self, dropped: &Dropped, id: &DispatchId) -> Result<()> {
        self.remove_copy(&dropped.name, id, &dropped.sha256).map(drop)
    }

    /// Removes the file under that name if it has these bytes.
    pub fn remove_copy(&self, name: &OsStr, id: &DispatchId, sha256: &str) -> Result<bool> {
        match self.move_to_answered(name, id.as_str(), sha256)? {
            Some(aside) => files::remove(&aside).map(|()| true),
            None => Ok(false),
        }
    }

    /// Moves a file with these bytes to a name of ours.
    fn move_to_answered(&self, name: &OsStr, id: &str, sha256: &str) -> Result<Option<PathBuf>> {
        let is_it = |path: &Path| has_bytes(path, sha256);
        let mut number = 0;
        loop {
            let suffix = if number == 0 { String::new() } else { format!(".{number}") };
            let aside = self.dispatch.join(format!("{ANSWERED}{id}{suffix}"));
            match self.take_away(name, &aside, &is_it) {
                // Something that is not ours has the name.
                Err(e)
                    if e.kind() == io::ErrorKind::AlreadyExists && number < ANSWERED_NAMES_MAX =>
                {
                    number += 1;
                }
                taken => return Ok(taken?.then_some(aside)),
            }
        }
    }

    /// Moves just this file out of the drop zone's names. A sender may give the name to a new file
    /// at any moment, so the file is moved first and looked at after; what turns out to be another
    /// one is put back. False if this file was not there.
    pub(in crate::effects::store) fn take_away(
        &self,
        name: &OsStr,
        to: &Path,
        is_it: &dyn Fn(&Path) -> Result<bool>,
    ) -> Result<bool> {
        let from = self.dispatch.join(name);
        // What a crash left under our name is not written over: it may be another sender's file.
        match files::rename_to_free(&from, to) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            renamed => renamed.at("move away", &from)?,
        }
        let is_it = is_it(to);
        if matches!(is_it, Ok(true)) {
            return Ok(true);
        }
        // It is another file, or nobody can say: it goes back under a name that intake looks at.
        self.put_back(to, &from)?;
        is_it
    }

    fn put_back(&self, from: &Path, to: &Path) -> Result<()> {
        let is_looked_at = to.file_name().is_some_and(is_inbox_name);
        if !is_looked_at || files::rename_to_free(from, to).is_err() {
            // Yet another file has the name by now, so both are kept.
            let names = (0..).map(|number: u64| {
                let stamp = file_stamp(clock::unix_ms());
                self.dispatch.join(format!("dispatch-returned-{stamp}-{number}.json"))
            });
            files::rename_to_first_free(from, names).at("put back", from)?;
        }
        // The next file takes our name: a power cut must not keep that and forget this.
        files::sync_dir(&self.dispatch)
    }

    /// Puts files that a crash left moved aside back under a name that intake looks at, where the
    /// digest decides. The daemon calls this once, at start. What is no plain file was never moved
    /// there by us, and is left.
    pub fn put_back_answered(&self) -> Result<()> {
        let mut left = Vec::new();
        self.scan_drop_zone(&mut |name, _| {
            if name.as_bytes().starts_with(ANSWERED.as_bytes()) {
                left.push(name);
            }
        })?;
        for name in left {
            let path = self.dispatch.join(&name);
            let id = String::from_utf8_lossy(&name.as_bytes()[ANSWERED.len()..]).into_owned();
            let back = self.dispatch.join(format!("{id}.json"));
            let put_back = match identity::find(&path) {
                Ok(Some(stamp)) if stamp.is_plain_file() => self.put_back(&path, &back),
                Ok(Some(_)) => {
                    log::warn!("{} is no file of ours, and is left there", path.display());
                    Ok(())
                }
                Ok(None) => Ok(()),
                Err(e) => Err(e),
            };
            if let Err(e) = put_back {
                log::warn!("{e}");
            }
        }
        Ok(())
    }
}

/// Whether a plain file with exactly these bytes has that name. This never blocks.
fn has_bytes(path: &Path, sha256: &str) -> Result<bool> {
    let file = match files::open_no_follow(path) {
        Err(e) if is_no_plain_file(&e) => return Ok(false),
        opened => opened.at("open", path)?,
    };
    let stamp = identity::of_file(&file).at("look at", path)?;
    if stamp.kind != Kind::File || stamp.size > FILE_BYTES_MAX {
        return Ok(false);
    }
    let mut bytes = Vec::with_capacity(stamp.size as usize + 1);
    failpoint::before(Effect::Read)
        .and_then(|()| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .at("read", path)?;
    Ok(sha256_hex(&bytes) == sha256)
}

/// Whether the error says what kind of thing stands there, and nothing of the disk.
pub(in crate::effects::store) fn is_no_plain_file(e: &io::Error) -> bool {
    let kinds = [Errno::LOOP, Errno::ISDIR, Errno::NXIO, Errno::NODEV, Errno::NOENT];
    Errno::from_io_error(e).is_some_and(|errno| kinds.contains(&errno))
}

fn is_missing(e: &Error) -> bool {
    matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
