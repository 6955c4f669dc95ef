//! One attempt's folder, `active/<id>/attempt-<n>/`: its records, each created once, and the files
//! of its session.
//!
//! `attempt.json` is the line between "never ran" and "may have run"; it is durable, with every
//! folder above it, before the agent starts. The session's stdout is locked before it is handed to
//! the child: the lock belongs to the open file and so outlives us with the child.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::output::{self, VerifyLog, open_output};
use super::reading::{self, ReadingMark};
use crate::effects::error::{At, Error, Result};
use crate::effects::failpoint::{self, Effect};
use crate::effects::store::disk::aside::Asides;
use crate::effects::store::disk::files::{self, Durable, Record};
use crate::effects::store::disk::{identity, tree};
use crate::effects::store::{Claim, Store};
use crate::pure::attempt::record::{
    AttemptEnd, AttemptStart, BegunRecord, ChildRecord, Identity, NextStep, StopRecord,
};
use crate::pure::dispatch::DispatchId;

/// How many bytes at the end of stderr are looked at.
const STDERR_TAIL_BYTES: u64 = 16 * 1024;
/// No dispatch has more attempts: at most it is probed every few minutes, for a day.
const ATTEMPTS_MAX: u32 = 100_000;

const PROMPT_FILE: &str = "prompt.txt";

/// One attempt's place on disk.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub number: u32,
    dir: PathBuf,
    id: String,
    /// The identity of its folder, since the session can put another one there.
    folder: Option<Identity>,
    outputs: Option<Arc<Outputs>>,
    asides: Asides,
}

/// What the session writes, opened before it can replace the names. These are not the session's own
/// descriptors, or the lock on its stdout would be ours as well.
#[derive(Debug)]
struct Outputs {
    stdout: Arc<File>,
    stderr: Option<File>,
}

/// The session's ends of its files. Drop it as soon as the child has them.
pub struct AttemptFiles {
    pub stdin: File,
    /// The file is locked, and the lock lives as long as any process of the session holds the file.
    pub stdout: File,
    pub stderr: File,
}

impl AttemptFiles {
    /// For an agent that reads its prompt from the file itself.
    pub fn empty_stdin(&mut self) -> Result<()> {
        let nothing = Path::new("/dev/null");
        self.stdin = File::open(nothing).at("open", nothing)?;
        Ok(())
    }
}

impl Store {
    /// Where an attempt has its prompt, or will have it: for an agent that is told its name.
    pub fn prompt_file(&self, id: &DispatchId, number: u32) -> PathBuf {
        self.attempt(id, number).dir.join(PROMPT_FILE)
    }

    /// Makes the attempt durable and its files ready. When this returns the agent may be started.
    pub fn begin_attempt(
        &self,
        claim: &mut Claim,
        start: &AttemptStart,
        prompt: &str,
    ) -> Result<(Attempt, AttemptFiles)> {
        claim.folder = Some(self.look_at_folder(claim)?);
        let mut attempt = self.attempt(&claim.id, start.attempt);
        match self.write_attempt(claim, &mut attempt, start, prompt) {
            Ok(files) => Ok((attempt, files)),
            Err(e) => {
                // Nothing ran, and it must not look as if it had. If the disk refuses this too, the
                // record stays.
                let _ = self.undo_attempt(&attempt);
                Err(e)
            }
        }
    }

    fn write_attempt(
        &self,
        claim: &mut Claim,
        attempt: &mut Attempt,
        start: &AttemptStart,
        prompt: &str,
    ) -> Result<AttemptFiles> {
        let (claim_dir, dir) = (self.claim_dir(&claim.id), attempt.dir.as_path());
        // A folder without attempt.json is no attempt that began.
        self.asides.make_dir_anew(dir, &attempt.id)?;
        files::create(&dir.join(PROMPT_FILE), prompt.as_bytes())?;
        let files = AttemptFiles {
            // The prompt is opened anew, only for reading: what a session was told is not the
            // session's to change.
            stdin: failpoint::before(Effect::Open)
                .and_then(|()| File::open(dir.join(PROMPT_FILE)))
                .at("open", dir)?,
            stdout: open_output(&dir.join("stdout.jsonl"))?,
            stderr: open_output(&dir.join("stderr.log"))?,
        };
        files
            .stdout
            .try_lock()
            .map_err(|e| Error::new("lock", dir.join("stdout.jsonl"), e.into()))?;
        let outputs = Outputs::open(dir)?;
        let record = files::to_exact_json(start, dir)?;
        // Before the agent has started, only a power cut can leave an empty record; it then counts
        // as "may have run".
        files::replace(dir, "attempt.json", &record, Durable::AfterRename)?;
        files::sync_dir(&claim_dir)?;
        // This is done at a retry too: the disk may have refused it to an attempt that never ran.
        self.active.sync()?;
        let folder = identity::find(dir)?.map(|stamp| stamp.identity);
        attempt.folder = folder;
        attempt.outputs = outputs.map(Arc::new);
        Ok(files)
    }

