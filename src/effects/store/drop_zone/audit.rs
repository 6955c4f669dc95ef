//! The audit log, `audit.jsonl`: one JSON object a line says what happened. Each line is appended
//! with one write and never rewritten.
//!
//! A kill tears no line, since none lies across two of the pieces in which the kernel writes. A
//! line that cannot be written (a full disk) waits in memory and costs no dispatch; what was
//! written of it is cut off. A log that gets too large is renamed between two lines. The descriptor
//! stays good until there is a new one, so that whatever fails or dies in between costs no line.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::OFlags;

use crate::effects::clock;
use crate::effects::error::{At, Result, fault};
use crate::effects::failpoint::{self, Effect};
use crate::effects::secrets;
use crate::effects::store::Store;
use crate::effects::store::disk::{files, identity};
use crate::effects::store::ownership::me;
use crate::pure::audit_event::AuditEvent;
use crate::pure::upkeep::health::Fault;
use crate::pure::upkeep::rotation;

/// How many lines may wait for free space on the disk; more than these are lost, and logged.
const WAITING_MAX: usize = 1000;

/// How much more is written after a rotation that failed, before the next try.
const ROTATE_AGAIN_BYTES: u64 = 1024 * 1024;

/// How often what stands in the log's place is put aside before the log is given up for now.
const LOOKS_MAX: u32 = 3;
const ROOT: u32 = 0;

/// How much of an old log's end is looked at: as much as blanks may stand there.
const END_BYTES: u64 = 4096;

/// When the log is put aside, and how many old ones are kept.
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    /// 0 means never.
    pub max_bytes: u64,
    pub keep: u32,
}

/// The one writer of the audit log.
pub struct Audit {
    path: PathBuf,
    log: Mutex<Log>,
}

struct Log {
    rotation: Rotation,
    file: File,
    /// The length of the file.
    bytes: u64,
    /// The length that it may get, which exceeds the setting after a rotation that failed.
    bytes_max: u64,
    /// Lines that could not be written yet, oldest first.
    waiting: VecDeque<String>,
    /// Why they wait.
    trouble: Option<(String, Fault)>,
}

impl Store {
    pub fn open_audit(&self, rotation: Rotation) -> Result<Audit> {
        let path = self.dispatch.join("audit.jsonl");
        let Opened { file, bytes, torn } = open(&path).at("open", &path)?;
        let bytes_max = rotation.max_bytes;
        let waiting = VecDeque::new();
        let log = Log { rotation, file, bytes, bytes_max, waiting, trouble: None };
        let audit = Audit { path, log: Mutex::new(log) };
        if torn {
            audit.tell("", &AuditEvent::AuditTailRepaired);
        }
        Ok(audit)
    }
}

impl Audit {
    /// Appends the line of an event. `dispatch_id` is empty for the daemon's own.
    pub fn tell(&self, dispatch_id: &str, event: &AuditEvent) {
        let line = secrets::redact_json(&event.line(&clock::stamp(), dispatch_id));
        let mut log = self.lock();
        if log.waiting.len() >= WAITING_MAX {
            log::error!("{} takes no more lines; lost: {}", self.path.display(), line.trim_end());
            return;
        }
        log.waiting.push_back(line);
        self.append_waiting(&mut log);
    }

    /// Why lines wait, if any do.
    pub fn trouble(&self) -> Option<(String, Fault)> {
        self.lock().trouble.clone()
    }

    /// Tries again to write the lines that wait.
    pub fn write_waiting(&self) {
        self.append_waiting(&mut self.lock());
    }

    /// Writes the lines that wait, and opens the file anew if its name is gone or another file has
    /// it (somebody removed or rotated it).
    pub fn follow(&self) {
        let mut log = self.lock();
        self.append_waiting(&mut log);
        let ours = identity::of_file(&log.file).map(|s| s.identity).ok();
        if identity::of_path(&self.path).map(|s| s.identity).ok() == ours {
            return;
        }
        match open(&self.path) {
            Ok(opened) => {
                (log.file, log.bytes) = (opened.file, opened.bytes);
                log.bytes_max = log.rotation.max_bytes;
            }
            Err(e) => log::error!("cannot open {}: {e}", self.path.display()),
        }
    }

