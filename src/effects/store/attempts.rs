//! One attempt's folder, `active/<id>/attempt-<n>/`: its records, each created once, and the files of its session.
//!
//! `attempt.json` is the line between "never ran" and "may have run"; it is durable, with every folder above it, before
//! the agent starts. The session's stdout is locked before it is handed to the child: the lock belongs to the open file
//! and so outlives us with the child.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::files::{self, Durable, Record};
use super::place::{self, REPORT, ReadingMark};
use super::stream::Stream;
use super::{Claim, Store, identity};
use crate::effects::error::{At, Error, Result};
use crate::effects::failpoint::{self, Effect};
use crate::pure::claim::{AttemptEnd, AttemptStart, ChildRecord, NextStep, StopRecord};
use crate::pure::dispatch::DispatchId;

/// How much of stderr's end is looked at, in bytes.
const STDERR_TAIL_BYTES: u64 = 16 * 1024;
/// How much of what an acceptance command wrote goes into the report.
const VERIFY_TAIL_BYTES: u64 = 4 * 1024;
const VERIFY_TAIL_LINES: usize = 20;

/// One attempt's place on disk.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub number: u32,
    dir: PathBuf,
}

/// The session's ends of its files. Drop it as soon as the child has them.
pub struct AttemptFiles {
    pub stdin: File,
    /// Locked: the lock lives as long as any process of the session holds the file.
    pub stdout: File,
    pub stderr: File,
}

impl Store {
    /// Makes the attempt durable and its files ready. When this returns the agent may be started.
    pub fn begin_attempt(
        &self,
        claim: &mut Claim,
        start: &AttemptStart,
        prompt: &str,
    ) -> Result<(Attempt, AttemptFiles)> {
        let attempt = Attempt::of(&self.claim_dir(&claim.id), start.attempt);
        match self.write_attempt(claim, &attempt.dir, start, prompt) {
            Ok(files) => Ok((attempt, files)),
            Err(e) => {
                // Nothing ran, and it must not look as if it had. A disk that refuses this too leaves the record.
                let _ = self.undo_attempt(&attempt);
                Err(e)
            }
        }
    }

    fn write_attempt(
        &self,
        claim: &mut Claim,
        dir: &Path,
        start: &AttemptStart,
        prompt: &str,
    ) -> Result<AttemptFiles> {
        let claim_dir = self.claim_dir(&claim.id);
        claim.places = Some(Box::new(place::make(&claim_dir)?));
        // Without attempt.json it never began.
        files::make_dir_anew(dir)?;
        files::create(&dir.join("prompt.txt"), prompt.as_bytes())?;
        let files = AttemptFiles {
            // Not the descriptor that wrote it: what a session was told is not the session's to change.
            stdin: failpoint::before(Effect::Open)
                .and_then(|()| File::open(dir.join("prompt.txt")))
                .at("open", dir)?,
            stdout: open_output(&dir.join("stdout.jsonl"))?,
            stderr: open_output(&dir.join("stderr.log"))?,
        };
        files
            .stdout
            .try_lock()
            .map_err(|e| Error::new("lock", dir.join("stdout.jsonl"), e.into()))?;
        let record = files::to_json(start, dir)?;
        // Before the agent has started, an empty record can only come of a power cut; it then counts as "may have run".
        files::replace(dir, "attempt.json", &record, Durable::AfterRename)?;
        files::sync_dir(&claim_dir)?;
        // At a retry too: the disk may have refused this to an attempt that never ran.
        self.active.sync_since(claim.put)?;
        Ok(files)
    }

    /// Makes durable what was found of an attempt, for what follows rests on it, and who wrote it may have died before its fsync.
    pub fn keep_attempt(&self, id: &DispatchId, attempt: &Attempt) -> Result<()> {
        let claim = self.claim_dir(id);
        place::mend(&claim)?;
        files::sync(&attempt.dir.join("attempt.json"))?;
        files::sync_dir(&attempt.dir)?;
        files::sync_dir(&claim)?;
        self.active.sync()
    }

    /// The agent of this attempt was never started: takes the attempt back.
    pub fn undo_attempt(&self, attempt: &Attempt) -> Result<()> {
        files::remove(&attempt.dir.join("attempt.json"))?;
        files::sync_dir(&attempt.dir)?;
        files::remove_tree(&attempt.dir)
    }

    /// The newest attempt that began, if any did.
    pub fn last_attempt(&self, id: &DispatchId) -> Result<Option<Attempt>> {
        let claim = self.claim_dir(id);
        // Each is durable before the next one begins: without the first there is none, and nothing to list.
        if identity::find(&Attempt::of(&claim, 1).dir)?.is_none() {
            return Ok(None);
        }
        Ok(numbers(&claim)?.pop().map(|number| Attempt::of(&claim, number)))
    }