    fn attempt(&self, id: &DispatchId, number: u32) -> Attempt {
        Attempt {
            number,
            dir: self.claim_dir(id).join(format!("attempt-{number}")),
            id: id.to_string(),
            folder: None,
            outputs: None,
            asides: self.asides.clone(),
        }
    }

    /// Makes durable what was found of an attempt, since what follows rests on it and its writer
    /// may have died before the fsync.
    pub fn sync_attempt(&self, id: &DispatchId, attempt: &Attempt) -> Result<()> {
        let claim = self.claim_dir(id);
        files::sync(&attempt.dir.join("attempt.json"))?;
        files::sync_dir(&attempt.dir)?;
        files::sync_dir(&claim)?;
        self.active.sync()
    }

    /// Takes back an attempt whose agent was never started.
    pub fn undo_attempt(&self, attempt: &Attempt) -> Result<()> {
        if identity::find(&attempt.dir)?.is_none() {
            return Ok(());
        }
        files::remove(&attempt.dir.join("attempt.json"))?;
        files::sync_dir(&attempt.dir)?;
        tree::remove_tree(&attempt.dir)
    }

    /// The newest attempt that began, if any did.
    pub fn last_attempt(&self, id: &DispatchId) -> Result<Option<Attempt>> {
        let first = self.attempt(id, 1).dir;
        // None of the many claims that wait has begun an attempt, so they need not be looked
        // through.
        if identity::find(&first)?.is_none() && !self.has_started(id)? {
            return Ok(None);
        }
        let last = numbers(&self.claim_dir(id))?.pop();
        Ok(last.map(|number| self.attempt(id, number)))
    }