    /// Sets the rotation, from the next line on.
    pub fn rotate_by(&self, rotation: Rotation) {
        let mut log = self.lock();
        log.rotation = rotation;
        log.bytes_max = rotation.max_bytes;
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append_waiting(&self, log: &mut Log) {
        while let Some(mut line) = log.waiting.pop_front() {
            let mut text = behind_blanks(log.bytes, &line);
            if rotation::is_due(log.bytes, text.len() as u64, log.bytes_max) {
                self.rotate(log, &mut line);
                text = behind_blanks(log.bytes, &line);
            }
            if let Err(e) = append(&mut log.file, text.as_bytes()) {
                let reason = format!("cannot append to {}: {e}", self.path.display());
                log.trouble = Some((reason, fault(&e)));
                log.waiting.push_front(line);
                return;
            }
            log.bytes += text.len() as u64;
        }
        log.trouble = None;
    }

    /// Puts the log aside and begins a new one, of which `next` is the second line. If that fails,
    /// the old log goes on.
    fn rotate(&self, log: &mut Log, next: &mut String) {
        match self.put_aside(log.rotation.keep) {
            Ok(opened) => {
                (log.file, log.bytes) = (opened.file, opened.bytes);
                log.bytes_max = log.rotation.max_bytes;
                let previous = self.numbered(1).to_string_lossy().into_owned();
                let rotated = AuditEvent::AuditRotated { previous };
                next.insert_str(0, &rotated.line(&clock::stamp(), ""));
            }
            Err(e) => {
                log.bytes_max = log.bytes + next.len() as u64 + ROTATE_AGAIN_BYTES;
                log::error!("cannot rotate {}: {e}; it goes on", self.path.display());
            }
        }
    }

    fn put_aside(&self, keep: u32) -> io::Result<Opened> {
        let is_there = |number| fs::symlink_metadata(self.numbered(number)).is_ok();
        for number in rotation::moves(keep, is_there) {
            files::rename(&self.numbered(number), &self.numbered(number + 1))?;
        }
        open(&self.path).inspect_err(|_| {
            // People look for the log under this name. If not even this rename works, the next look
            // at the name begins a new log.
            let _ = files::rename(&self.numbered(1), &self.path);
        })
    }

    /// `audit.jsonl.3`; 0 is the log itself.
    fn numbered(&self, number: u32) -> PathBuf {
        match number {
            0 => self.path.clone(),
            _ => self.path.with_extension(format!("jsonl.{number}")),
        }
    }
}

/// A line as it is written to a log of that length.
fn behind_blanks(bytes: u64, line: &str) -> String {
    let blanks = rotation::blanks_before(bytes, line.len() as u64);
    " ".repeat(blanks as usize) + line
}

/// Appends the whole line or nothing: if a full disk takes a part of it, that part is cut off
/// again.
fn append(file: &mut File, line: &[u8]) -> io::Result<()> {
    let mut written = 0;
    while written < line.len() {
        match failpoint::write(file, &line[written..]) {
            Ok(n) if n > 0 => written += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            failed => {
                let length = file.metadata()?.len();
                file.set_len(length.saturating_sub(written as u64))?;
                return Err(failed.err().unwrap_or(io::ErrorKind::WriteZero.into()));
            }
        }
    }
    Ok(())
}

struct Opened {
    file: File,
    bytes: u64,
    /// Its last line was torn.
    torn: bool,
}

/// Opens the log's own file, and makes it if nothing stands there. Who may write to the drop zone
/// can plant something: a link, a FIFO, a file of his own, a second name of a file of ours. Nothing
/// is written through that; it is put aside.
fn open_own(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600).custom_flags(flags);
    for _ in 0..LOOKS_MAX {
        if fs::symlink_metadata(path).is_ok_and(|meta| !meta.is_file()) {
            put_planted_aside(path)?;
        }
        failpoint::before(Effect::Create(path))?;
        let file = options.open(path)?;
        let meta = file.metadata()?;
        let is_ours = [me(), ROOT].contains(&meta.uid());
        if is_ours && meta.nlink() <= 1 {
            return Ok(file);
        }
        put_planted_aside(path)?;
    }
    Err(io::Error::other("something else stands there at each look"))
}

fn put_planted_aside(path: &Path) -> io::Result<()> {
    let aside = path.with_extension(format!("jsonl.{}", clock::unix_ms()));
    log::warn!("{} is no file of ours alone: it is {} now", path.display(), aside.display());
    files::rename(path, &aside)
}

/// Opens the log for appending. A torn last line is closed, never cut off, since it is evidence.
fn open(path: &Path) -> io::Result<Opened> {
    let mut file = open_own(path)?;
    let mut bytes = file.metadata()?.len();
    if bytes == 0 {
        return Ok(Opened { file, bytes, torn: false });
    }
    let mut end = vec![0; bytes.min(END_BYTES) as usize];
    file.seek(SeekFrom::End(-(end.len() as i64)))?;
    file.read_exact(&mut end)?;
    let torn = rotation::is_torn(&end);
    if torn {
        file.write_all(b"\n")?;
        bytes += 1;
    }
    Ok(Opened { file, bytes, torn })
}
