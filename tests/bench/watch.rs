//! How the bench sees that something happened, without asking again and again: a FIFO into which
//! the agent says that it has started and that it ends, and inotify on the folder in which reports
//! become visible.
//!
//! Both wake the one thread that measures, so that every figure, the floor's too, holds the same
//! few microseconds of it. Every wait has a deadline.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::CStr;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use rustix::io::Errno;

use crate::lab::index_of;

/// What the agent says at its start and at its end (`fixtures/bin-bench/claude`).
pub const STARTED: u8 = b's';
pub const ENDED: u8 = b'e';

/// True as soon as there is something to read, false at the deadline.
fn readable(fd: BorrowedFd, until: Instant) -> bool {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout =
            Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout)) {
            Ok(ready) => return ready > 0,
            Err(Errno::INTR) => {}
            Err(e) => panic!("poll: {e}"),
        }
    }
}

/// The agents' line to us.
pub struct Fifo {
    pub path: PathBuf,
    file: File,
    /// Read, and not asked for yet.
    said: RefCell<VecDeque<(u8, Instant)>>,
}

impl Fifo {
    pub fn make(path: PathBuf) -> Fifo {
        make_fifo(&path);
        // For both directions: no writer waits for a reader, and there is never an end of file.
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(OFlags::NONBLOCK.bits() as i32);
        let file = options.open(&path).expect("open the FIFO");
        Fifo { path, file, said: RefCell::default() }
    }

    /// When the next `what` was said.
    pub fn wait_for(&self, what: u8, patience: Duration) -> Result<Instant, String> {
        let until = Instant::now() + patience;
        loop {
            while let Some((byte, at)) = self.said.borrow_mut().pop_front() {
                if byte == what {
                    return Ok(at);
                }
            }
            if !readable(self.file.as_fd(), until) {
                let what = if what == STARTED { "start" } else { "end" };
                return Err(format!("no {what} of an agent within {patience:?}"));
            }
            self.listen();
        }
    }

    /// Forgets what was said up to now.
    pub fn clear(&self) {
        self.listen();
        self.said.borrow_mut().clear();
    }

    /// Notes what has been said, and when.
    pub fn listen(&self) {
        let mut bytes = [0; 4096];
        loop {
            match (&self.file).read(&mut bytes) {
                Ok(n) => {
                    let now = Instant::now();
                    self.said.borrow_mut().extend(bytes[..n].iter().map(|byte| (*byte, now)));
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(e) => panic!("read the FIFO: {e}"),
            }
        }
    }
}

pub fn make_fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("make a FIFO");
}

/// Files as they appear, whole, in one folder: renamed into it (ours) or closed after writing (the
/// seed's).
pub struct Arrivals {
    inotify: OwnedFd,
    dir: PathBuf,
}

impl Arrivals {
    pub fn watch(dir: &Path) -> Arrivals {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).expect("inotify");
        let appears = WatchFlags::MOVED_TO | WatchFlags::CLOSE_WRITE;
        inotify::add_watch(&inotify, dir, appears).expect("watch a folder");
        Arrivals { inotify, dir: dir.into() }
    }

    /// When a file of this name appeared.
    pub fn wait_for(&self, name: &str, patience: Duration) -> Result<Instant, String> {
        let until = Instant::now() + patience;
        while readable(self.inotify.as_fd(), until) {
            let now = Instant::now();
            let mut is_there = false;
            self.each(&mut |appeared| is_there |= appeared == name);
            if is_there {
                return Ok(now);
            }
        }
        Err(format!("no {name} within {patience:?}"))
    }

    /// Counts in `reports` what has appeared since the last call.
    pub fn count(&self, reports: &mut Reports) {
        let lost = self.each(&mut |name| reports.note(name));
        if lost {
            for entry in fs::read_dir(&self.dir).expect("read the folder").flatten() {
                reports.note(&entry.file_name().to_string_lossy());
            }
        }
    }

    /// True: the kernel had to drop events.
    fn each(&self, see: &mut dyn FnMut(&str)) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 64 * 1024];
        let mut events = inotify::Reader::new(&self.inotify, &mut buffer);
        let mut lost = false;
        loop {
            match events.next() {
                Ok(event) => {
                    lost |= event.events().contains(ReadFlags::QUEUE_OVERFLOW);
                    if let Some(name) = event.file_name().map(CStr::to_string_lossy) {
                        see(&name);
                    }
                }
                Err(Errno::WOULDBLOCK) => return lost,
                Err(Errno::INTR) => {}
                Err(e) => panic!("inotify: {e}"),
            }
        }
    }
}

/// Which of the numbered dispatches have their report.
pub struct Reports {
    seen: Vec<bool>,
    pub count: usize,
}

impl Reports {
    pub fn of(dispatches: usize) -> Reports {
        Reports { seen: vec![false; dispatches], count: 0 }
    }

    fn note(&mut self, name: &str) {
        let seen = name.strip_suffix(".json").and_then(index_of).and_then(|n| self.seen.get_mut(n));
        if let Some(seen) = seen.filter(|seen| !**seen) {
            *seen = true;
            self.count += 1;
        }
    }

    pub fn are_all_there(&self) -> bool {
        self.count == self.seen.len()
    }
}
