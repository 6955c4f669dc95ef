//! The floor: what no daemon that keeps the same promises can be faster than on this disk and this
//! machine. For each dispatch it makes the files and the fsyncs that the design names and the one
//! process, and does nothing else: it decides nothing, looks at nothing and remembers nothing.
//!
//! It must follow the design, never the daemon as it happens to be: otherwise a daemon that does
//! too much gets a floor that is too slow. [`FSYNCS`] says what the design comes to.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use crate::daemon::{Sample, ms, rest};
use crate::lab::{Home, Lab, PATIENCE, file_of, id_of};
use crate::procfs;
use crate::watch::{ENDED, Fifo, STARTED};

/// attempt.json, its folder, the claim's folder, `active/`.
pub const FSYNCS_BEFORE_START: f64 = 4.0;
/// These, report.json, the claim's folder, the copy in `completed/`, and that folder.
pub const FSYNCS: f64 = 8.0;

/// The bytes of a record. The daemon's longest is attempt.json.
const RECORD: [u8; 1050] = [b'x'; 1050];
const ACCEPTED_BYTES: usize = 300;
const PROMPT_BYTES: usize = 110;
const CHILD_BYTES: usize = 32;
const END_BYTES: usize = 530;
const REPORT_BYTES: usize = 780;
const LINE: [u8; 200] = [b'x'; 200];

pub struct Floor<'l> {
    lab: &'l Lab,
    /// Its layout is a daemon's.
    home: Home,
    own: PathBuf,
    active: SharedFolder,
    completed: SharedFolder,
    log: File,
    next: usize,
    /// What its own work has cost so far, without its waits.
    pub cpu_ms: f64,
}

impl<'l> Floor<'l> {
    pub fn new(lab: &'l Lab) -> Floor<'l> {
        let home = lab.home();
        let own = home.dir.join("dispatchd");
        for part in ["active", "started", "finished"] {
            fs::create_dir(own.join(part)).expect("make the floor's folders");
        }
        let mut options = OpenOptions::new();
        let log = options.append(true).create(true).open(home.audit()).expect("make a log");
        let active = SharedFolder::new(own.join("active"));
        let completed = SharedFolder::new(home.completed());
        Floor { lab, home, own, active, completed, log, next: 0, cpu_ms: 0.0 }
    }

    /// Makes one dispatch, from its rename into the inbox to its report.
    pub fn dispatch(&mut self, fifo: &Fifo) -> Result<Sample, String> {
        let number = self.next;
        self.next += 1;
        self.home.stage(number);
        rest();
        fifo.clear();
        let dropped = self.home.drop_staged(number);
        let before = procfs::own_thread_cpu_ms();
        let mut agent = self.begin(number, Some(&fifo.path));
        self.cpu_ms += procfs::own_thread_cpu_ms() - before;
        let said = fifo
            .wait_for(STARTED, PATIENCE)
            .and_then(|started| Ok((started, fifo.wait_for(ENDED, PATIENCE)?)));
        agent.wait().expect("wait for the agent");
        let (started, ended) = said?;
        let before = procfs::own_thread_cpu_ms();
        let reported = self.conclude(number);
        self.cpu_ms += procfs::own_thread_cpu_ms() - before;
        rest();
        Ok(Sample {
            start: ms(dropped, started),
            end: Some(ms(ended, reported)),
            whole: ms(dropped, reported),
        })
    }

    /// Works off so many waiting files by so many threads, and says how many that is a second.
    pub fn rate(self, count: usize, threads: usize) -> f64 {
        self.home.fill(count);
        let (began, next) = (Instant::now(), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::AcqRel);
                        if number >= count {
                            return;
                        }
                        let mut agent = self.begin(number, None);
                        agent.wait().expect("wait for the agent");
                        self.conclude(number);
                    }
                });
            }
        });
        count as f64 / began.elapsed().as_secs_f64()
    }

    /// Accepts, puts the attempt on record, starts the agent.
    fn begin(&self, number: usize, fifo: Option<&Path>) -> Child {
        let id = id_of(number);
        let dropped = fs::read(self.home.inbox().join(file_of(number))).expect("read the file");
        let building = self.active.path.join(format!(".tmp.{id}"));
        fs::create_dir(&building).expect("make a folder");
        create(&building.join("dispatch.json"), &dropped);
        create(&building.join("accepted.json"), &RECORD[..ACCEPTED_BYTES]);
        let claim = self.active.path.join(&id);
        fs::rename(&building, &claim).expect("accept");
        self.say();

        let attempt = claim.join("attempt-1");
        fs::create_dir(&attempt).expect("make a folder");
        create(&attempt.join("prompt.txt"), &RECORD[..PROMPT_BYTES]);
        let prompt = File::open(attempt.join("prompt.txt")).expect("open a file");
        let stdout = create(&attempt.join("stdout.jsonl"), b"");
        let stderr = create(&attempt.join("stderr.log"), b"");
        let temporary = attempt.join(".tmp.attempt.json");
        let record = create(&temporary, &RECORD);
        fs::rename(temporary, attempt.join("attempt.json")).expect("put in place");
        record.sync_all().expect("fsync");
        sync(&attempt);
        sync(&claim);
        self.active.sync();

        create(&self.own.join("started").join(&id), b"");
        let mut command = Command::new(self.lab.agent());
        self.lab.equip(&mut command);
        command
            .current_dir(&self.lab.project)
            .envs(fifo.map(|fifo| ("BENCH_FIFO", fifo)))
            .stdin(prompt)
            .stdout(stdout)
            .stderr(Stdio::from(stderr));
        let agent = command.spawn().expect("start the agent");
        create(&attempt.join("child.json"), &RECORD[..CHILD_BYTES]);
        self.say();
        agent
    }

    /// Commits, publishes, retires. Says when the report was visible.
    fn conclude(&self, number: usize) -> Instant {
        let id = id_of(number);
        let claim = self.active.path.join(&id);
        create(&claim.join("attempt-1/reading"), b"1");
        create(&claim.join("attempt-1/end.json"), &RECORD[..END_BYTES]);
        put(&claim, "report.json");
        sync(&claim);
        put(&self.completed.path, &file_of(number));
        let visible = Instant::now();
        self.completed.sync();
        self.say();
        fs::remove_file(self.home.inbox().join(file_of(number))).expect("remove the dropped file");
        fs::rename(claim, self.own.join("finished").join(&id)).expect("retire");
        fs::remove_file(self.own.join("started").join(&id)).expect("remove a mark");
        visible
    }

    fn say(&self) {
        (&self.log).write_all(&LINE).expect("write a line");
    }
}

