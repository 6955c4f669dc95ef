//! The floor: what no daemon that keeps the same promises can be faster than on this disk and this machine. It makes the same
//! number of fsyncs of the same kind of small files, starts the same program, and does nothing else.
//!
//! For many dispatches at once there is a second one, [`Deeds::Files`], which also makes every file that the design names for a
//! dispatch and its three lines of the audit log: what a daemon without a thought could reach.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use crate::daemon::{Sample, ms, rest};
use crate::fsyncs::{self, Fsyncs};
use crate::lab::{Lab, PATIENCE};
use crate::watch::{ENDED, Fifo, STARTED};

/// About as much as our records hold.
const RECORD: [u8; 1200] = [b'x'; 1200];
const LINE: [u8; 180] = [b'x'; 180];

#[derive(Clone, Copy, PartialEq)]
pub enum Deeds {
    /// The fsyncs and the start.
    Fsyncs,
    /// And everything else on the disk.
    Files,
}

pub struct Floor<'l> {
    lab: &'l Lab,
    fsyncs: Fsyncs,
    dir: PathBuf,
    log: File,
    next: AtomicUsize,
}

impl<'l> Floor<'l> {
    pub fn new(lab: &'l Lab) -> Floor<'l> {
        let dir = lab.dir.join(format!("floor-{}", lab.number()));
        for part in ["active", "completed", "finished"] {
            fs::create_dir_all(dir.join(part)).expect("make the floor's folders");
        }
        let mut options = OpenOptions::new();
        let log = options.append(true).create(true).open(dir.join("log")).expect("make a log");
        Floor { lab, fsyncs: fsyncs::of_floor(lab), dir, log, next: AtomicUsize::new(0) }
    }

    pub fn dispatch(&self, fifo: &Fifo) -> Result<Sample, String> {
        rest();
        fifo.clear();
        let began = Instant::now();
        let (mut agent, folder) = self.begin(Some(&fifo.path), Deeds::Fsyncs);
        let started = fifo.wait_for(STARTED, PATIENCE)?;
        let ended = fifo.wait_for(ENDED, PATIENCE)?;
        agent.wait().expect("wait for the agent");
        self.conclude(&folder, Deeds::Fsyncs);
        let reported = Instant::now();
        rest();
        Ok(Sample {
            start: ms(began, started),
            end: Some(ms(ended, reported)),
            whole: ms(began, reported),
        })
    }

    /// So many dispatches by so many threads: dispatches a second.
    pub fn rate(&self, count: usize, threads: usize, deeds: Deeds) -> f64 {
        rustix::fs::sync();
        let (began, left) = (Instant::now(), AtomicUsize::new(count));
        let take = || left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1));
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while take().is_ok() {
                        let (mut agent, folder) = self.begin(None, deeds);
                        agent.wait().expect("wait for the agent");
                        self.conclude(&folder, deeds);
                    }
                });
            }
        });
        count as f64 / began.elapsed().as_secs_f64()
    }

    /// A record that is durable with its folders, as far as the fsyncs go, then the agent.
    fn begin(&self, fifo: Option<&Path>, deeds: Deeds) -> (Child, PathBuf) {
        let number = self.next.fetch_add(1, Ordering::AcqRel);
        let folder = self.dir.join(format!("active/{number}"));
        let attempt = folder.join("attempt-1");
        if deeds == Deeds::Files {
            let building = self.dir.join(format!("active/.tmp.{number}"));
            fs::create_dir(&building).expect("make a folder");
            for name in ["dispatch.json", "accepted.json"] {
                write(&building.join(name), &RECORD[..250]);
            }
            self.say();
            fs::rename(&building, &folder).expect("accept");
        }
        fs::create_dir_all(&attempt).expect("make a folder");
        if deeds == Deeds::Files {
            write(&attempt.join("prompt.txt"), &RECORD[..120]);
            write(&attempt.join("stderr.log"), b"");
            // The places of the answers, which are synced with their folder.
            for place in places(&folder) {
                write(&place, b"");
            }
        }
        let path = attempt.join("attempt.json");
        write(&path, &RECORD);
        let above = [path, attempt.clone(), folder.clone(), self.dir.join("active")];
        for path in above.iter().cycle().take(self.fsyncs.before.round() as usize) {
            sync(path);
        }
        let mut command = Command::new(self.lab.agent());
        self.lab.equip(&mut command);
        command
            .current_dir(&self.lab.project)
            .envs(fifo.map(|fifo| ("BENCH_FIFO", fifo)))
            .stdout(File::create(attempt.join("stdout.jsonl")).expect("create a file"))
            .stderr(Stdio::null());
        if deeds == Deeds::Files {
            self.say();
        }
        let agent = command.spawn().expect("start the agent");
        if deeds == Deeds::Files {
            write(&attempt.join("child.json"), &RECORD[..32]);
        }
        (agent, folder)
    }

    /// A report in its place, and a copy that is moved to where it is looked for: file, file, folder.
    fn conclude(&self, folder: &Path, deeds: Deeds) {
        if deeds == Deeds::Files {
            write(&folder.join("attempt-1/end.json"), &RECORD[..600]);
        }
        let completed = self.dir.join("completed");
        let mut fsyncs = self.fsyncs.after.round() as usize;
        let mut sync_one = |path: &Path| {
            if fsyncs > 0 {
                fsyncs -= 1;
                sync(path);
            }
        };
        let [report, copy] = places(folder);
        for place in [&report, &copy] {
            write(place, &RECORD);
            sync_one(place);
        }
        let name = folder.file_name().unwrap_or_default();
        let published = completed.join(name).with_extension("json");
        fs::rename(&copy, published).expect("publish");
        sync_one(&completed);
        sync_one(folder);
        if deeds == Deeds::Files {
            self.say();
            fs::rename(folder, self.dir.join("finished").join(name)).expect("retire");
        }
    }

    fn say(&self) {
        (&self.log).write_all(&LINE).expect("write a line");
    }
}

impl Drop for Floor<'_> {
    fn drop(&mut self) {
        if self.lab.has_journal {
            let _ = fs::remove_dir_all(&self.dir);
        }
        rustix::fs::sync();
    }
}

fn places(folder: &Path) -> [PathBuf; 2] {
    ["report.json", "copy.json"].map(|name| folder.join(name))
}

/// Over what is there.
fn write(path: &Path, bytes: &[u8]) {
    let mut options = OpenOptions::new();
    let opened = options.write(true).create(true).truncate(false).open(path);
    opened.and_then(|mut file| file.write_all(bytes)).expect("write a file");
}

fn sync(path: &Path) {
    File::open(path).and_then(|file| file.sync_all()).expect("fsync");
}
