//! Writes the daemon's own log to stderr, line by line. The log must never stop the daemon: nobody
//! may be reading that pipe, and a terminal stands still at Ctrl-S or behind a hanging connection.
//!
//! Whoever logs a line writes it at once, so that lines keep their order and a crash loses none. A
//! line that finds no room is dropped and counted, and the count is told with the next line that
//! goes out. (A queue and a thread would keep a few more, and lose the last ones at every exit.)
//! Owns in which form a line is written: the settings say it, and may change while the daemon runs.
//! O_NONBLOCK is not set on stderr itself, since it would hit all who share that open file, such as
//! a shell on its terminal.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::PIPE_BUF;

use super::clock;
use crate::pure::text::log_line::{LogFormat, LogLine};

/// How long a line waits for a reader that is only slow. While lines are being lost, no line waits.
const SLOW_READER: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
const NOT_AT_ALL: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

pub struct Stderr {
    file: File,
    /// Stderr is no plain file, so there may be no room.
    may_block: bool,
    /// Lines lost since the last one that went out.
    lost: u64,
    /// The last line went out in part.
    is_cut: bool,
}

impl Stderr {
    pub fn open() -> io::Result<Stderr> {
        let file = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        let kind = file.metadata()?.file_type();
        let may_open_again = io::stderr().is_terminal() || kind.is_fifo();
        let may_block = !kind.is_file();
        // Not every system can open it again, and we may lack the right to. Looking for room has to
        // do there.
        let file = if may_open_again { open_again().unwrap_or(file) } else { file };
        Ok(Stderr { file, may_block, lost: 0, is_cut: false })
    }

    fn say(&mut self, line: &[u8]) {
        if self.lost > 0 {
            let lost = self.lost;
            let told = log_line(
                "WARN",
                &format!("{lost} lines of the log were lost: stderr took nothing"),
            );
            if !self.put(format!("{told}\n").as_bytes()) {
                self.lost += 1;
                return;
            }
            self.lost = 0;
        }
        if !self.put(line) {
            self.lost += 1;
        }
    }

    /// Writes a line. True: all of it went out.
    fn put(&mut self, line: &[u8]) -> bool {
        let ended = if self.is_cut { [b"\n", line].concat() } else { line.to_vec() };
        let patience = if self.lost > 0 { NOT_AT_ALL } else { SLOW_READER };
        let mut left = ended.as_slice();
        let has_room = || !self.may_block || has_room(self.file.as_fd(), patience);
        while !left.is_empty() && has_room() {
            // A pipe that has room takes this much without waiting.
            match (&self.file).write(&left[..left.len().min(PIPE_BUF)]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Ok(written) if written > 0 => left = &left[written..],
                _ => break,
            }
        }
        self.is_cut = if left.len() == ended.len() { self.is_cut } else { !left.is_empty() };
        left.is_empty()
    }
}

impl Write for Stderr {
    /// Takes a whole line. A line that is lost is no error.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.say(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

static IS_JSON: AtomicBool = AtomicBool::new(false);

/// The form of every line from now on.
pub fn set_format(format: LogFormat) {
    IS_JSON.store(format == LogFormat::Json, Ordering::Relaxed);
}

/// A line of this thread's, without its end. `message` holds no secret.
pub fn log_line(level: &str, message: &str) -> String {
    let thread = std::thread::current();
    let (ts, thread) = (clock::stamp(), thread.name().unwrap_or("?"));
    let format = if IS_JSON.load(Ordering::Relaxed) { LogFormat::Json } else { LogFormat::Text };
    LogLine { ts: &ts, level, thread, message }.format(format)
}

/// Lets a panic end the process without standing still over its message.
pub fn let_no_panic_wait() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if has_room(io::stderr().as_fd(), SLOW_READER) {
            tell(panic);
        }
    }));
}

fn has_room(file: BorrowedFd, patience: Timespec) -> bool {
    loop {
        match poll(&mut [PollFd::from_borrowed_fd(file, PollFlags::OUT)], Some(&patience)) {
            Ok(ready) => return ready > 0,
            Err(Errno::INTR) => {}
            // The write will tell what is wrong.
            Err(_) => return true,
        }
    }
}

/// An open file of our own on the same pipe or terminal. No write to it waits, even if somebody
/// else fills the room that was seen.
#[cfg(target_os = "linux")]
fn open_again() -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;

    use rustix::fs::OFlags;

    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
    File::options().write(true).custom_flags(flags).open("/proc/self/fd/2")
}

#[cfg(not(target_os = "linux"))]
fn open_again() -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}