/// A folder that all threads put files into: one fsync serves all who asked before it began.
struct SharedFolder {
    path: PathBuf,
    rounds: Mutex<Rounds>,
    ended: Condvar,
}

#[derive(Default)]
struct Rounds {
    asked: u64,
    /// So many of those that asked are served.
    served: u64,
    is_syncing: bool,
}

impl SharedFolder {
    fn new(path: PathBuf) -> SharedFolder {
        SharedFolder { path, rounds: Mutex::default(), ended: Condvar::new() }
    }

    fn sync(&self) {
        let mut rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
        rounds.asked += 1;
        let mine = rounds.asked;
        while rounds.served < mine {
            if rounds.is_syncing {
                rounds = self.ended.wait(rounds).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let serves = rounds.asked;
            rounds.is_syncing = true;
            drop(rounds);
            sync(&self.path);
            rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
            rounds.is_syncing = false;
            rounds.served = serves;
            self.ended.notify_all();
        }
    }
}

/// Puts a report in place by temporary file, fsync and rename. The caller syncs the folder.
fn put(dir: &Path, name: &str) {
    let temporary = dir.join(format!(".tmp.{name}"));
    create(&temporary, &RECORD[..REPORT_BYTES]).sync_all().expect("fsync");
    fs::rename(temporary, dir.join(name)).expect("put in place");
}

fn create(path: &Path, bytes: &[u8]) -> File {
    let opened = OpenOptions::new().write(true).create_new(true).open(path);
    let mut file = opened.expect("create a file");
    file.write_all(bytes).expect("write a file");
    file
}

fn sync(path: &Path) {
    File::open(path).and_then(|file| file.sync_all()).expect("fsync");
}
