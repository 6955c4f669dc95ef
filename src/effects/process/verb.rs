//! The hidden verb of our own binary. Where the daemon has a controlling terminal, a session starts
//! through this verb: the kernel stops whatever reads a terminal in the background, and a session
//! is always in the background. A session that is confined starts through it too: the wall must
//! stand before the agent runs.
//!
//! The verb leaves the daemon's login session (setsid), builds the wall, and waits: the daemon
//! makes the attempt durable meanwhile. Then the session's files come over the verb's stdin, a
//! socket that closes at the exec, and it becomes the agent (exec), under the same pid. If the
//! socket is closed before that, nothing of the agent has run, and nothing will.
//!
//! It is not spawned as the leader of a group, since setsid refuses those; setsid makes it one
//! anyway. Over the socket it says how far it came, so that a failed start is told like one of the
//! daemon's own.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, recvmsg, sendmsg, shutdown,
};

use super::confine::Ruled;
use crate::effects::failpoint::{self, Effect};
use crate::pure::agent::environment::LEADER;
use crate::pure::confine::Confinement;

/// The first argument, before the confinement (which may be empty), the agent's program and its
/// arguments.
pub const SESSION_VERB: &str = "__session";
/// The first argument, before the confinement, a helper's program and its arguments.
pub const CONFINED_VERB: &str = "__confined";
/// The verb says this once it was given its files, when the terminal's signals no longer reach it.
/// An error number may follow.
const DETACHED: u8 = b'd';
/// Or this may follow, and why it cannot be confined, which takes more bytes than a number.
const UNCONFINED: u8 = b'c';
/// The daemon lets the verb go with this, before the paths that it may read, between which stand
/// zeros.
const GO: u8 = b'g';
/// How many files come with it: stdin, stdout, stderr.
const FILES: usize = 3;

/// The program to call instead of the agent's. `None`: the daemon has no terminal that a session
/// could see.
pub(super) fn needed() -> Option<PathBuf> {
    let no_claim = OFlags::NOCTTY.bits() as i32;
    let terminal = File::options().read(true).custom_flags(no_claim).open("/dev/tty");
    terminal.is_ok().then(ourselves).flatten()
}

/// The path to our own binary, in a form that outlasts an upgrade if there is one.
pub(super) fn ourselves() -> Option<PathBuf> {
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() { Some(running) } else { std::env::current_exe().ok() }
}

/// The daemon's end of the socket, which hears whether a start went well.
pub(super) struct Line(UnixStream);

/// A command that runs the verb in place of `program`.
pub(super) fn command(
    ourselves: &Path,
    confinement: &str,
    (program, arguments): (&Path, Vec<OsString>),
) -> io::Result<(Command, Line)> {
    let (ours, its) = UnixStream::pair()?;
    let mut command = Command::new(ourselves);
    command.args([SESSION_VERB, confinement]).arg(program).args(arguments);
    command.stdin(OwnedFd::from(its)).stdout(Stdio::null()).stderr(Stdio::null());
    Ok((command, Line(ours)))
}

impl Line {
    /// Has the verb become the agent, with these files as its standard ones, and waits for that.
    /// `readable`: what it may read from behind its wall besides. The command must be gone, or its
    /// copy of the socket keeps us waiting.
    pub(super) fn let_go(&mut self, files: [File; FILES], readable: &[PathBuf]) -> io::Result<()> {
        failpoint::before(Effect::Spawn)?;
        match self.send(files, readable) {
            // Somebody ended it while it waited, as below.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Err(Errno::AGAIN.into()),
            Err(e) => Err(e),
            Ok(()) => self.wait(),
        }
    }

    /// Our own copies of the files are gone then, or the lock on a stdout would be ours.
    fn send(&self, files: [File; FILES], readable: &[PathBuf]) -> io::Result<()> {
        let paths: Vec<&[u8]> = readable.iter().map(|path| path.as_os_str().as_bytes()).collect();
        let message = [&[GO][..], &paths.join(&0)].concat();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES))];
        let mut with = SendAncillaryBuffer::new(&mut space);
        let descriptors = files.each_ref().map(AsFd::as_fd);
        with.push(SendAncillaryMessage::ScmRights(&descriptors));
        let sent = sendmsg(&self.0, &[IoSlice::new(&message)], &mut with, SendFlags::empty())?;
        (&self.0).write_all(&message[sent..])?;
        Ok(shutdown(&self.0, Shutdown::Write)?)
    }

    /// Waits until the verb has become the agent.
    fn wait(&mut self) -> io::Result<()> {
        let mut said = Vec::new();
        if self.0.read_to_end(&mut said).is_err() {
            said.clear();
        }
        match said.as_slice() {
            [DETACHED] => Ok(()),
            [DETACHED, UNCONFINED, why @ ..] if why.len() > 3 => {
                Err(io::Error::other(String::from_utf8_lossy(why)))
            }
            &[DETACHED, a, b, c, d] => {
                Err(io::Error::from_raw_os_error(i32::from_le_bytes([a, b, c, d])))
            }
            // A Ctrl-C at that moment ended it, or somebody else did: it can be tried again.
            _ => Err(Errno::AGAIN.into()),
        }
    }
}