    /// The newest end on record: an attempt after it may have been cut off at its start.
    pub fn last_end(&self, id: &DispatchId) -> Result<Option<AttemptEnd>> {
        let claim = self.claim_dir(id);
        for number in numbers(&claim)?.into_iter().rev() {
            if let Record::Read(end) = Attempt::of(&claim, number).end()? {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    /// The attempts that began before the one of that number, first to last.
    pub fn attempts_before(&self, id: &DispatchId, number: u32) -> Result<Vec<Attempt>> {
        let claim = self.claim_dir(id);
        let mut attempts = Vec::new();
        for number in 1..number {
            let attempt = Attempt::of(&claim, number);
            if began(&attempt.dir)? {
                attempts.push(attempt);
            }
        }
        Ok(attempts)
    }
}

impl Attempt {
    fn of(claim: &Path, number: u32) -> Attempt {
        Attempt { number, dir: claim.join(format!("attempt-{number}")) }
    }

    pub fn start(&self) -> Result<Record<AttemptStart>> {
        files::read_record(&self.dir.join("attempt.json"))
    }

    pub fn child(&self) -> Result<Record<ChildRecord>> {
        files::read_record(&self.dir.join("child.json"))
    }

    pub fn stop(&self) -> Result<Record<StopRecord>> {
        files::read_record(&self.dir.join("stop.json"))
    }

    pub fn end(&self) -> Result<Record<AttemptEnd>> {
        files::read_record(&self.dir.join("end.json"))
    }

    pub fn write_child(&self, record: &ChildRecord) -> Result<()> {
        let path = self.dir.join("child.json");
        files::create(&path, &files::to_json(record, &path)?).map(|_| ())
    }

    /// Why we end the session, durable before our first signal. The first reason stays.
    pub fn write_stop(&self, record: &StopRecord) -> Result<()> {
        let path = self.dir.join("stop.json");
        if identity::find(&path)?.is_some() {
            return Ok(());
        }
        files::replace(&self.dir, "stop.json", &files::to_json(record, &path)?, Durable::Yes)
    }

    /// Durable if another attempt follows. A report follows at once and is durable itself; should a crash take both, the stream
    /// is judged again.
    pub fn write_end(&self, record: &AttemptEnd) -> Result<()> {
        let path = self.dir.join("end.json");
        let bytes = files::to_json(record, &path)?;
        match record.next {
            NextStep::Report => match files::create(&path, &bytes) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                created => return created.map(drop),
            },
            NextStep::Retry { .. } | NextStep::Queue { .. } => {}
        }
        files::replace(&self.dir, "end.json", &bytes, Durable::Yes)
    }

    /// How often the daemon began to read what the session left. If there is no end on record, each time it died there.
    pub fn readings(&self) -> Result<u64> {
        place::readings(self.claim())
    }

    /// Notes that we begin to read it.
    pub fn note_reading(&self, claim: &mut Claim) -> Result<()> {
        match claim.places.as_mut().and_then(|places| places.report.as_mut()) {
            Some(place) => place.mark(&self.claim().join(REPORT)),
            None => ReadingMark::open(self.claim())?.set(),
        }
    }

    /// It was read, and what follows may take long.
    pub fn forget_reading(&self) -> Result<()> {
        ReadingMark::open(self.claim())?.take_back()
    }

    fn claim(&self) -> &Path {
        self.dir.parent().unwrap_or(&self.dir)
    }

    pub fn stdout_path(&self) -> PathBuf {
        self.dir.join("stdout.jsonl")
    }

    pub fn stdout_bytes(&self) -> u64 {
        identity::of_path(&self.stdout_path()).map_or(0, |stamp| stamp.size)
    }

    /// The stream, from its beginning.
    pub fn open_stream(&self) -> Result<Stream> {
        Stream::open(&self.dir)
    }

    /// The end of stderr, as text.
    pub fn stderr_tail(&self) -> String {
        tail(&self.dir.join("stderr.log"), STDERR_TAIL_BYTES)
    }

    /// What the acceptance command writes. That of an earlier run of it is overwritten.
    pub fn verify_log(&self) -> Result<File> {
        let path = self.dir.join("verify.log");
        files::remove(&path)?;
        open_output(&path)
    }

    pub fn verify_bytes(&self) -> u64 {
        identity::of_path(&self.dir.join("verify.log")).map_or(0, |stamp| stamp.size)
    }

    /// The last lines of it.
    pub fn verify_tail(&self) -> String {
        let text = tail(&self.dir.join("verify.log"), VERIFY_TAIL_BYTES);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(VERIFY_TAIL_LINES)..].join("\n")
    }

    /// Nothing to be read from stdin.
    pub fn empty_file(&self) -> io::Result<File> {
        File::open("/dev/null")
    }

    /// A file in the attempt's folder for the output of a helper program.
    pub fn scratch_file(&self, name: &str) -> Result<File> {
        let path = self.dir.join(name);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        let created = failpoint::before(Effect::Create(&path)).and_then(|()| options.open(&path));
        let file = created.at("create", &path)?;
        // Only the descriptor is needed.
        files::remove(&path)?;
        Ok(file)
    }
}

fn tail(path: &Path, bytes: u64) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let length = identity::of_path(path)?.size;
        if length == 0 {
            return Ok(Vec::new());
        }
        let mut file = files::open_no_follow(path)?;
        file.seek(SeekFrom::Start(length.saturating_sub(bytes)))?;
        let mut tail = Vec::new();
        file.take(bytes).read_to_end(&mut tail)?;
        Ok(tail)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}

fn open_output(path: &Path) -> Result<File> {
    // O_APPEND: a session that is resumed or a child that reopens its output cannot overwrite what is there.
    let mut options = OpenOptions::new();
    options.append(true).create_new(true).mode(0o600);
    failpoint::before(Effect::Create(path)).and_then(|()| options.open(path)).at("create", path)
}

fn began(attempt: &Path) -> Result<bool> {
    Ok(identity::find(&attempt.join("attempt.json"))?.is_some())
}

/// Numbers of the attempts that have an `attempt.json`, ascending.
pub(super) fn numbers(claim: &Path) -> Result<Vec<u32>> {
    let mut numbers = Vec::new();
    let entries = match files::list(claim) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(numbers),
        listed => listed?,
    };
    for entry in entries {
        let entry = entry.at("read", claim)?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("attempt-")?.parse().ok());
        if let Some(number) = number
            && began(&entry.path())?
        {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}
