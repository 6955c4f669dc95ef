//! Stdout, as the commands use it: whole pieces written at once, a reader that goes away noticed,
//! and the size of a terminal.
//!
//! Nothing is buffered, since a buffer that is flushed at the exit cannot say that the disk is
//! full.

use std::io::{self, IsTerminal};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::stdio::stdout;

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

fn wait_for(event: PollFlags, time: Option<&Timespec>) {
    let out = stdout();
    let _ = poll(&mut [PollFd::new(&out, event)], time);
}