/// The confinement as an argument.
pub(super) fn written(confinement: Option<&Confinement>) -> io::Result<String> {
    let written = confinement.map(serde_json::to_string).transpose();
    Ok(written
        .map_err(|e| io::Error::other(format!("cannot be confined: {e}")))?
        .unwrap_or_default())
}

/// The wall that an argument tells of. `None`: there is to be none.
fn ruled(written: Option<OsString>) -> Result<Option<Ruled>, String> {
    let written = written.unwrap_or_default();
    if written.is_empty() {
        return Ok(None);
    }
    let confinement = serde_json::from_slice(written.as_bytes()).map_err(|e| e.to_string())?;
    Ruled::new(&confinement).map(Some)
}

fn enter(ruled: Result<Option<Ruled>, String>, readable: &[PathBuf]) -> Result<(), String> {
    ruled?.map_or(Ok(()), |ruled| ruled.enter(readable))
}

/// The other verb: becomes a program behind a wall. It returns only if it could not, and then
/// returns why.
pub fn become_confined(mut arguments: impl Iterator<Item = OsString>) -> io::Error {
    if let Err(e) = enter(ruled(arguments.next()), &[]) {
        return io::Error::other(e);
    }
    let Some(program) = arguments.next() else { return io::ErrorKind::InvalidInput.into() };
    Command::new(program).args(arguments).exec()
}

/// The verb itself. It returns only if it could not become the program that the arguments name, and
/// then returns why.
pub fn become_session(mut arguments: impl Iterator<Item = OsString>) -> io::Error {
    let confinement = arguments.next();
    let Some(program) = arguments.next() else { return io::ErrorKind::InvalidInput.into() };
    let mut line = match rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3) {
        Ok(line) => UnixStream::from(line),
        Err(e) => return e.into(),
    };
    // What goes wrong before the daemon lets the verb go is told after that.
    let detached = rustix::process::setsid();
    let ruled = ruled(confinement);
    let readable = match wait_for_files(&mut line) {
        Ok(readable) => readable,
        Err(e) => return e,
    };
    // If the daemon is gone, the next one looks after the session.
    let _ = line.write_all(&[DETACHED]);
    if let Err(e) = enter(ruled, &readable) {
        let why = format!("cannot be confined: {e}");
        let _ = line.write_all(&[&[UNCONFINED], why.as_bytes()].concat());
        return io::Error::other(why);
    }
    let failed = match detached {
        Ok(_) => {
            Command::new(program).args(arguments).env(LEADER, std::process::id().to_string()).exec()
        }
        Err(e) => e.into(),
    };
    let number = failed.raw_os_error().unwrap_or(Errno::INVAL.raw_os_error());
    let _ = line.write_all(&number.to_le_bytes());
    failed
}

/// Waits until the daemon lets the verb go, puts the files that come then in the place of the
/// standard ones, and returns what may be read besides. An error if the daemon does not want the
/// session any more, or is gone.
fn wait_for_files(line: &mut UnixStream) -> io::Result<Vec<PathBuf>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES))];
    let mut with = RecvAncillaryBuffer::new(&mut space);
    let mut go = [0];
    recvmsg(&*line, &mut [IoSliceMut::new(&mut go)], &mut with, RecvFlags::empty())?;
    let files = with.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(files) => Some(files.collect::<Vec<OwnedFd>>()),
        _ => None,
    });
    let Some([stdin, stdout, stderr]) = files.as_deref() else {
        return Err(Errno::BADMSG.into());
    };
    let mut paths = Vec::new();
    line.read_to_end(&mut paths)?;
    rustix::stdio::dup2_stdin(stdin)?;
    rustix::stdio::dup2_stdout(stdout)?;
    rustix::stdio::dup2_stderr(stderr)?;
    let paths = paths.split(|byte| *byte == 0).filter(|path| !path.is_empty());
    Ok(paths.map(|path| OsStr::from_bytes(path).into()).collect())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use rustix::net::recv;

    use super::*;

    fn let_go(mut line: Line) -> Option<i32> {
        let files = [(); FILES].map(|()| File::open("/dev/null").expect("open"));
        line.let_go(files, &[]).expect_err("nobody is there").raw_os_error()
    }

    #[test]
    fn a_verb_that_somebody_ended_can_be_started_again() {
        let again = Some(Errno::AGAIN.raw_os_error());
        let (ours, its) = UnixStream::pair().expect("a socket");
        drop(its);
        assert_eq!(let_go(Line(ours)), again);
        // What it was given was not taken.
        let (ours, its) = UnixStream::pair().expect("a socket");
        let end = thread::spawn(move || recv(&its, &mut [0; 1], RecvFlags::PEEK).map(drop));
        assert_eq!(let_go(Line(ours)), again);
        end.join().expect("the thread").expect("receive");
    }
}
