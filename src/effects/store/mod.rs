//! Owns all state on disk; no other module names a path of it.
//!
//! `$GSTACK_HOME/dispatch` is the drop zone, shared with the orchestrator; `$GSTACK_HOME/dispatchd`
//! is ours alone, and it decides. A change of state is one rename or one file created once, and
//! redoing any step is harmless. Beside each step is written what must be durable before it; a
//! reader of these modules should be able to ask at every line: if the process died here, would the
//! next start reach the same answer?

mod archive;
mod claims;
mod costs;
mod disk;
mod drop_zone;
mod examine;
mod finishing;
mod free_space;
mod holds;
mod keys;
mod lock;
mod optional_dir;
mod outbox;
mod ownership;
mod pending;
mod secret_file;
mod session_tmp;
mod spent;
mod submit;
mod tasks;
mod view;
mod window;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::result::Result as StdResult;
use std::sync::RwLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::clock;
use super::error::{At, Result};
use super::failpoint::{self, Effect};

pub use archive::{Shelf, Walk};
pub use claims::accept::{IdOwner, Prepared};
pub use claims::attempt_logs::AttemptLogs;
pub use claims::attempts::{Attempt, AttemptFiles};
pub use claims::claim::{Claim, Contents, InboxName, Room};
pub use claims::output::{OutputFile, VerifyLog};
use claims::past_agents::PastAgents;
pub use claims::publish::Committed;
pub use claims::stream::Stream;
pub use costs::Answered;
use disk::aside::Asides;
pub use disk::aside::MovedAside;
use disk::files;
pub use disk::files::Record;
use disk::group_sync::GroupSync;
use disk::identity;
pub use disk::identity::Stamp;
pub use disk::tree::Removal;
pub use drop_zone::audit::{Audit, Rotation};
pub use drop_zone::ignored::{ignored_in_control, ignored_in_drop_zone};
pub use drop_zone::inbox::{Dropped, Inspected, is_inbox_name};
pub use drop_zone::requests::{Request, cancel_request, control_request, is_cancel_name};
pub use examine::{FolderFlaw, FolderState};
pub use keys::{FoundKeys, create_secret, remove_secret};
pub use lock::{DaemonLock, Standing};
use optional_dir::OptionalDir;
pub use outbox::OutboxEntry;
pub use ownership::Mended;
pub use pending::{Asked, WaitingDispatch};
pub use secret_file::{SecretFile, open_to_others, read_document, read_key_elsewhere, read_secret};
use session_tmp::TmpPlaces;
pub use spent::SPENT_KEEP;
pub use tasks::{CompletingEntry, TaskHolder};
pub use view::{AcceptedBytes, CallbackFacts, EndedWalk, Lookup, View};

/// The layout. Sharing it is cheap: every thread borrows the one that the daemon opened.
pub struct Store {
    home: PathBuf,
    /// The drop zone.
    dispatch: PathBuf,
    completed: GroupSync,
    /// The directory that is ours alone.
    own: PathBuf,
    active: GroupSync,
    started: PathBuf,
    finished: PathBuf,
    pending: PathBuf,
    rejected: PathBuf,
    outbox: PathBuf,
    dead_callbacks: PathBuf,
    control: PathBuf,
    keys: PathBuf,
    spent: OptionalDir,
    /// Which dispatch has a task of Clawvisor.
    tasks: OptionalDir,
    /// Tasks that are still to be completed.
    completing: OptionalDir,
    /// When the drop zone was found writable by others and shut, in nanoseconds since 1970; 0 if it
    /// never was.
    shut_at_ns: AtomicI64,
    /// How many entries `finished` and `rejected` have gained since the start.
    finished_count: AtomicU64,
    rejected_count: AtomicU64,
    scratch_count: AtomicU64,
    /// Users besides ours and root whose files count as ours.
    allowed_uids: RwLock<Vec<u32>>,
    asides: Asides,
    tmp: TmpPlaces,
    past_agents: PastAgents,
}

/// The directory of all state: `named` (`$GSTACK_HOME`), or `.gstack` in the home directory.
pub fn gstack_home(named: Option<OsString>, home: Option<&OsStr>) -> StdResult<PathBuf, String> {
    let named = named.filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let dir = named.or_else(|| home.map(|home| Path::new(home).join(".gstack")));
    let dir =
        dir.ok_or("neither GSTACK_HOME nor HOME is set: cannot tell where the dispatches are; set one of them")?;
    std::path::absolute(&dir).map_err(|e| format!("cannot use {}: {e}", dir.display()))
}

