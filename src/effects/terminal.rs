//! Stdout, as the commands use it: whole pieces written at once, a reader that goes away noticed,
//! and the size of a terminal.
//!
//! Nothing is buffered, since a buffer that is flushed at the exit cannot say that the disk is
//! full.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::stdio::{stderr, stdin, stdout};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::SIGINT;

use crate::pure::command::code::Code;

/// The exit code after Ctrl-C.
const INTERRUPTED: i32 = Code::Interrupted as i32;

/// Columns and rows of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub columns: usize,
    pub rows: usize,
}

/// What is taken for true of a terminal that does not say.
const USUAL: Size = Size { columns: 80, rows: 24 };

pub fn is_stdout_terminal() -> bool {
    io::stdout().is_terminal()
}

/// The size of the terminal at stdout.
pub fn size() -> Size {
    let told = rustix::termios::tcgetwinsize(stdout());
    let told = told.map(|size| Size { columns: size.ws_col.into(), rows: size.ws_row.into() });
    let Size { columns, rows } = told.unwrap_or(USUAL);
    let or_usual = |number, usual| if number == 0 { usual } else { number };
    Size { columns: or_usual(columns, USUAL.columns), rows: or_usual(rows, USUAL.rows) }
}

/// How wide the terminal at stderr is. `None`: it is none.
pub fn stderr_columns() -> Option<usize> {
    let told = io::stderr().is_terminal().then(|| rustix::termios::tcgetwinsize(stderr()));
    let columns = told?.map_or(USUAL.columns, |size| size.ws_col.into());
    Some(if columns == 0 { USUAL.columns } else { columns })
}

/// Writes all of it. An error of the kind `BrokenPipe` says that nobody reads any more.
pub fn write(mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(stdout(), bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            // Somebody else's program may have set that on the open file that we share.
            Err(Errno::AGAIN) => wait_for(PollFlags::OUT, None),
            // The terminal is gone.
            Err(Errno::IO) if is_stdout_terminal() => return Err(io::ErrorKind::BrokenPipe.into()),
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// Whether nobody reads stdout any more, although nothing was written.
pub fn is_reader_gone() -> bool {
    let out = stdout();
    let mut fds = [PollFd::new(&out, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
        && fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
}

/// Ends this program with 130 at Ctrl-C, whatever it waits for. Only for a command that leaves
/// nothing half done.
pub fn end_on_interrupt() {
    let always = Arc::new(AtomicBool::new(true));
    let _ = signal_hook::flag::register_conditional_shutdown(SIGINT, INTERRUPTED, always);
}

/// Sleeps for at most that long. A signal, or a reader that goes away, ends the sleep.
pub fn pause(ms: u64) {
    let time = Timespec { tv_sec: (ms / 1000) as i64, tv_nsec: (ms % 1000 * 1_000_000) as i64 };
    // Nothing is asked for: what went wrong with it is told all the same.
    wait_for(PollFlags::empty(), Some(&time));
}

/// A terminal that shows a picture: it has the alternate screen, no cursor, and what is typed does
/// not appear. What it was before comes back when this is dropped.
pub struct Screen {
    typed: Option<Termios>,
}

impl Screen {
    pub fn enter() -> io::Result<Screen> {
        let before = tcgetattr(stdin()).ok();
        if let Some(mut quiet) = before.clone() {
            quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON);
            let _ = tcsetattr(stdin(), OptionalActions::Now, &quiet);
        }
        // From here on the way back is known.
        let screen = Screen { typed: before };
        write(b"\x1b[?1049h\x1b[?25l")?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = write(b"\x1b[0m\x1b[?25h\x1b[?1049l");
        if let Some(before) = &self.typed {
            let _ = tcsetattr(stdin(), OptionalActions::Flush, before);
        }
    }
}

fn wait_for(event: PollFlags, time: Option<&Timespec>) {
    let out = stdout();
    let _ = poll(&mut [PollFd::new(&out, event)], time);
}
