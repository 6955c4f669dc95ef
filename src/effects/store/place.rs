//! The places of an answer: `report.json` and the copy that will be published, before they are either. Both are made, empty,
//! with an attempt, and their names are durable before the agent starts; so that to fill one takes one fsync, of the file
//! itself. Until then `report.json` counts the readings.
//!
//! What an agent wrote may be what takes the daemon down. Whoever begins to read it adds a blank line here; a line that is
//! still there at the next start, without an end on record, was a death at reading. The report is written over them.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::files;
use super::identity::{self, Stamp};
use crate::effects::error::{At, Result};
use crate::effects::failpoint::{self, Effect};
use crate::pure::claim::Identity;

pub(super) const REPORT: &str = "report.json";
/// Moves to `completed/` when it is full.
pub(super) const COPY: &str = "published.json";

const MARK: u8 = b'\n';
/// More are not counted.
const MARKS_MAX: usize = 16;

/// The places of a claim, still open since its attempt began: each is good for one try.
#[derive(Debug)]
pub struct Places {
    pub(super) report: Option<Place>,
    pub(super) copy: Option<Place>,
}

#[derive(Debug)]
pub(super) struct Place {
    file: File,
    identity: Identity,
}

/// Makes the places in a claim's folder, or empties what an earlier attempt left there. The caller syncs the folder.
pub(super) fn make(claim: &Path) -> Result<Places> {
    let make = |name| {
        let path = claim.join(name);
        let (file, stamp) = open_place(&path)?;
        if stamp.size > 0 {
            file.set_len(0).at("empty", &path)?;
        }
        Ok(Some(Place { file, identity: stamp.identity }))
    };
    Ok(Places { copy: make(COPY)?, report: make(REPORT)? })
}

/// For an attempt of an earlier daemon whose end nobody has answered: an older one made no places, and a crash can have left
/// anything in them. Readings that were counted stay.
pub(super) fn mend(claim: &Path) -> Result<()> {
    for path in [claim.join(COPY), claim.join(REPORT)] {
        let (file, _) = open_place(&path)?;
        if marks(&file).at("read", &path)?.is_none() {
            file.set_len(0).at("empty", &path)?;
        }
    }
    Ok(())
}

fn open_place(path: &Path) -> Result<(File, Stamp)> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = open(&mut options, path, Effect::Create(path)).at("create", path)?;
    let stamp = identity::of_file(&file).at("look at", path)?;
    Ok((file, stamp))
}

impl Place {
    /// Notes in it that we begin to read.
    pub fn mark(&mut self, path: &Path) -> Result<()> {
        files::write_all(&mut self.file, &[MARK]).at("mark", path)
    }

    /// The file, if it still has the name and holds nothing but marks: a session can reach it.
    fn blank_file(self, path: &Path) -> Result<Option<File>> {
        let Place { mut file, identity } = self;
        let is_blank = identity::find(path)?
            .is_some_and(|there| there.identity == identity && there.size <= MARKS_MAX as u64);
        file.rewind().at("write", path)?;
        Ok(is_blank.then_some(file))
    }
}

/// Writes an answer to its place, durable when this returns. False: there is no blank place, or an earlier try failed on it
/// (an fsync that failed is never tried again on the same file).
pub(super) fn fill(place: Option<Place>, path: &Path, answer: &[u8]) -> Result<bool> {
    let kept = place.map_or(Ok(None), |place| place.blank_file(path))?;
    let Some(mut file) = kept.map_or_else(|| find_blank(path), |file| Ok(Some(file)))? else {
        return Ok(false);
    };
    files::write_all(&mut file, answer).at("write", path)?;
    files::sync_file(&file, path).at("sync", path)?;
    Ok(true)
}

fn find_blank(path: &Path) -> Result<Option<File>> {
    let file = match open(OpenOptions::new().read(true).write(true), path, Effect::Open) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.at("open", path)?,
    };
    Ok(marks(&file).at("read", path)?.map(|_| file))
}

/// How often a daemon began to read what the session left, and did not live to say that it had.
pub(super) fn readings(claim: &Path) -> Result<u64> {
    let path = claim.join(REPORT);
    match files::open_no_follow(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
        opened => Ok(opened.and_then(|file| marks(&file)).at("read", &path)?.unwrap_or(0)),
    }
}

/// Whether these bytes, a whole file's, are no answer yet.
pub(super) fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == MARK)
}

/// `None`: something else than marks is there.
fn marks(file: &File) -> io::Result<Option<u64>> {
    let mut bytes = [0; MARKS_MAX];
    failpoint::before(Effect::Read)?;
    let read = file.read_at(&mut bytes, 0)?;
    Ok(is_blank(&bytes[..read]).then_some(read as u64))
}

fn open(options: &mut OpenOptions, path: &Path, effect: Effect) -> io::Result<File> {
    failpoint::before(effect)?;
    options.custom_flags(OFlags::NOFOLLOW.bits() as i32).open(path)
}

/// Says that somebody reads, before it, and that it went well, after it.
pub(super) struct ReadingMark {
    file: File,
    path: PathBuf,
}

impl ReadingMark {
    pub fn open(claim: &Path) -> Result<ReadingMark> {
        let path = claim.join(REPORT);
        let file = open(OpenOptions::new().append(true), &path, Effect::Open).at("mark", &path)?;
        Ok(ReadingMark { file, path })
    }

    pub fn set(&mut self) -> Result<()> {
        files::write_all(&mut self.file, &[MARK]).at("mark", &self.path)
    }

    /// Whoever takes it back has read all that earlier ones died at.
    pub fn take_back(&mut self) -> Result<()> {
        self.file.set_len(0).at("mark", &self.path)
    }
}
