//! The floor: what no daemon that keeps the same promises can be faster than on this disk and this machine. It makes the same
//! number of fsyncs of the same kind of small files, starts the same program, and does nothing else.

use std::fs::{self, File};
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

pub struct Floor<'l> {
    lab: &'l Lab,
    fsyncs: Fsyncs,
    dir: PathBuf,
    next: AtomicUsize,
}

impl<'l> Floor<'l> {
    pub fn new(lab: &'l Lab) -> Floor<'l> {
        let dir = lab.dir.join(format!("floor-{}", lab.number()));
        for part in ["active", "completed"] {
            fs::create_dir_all(dir.join(part)).expect("make the floor's folders");
        }
        Floor { lab, fsyncs: fsyncs::of_floor(lab), dir, next: AtomicUsize::new(0) }
    }

    pub fn dispatch(&self, fifo: &Fifo) -> Result<Sample, String> {
        rest();
        fifo.clear();
        let began = Instant::now();
        let (mut agent, folder) = self.begin(Some(&fifo.path));
        let started = fifo.wait_for(STARTED, PATIENCE)?;
        let ended = fifo.wait_for(ENDED, PATIENCE)?;
        agent.wait().expect("wait for the agent");
        self.conclude(&folder);
        let reported = Instant::now();
        rest();
        Ok(Sample {
            start: ms(began, started),
            end: Some(ms(ended, reported)),
            whole: ms(began, reported),
        })
    }

    /// So many dispatches by so many threads: dispatches a second.
    pub fn rate(&self, count: usize, threads: usize) -> f64 {
        rustix::fs::sync();
        let (began, left) = (Instant::now(), AtomicUsize::new(count));
        let take = || left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1));
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while take().is_ok() {
                        let (mut agent, folder) = self.begin(None);
                        agent.wait().expect("wait for the agent");
                        self.conclude(&folder);
                    }
                });
            }
        });
        count as f64 / began.elapsed().as_secs_f64()
    }

    /// A record that is durable with its folders, as far as the fsyncs go, then the agent.
    fn begin(&self, fifo: Option<&Path>) -> (Child, PathBuf) {
        let folder = self.dir.join(format!("active/{}", self.next.fetch_add(1, Ordering::AcqRel)));
        let attempt = folder.join("attempt-1");
        fs::create_dir_all(&attempt).expect("make a folder");
        let path = attempt.join("attempt.json");
        fs::write(&path, RECORD).expect("write a record");
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
        (command.spawn().expect("start the agent"), folder)
    }

    /// Two reports, each put in place: file, folder, file, folder.
    fn conclude(&self, folder: &Path) {
        let completed = self.dir.join("completed");
        let name = folder.file_name().unwrap_or_default();
        let places = [folder.join("report.json"), completed.join(name).with_extension("json")];
        let mut fsyncs = self.fsyncs.after.round() as usize;
        let mut sync_one = |path: &Path| {
            if fsyncs > 0 {
                fsyncs -= 1;
                sync(path);
            }
        };
        for place in &places {
            let temporary = place.with_extension("tmp");
            fs::write(&temporary, RECORD).expect("write a report");
            sync_one(&temporary);
            fs::rename(&temporary, place).expect("put a report in place");
            sync_one(place.parent().expect("a folder"));
        }
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

fn sync(path: &Path) {
    File::open(path).and_then(|file| file.sync_all()).expect("fsync");
}