    /// The newest end on record: an attempt after it may have been cut off at its start.
    pub fn last_end(&self, id: &DispatchId) -> Result<Option<AttemptEnd>> {
        for number in numbers(&self.claim_dir(id))?.into_iter().rev() {
            if let Record::Read(end) = self.attempt(id, number).end()? {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    /// The attempts that began before the one of that number, first to last.
    pub fn attempts_before(&self, id: &DispatchId, number: u32) -> Result<Vec<Attempt>> {
        let mut earlier = numbers(&self.claim_dir(id))?;
        earlier.retain(|earlier| *earlier < number);
        Ok(earlier.into_iter().map(|earlier| self.attempt(id, earlier)).collect())
    }
}

impl Attempt {
    /// Opens what the session of an earlier daemon wrote, and remembers which folder this is.
    pub fn find(&mut self) -> Result<()> {
        self.outputs = Outputs::open(&self.dir)?.map(Arc::new);
        self.folder = identity::find(&self.dir)?.map(|stamp| stamp.identity);
        Ok(())
    }

    /// Checks that the folder is the one that it was, and opens it up.
    fn look_at_folder(&self) -> Result<()> {
        if let Some(claim) = self.dir.parent() {
            files::open_up(claim)?;
        }
        files::open_same(&self.dir, self.folder).map(drop)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.asides.replace(&self.dir, name, &self.id, bytes, Durable::Yes)
    }

    pub fn start(&self) -> Result<Record<AttemptStart>> {
        files::read_record(&self.dir.join("attempt.json"))
    }

    pub fn child(&self) -> Result<Record<ChildRecord>> {
        files::read_record(&self.dir.join("child.json"))
    }

    pub fn begun(&self) -> Result<Record<BegunRecord>> {
        files::read_record(&self.dir.join("begun.json"))
    }

    pub fn stop(&self) -> Result<Record<StopRecord>> {
        files::read_record(&self.dir.join("stop.json"))
    }

    pub fn end(&self) -> Result<Record<AttemptEnd>> {
        files::read_record(&self.dir.join("end.json"))
    }

    /// Records the session's leader. This is not durable.
    pub fn write_child(&self, record: &ChildRecord) -> Result<()> {
        self.create("child.json", record)
    }

    /// Records that the session's first event was seen. This is not durable.
    pub fn write_begun(&self, record: &BegunRecord) -> Result<()> {
        self.create("begun.json", record)
    }

    fn create(&self, name: &str, record: &impl Serialize) -> Result<()> {
        self.look_at_folder()?;
        let path = self.dir.join(name);
        files::create(&path, &files::to_json(record, &path)?).map(|_| ())
    }

    /// Records why we end the session, durably before our first signal. The first reason stays.
    pub fn write_stop(&self, record: &StopRecord) -> Result<()> {
        self.look_at_folder()?;
        if let Record::Read(_) = self.stop()? {
            return Ok(());
        }
        self.put("stop.json", &files::to_json(record, &self.dir)?)
    }

    /// Records the end, durably if another attempt follows. A report follows at once and is durable
    /// itself; should a crash take both, the stream is judged again.
    pub fn write_end(&self, record: &AttemptEnd) -> Result<()> {
        self.look_at_folder()?;
        let path = self.dir.join("end.json");
        let bytes = files::to_json(record, &path)?;
        match record.next {
            NextStep::Report => match files::create(&path, &bytes) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                created => return created.map(drop),
            },
            NextStep::Retry { .. } | NextStep::Queue { .. } => {}
        }
        self.put("end.json", &bytes)
    }

    /// How often a daemon began to read what the session left. If no end is on record, it died
    /// there each time.
    pub fn readings(&self) -> u64 {
        reading::readings(&self.dir)
    }

    /// Notes that we begin to read what the session left.
    pub fn note_reading(&self) -> Result<()> {
        self.reading_mark()?.set()
    }

    /// Takes the note back when that is read, since what follows may take long.
    pub fn forget_reading(&self) -> Result<()> {
        self.reading_mark()?.take_back()
    }

    pub(in crate::effects::store) fn reading_mark(&self) -> Result<ReadingMark> {
        self.look_at_folder()?;
        ReadingMark::open(&self.dir, &self.id, &self.asides)
    }

    /// The session's stdout, to ask who holds it.
    pub fn stdout(&self) -> Option<Arc<File>> {
        self.outputs.as_ref().map(|outputs| outputs.stdout.clone())
    }

    pub fn stdout_bytes(&self) -> u64 {
        self.outputs.as_ref().map_or(0, |outputs| output::length(&outputs.stdout))
    }

    pub fn stderr_bytes(&self) -> u64 {
        let stderr = self.outputs.as_ref().and_then(|outputs| outputs.stderr.as_ref());
        stderr.map_or(0, output::length)
    }

    pub(in crate::effects::store) fn stdout_path(&self) -> PathBuf {
        self.dir.join("stdout.jsonl")
    }

    /// The end of stderr, as text.
    pub fn stderr_tail(&self) -> String {
        let stderr = self.outputs.as_ref().and_then(|outputs| outputs.stderr.as_ref());
        stderr.map_or_else(String::new, |stderr| output::tail(stderr, STDERR_TAIL_BYTES))
    }

    /// Makes the file that the acceptance command writes to, locked like a session's stdout. The
    /// file of an earlier run is removed.
    pub fn verify_log(&self) -> Result<(VerifyLog, File)> {
        let path = self.verify_path();
        self.look_at_folder()?;
        match files::remove(&path) {
            Err(e) if self.asides.makes_way(&path, &self.id, &e) => {}
            removed => removed?,
        }
        VerifyLog::create(&path)
    }

    /// The log of an earlier run, if it is there.
    pub fn earlier_verify_log(&self) -> Option<VerifyLog> {
        files::open_plain(&self.verify_path()).ok().map(VerifyLog::of)
    }

    fn verify_path(&self) -> PathBuf {
        self.dir.join("verify.log")
    }

    /// A stdin from which nothing can be read.
    pub fn empty_file(&self) -> io::Result<File> {
        File::open("/dev/null")
    }
}

impl Outputs {
    /// Opens what the session writes. `None` if stdout is gone, or something else stands there.
    fn open(dir: &Path) -> Result<Option<Outputs>> {
        let open = |name: &str| {
            let path = dir.join(name);
            match files::open_plain(&path) {
                Err(e) if crate::effects::error::fault(&e).is_everywhere() => {
                    Err(e).at("open", &path)
                }
                opened => Ok(opened.ok()),
            }
        };
        let Some(stdout) = open("stdout.jsonl")? else { return Ok(None) };
        Ok(Some(Outputs { stdout: Arc::new(stdout), stderr: open("stderr.log")? }))
    }
}

fn began(attempt: &Path) -> Result<bool> {
    Ok(identity::find(&attempt.join("attempt.json"))?.is_some())
}

/// Numbers of the attempts that have an `attempt.json`, ascending.
pub(in crate::effects::store) fn numbers(claim: &Path) -> Result<Vec<u32>> {
    let mut numbers = Vec::new();
    let entries = match files::list(claim) {
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(numbers);
        }
        listed => listed?,
    };
    for entry in entries {
        let entry = entry.at("read", claim)?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("attempt-")?.parse().ok());
        // A session can make folders of any name.
        if let Some(number) = number
            && number <= ATTEMPTS_MAX
            && name.to_str() == Some(&format!("attempt-{number}"))
            && began(&entry.path())?
        {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}