impl Store {
    /// Names the layout under `home` (`$GSTACK_HOME`), and touches nothing.
    pub fn new(home: &Path) -> Store {
        let (dispatch, own) = (home.join("dispatch"), home.join("dispatchd"));
        Store {
            home: home.to_path_buf(),
            completed: GroupSync::new(dispatch.join("completed")),
            active: GroupSync::new(own.join("active")),
            started: own.join("started"),
            finished: own.join("finished"),
            pending: own.join("pending"),
            rejected: own.join("rejected"),
            outbox: own.join("outbox"),
            dead_callbacks: own.join("outbox/dead"),
            control: own.join("control"),
            keys: own.join("keys"),
            spent: OptionalDir::new(own.join("spent")),
            tasks: OptionalDir::new(own.join("tasks")),
            completing: OptionalDir::new(own.join("completing")),
            shut_at_ns: AtomicI64::new(0),
            finished_count: AtomicU64::new(0),
            rejected_count: AtomicU64::new(0),
            scratch_count: AtomicU64::new(0),
            allowed_uids: RwLock::default(),
            asides: Asides::default(),
            tmp: TmpPlaces::new(Path::new("/tmp"), home, &own),
            past_agents: PastAgents::default(),
            dispatch,
            own,
        }
    }

    /// Makes missing directories, and mends those that are too open (the seed made its own 0755) or
    /// shut to ourselves. Gives those that were mended. New directories are durable: an fsync in a
    /// folder is worth nothing while the folder's own name can be lost. The daemon calls this at
    /// start, and again whenever the drop zone may have been taken away.
    pub fn make_directories(&self) -> Result<Vec<Mended>> {
        let mut mended = Vec::from_iter(self.check_home()?);
        let is_new = identity::find(&self.home)?.is_none();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.home)
            .at("make", &self.home)?;
        let above = self.home.parent().filter(|_| is_new);
        let mut made_in = BTreeSet::from_iter(above);
        for dir in self.folders() {
            match self.make_ours(dir)? {
                Private::Made => made_in.extend(dir.parent()),
                Private::Was => {}
                Private::Mended(dir) => mended.push(dir),
            }
        }
        self.note_shut(&mended);
        self.spent.look()?;
        made_in.into_iter().try_for_each(files::sync_dir)?;
        Ok(mended)
    }

    /// Every folder of ours, each after the one that it stands in.
    fn folders(&self) -> [&Path; 10] {
        [
            self.dispatch.as_path(),
            self.completed.path(),
            &self.own,
            self.active.path(),
            &self.started,
            &self.finished,
            &self.pending,
            &self.rejected,
            &self.outbox,
            &self.control,
        ]
    }

    fn make_ours(&self, dir: &Path) -> Result<Private> {
        match files::make_dir(dir) {
            Ok(()) => return Ok(Private::Made),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e).at("make", dir),
        }
        let is_shared = dir == self.dispatch || dir == self.completed.path();
        let checked =
            if is_shared { self.check_shared(dir) } else { ownership::check_private(dir) };
        Ok(checked?.map_or(Private::Was, Private::Mended))
    }

    /// Remembers when the drop zone was shut, since others may have written the files that are
    /// older.
    fn note_shut(&self, mended: &[Mended]) {
        if mended.iter().any(|m| m.dir == self.dispatch && m.old_mode & 0o022 != 0) {
            self.shut_at_ns.store(clock::unix_ms() * 1_000_000, Ordering::Release);
        }
    }

    pub fn home(&self) -> &Path {
        &self.home
    }

    pub fn drop_zone(&self) -> &Path {
        &self.dispatch
    }

    /// Where all state is that is ours alone.
    pub fn own_dir(&self) -> &Path {
        &self.own
    }

    pub fn control_dir(&self) -> &Path {
        &self.control
    }

    /// A file without a name, for the output of a helper program.
    pub fn scratch_file(&self) -> Result<File> {
        let path = self.scratch_path();
        let mut options = OpenOptions::new();
        options.read(true).append(true).create_new(true).mode(0o600);
        let created = failpoint::before(Effect::Create(&path)).and_then(|()| options.open(&path));
        let file = created.at("create", &path)?;
        files::remove(&path)?;
        Ok(file)
    }

    /// What was written into it, from its beginning.
    pub fn read_scratch(&self, mut file: File, bytes_max: u64) -> Result<String> {
        let mut bytes = Vec::new();
        let read = file.rewind().and_then(|()| file.take(bytes_max).read_to_end(&mut bytes));
        read.at("read", &self.scratch_path())?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A log without a name, for an acceptance command whose own place is gone.
    pub fn scratch_log(&self) -> Result<(VerifyLog, File)> {
        let path = self.scratch_path();
        let log = VerifyLog::create(&path)?;
        files::remove(&path)?;
        Ok(log)
    }

    fn scratch_path(&self) -> PathBuf {
        let number = self.scratch_count.fetch_add(1, Ordering::Relaxed);
        // The time distinguishes the name from one that a crashed process with the same pid left.
        let name =
            format!(".tmp.scratch.{}.{}.{number}", std::process::id(), clock::monotonic_ms());
        self.own.join(name)
    }
}

enum Private {
    Made,
    Was,
    Mended(Mended),
}
