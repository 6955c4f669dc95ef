//! The hidden verb of our own binary. Where the daemon has a controlling terminal, a session starts
//! through this verb: the kernel stops whatever reads a terminal in the background, and a session
//! is always in the background.
//!
//! A session that is confined starts through it too: the wall must stand before the agent runs.
//!
//! The verb leaves the daemon's login session (setsid) and becomes the agent (exec), under the same
//! pid. It is not spawned as the leader of a group, since setsid refuses those; setsid makes it one
//! anyway. Over its stdin, a socket that closes at the exec, it says whether it came so far, so
//! that a failed start is told like one of the daemon's own. The agent's stdin comes over the same
//! socket: only three descriptors can be handed on without `unsafe`.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::confine::restrict;
use crate::pure::agent::environment::LEADER;
use crate::pure::confine::Confinement;

/// The first argument, before the confinement (which may be empty), the agent's program and its
/// arguments.
pub const SESSION_VERB: &str = "__session";
/// The first argument, before the confinement, a helper's program and its arguments.
pub const CONFINED_VERB: &str = "__confined";
/// The verb says this once the terminal's signals no longer reach it. An error number may follow.
const DETACHED: u8 = b'd';
/// Or this may follow, and why it cannot be confined, which takes more bytes than a number.
const UNCONFINED: u8 = b'c';

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

/// A command that runs the verb in place of `program`, with `stdin` on its way to the verb.
pub(super) fn command(
    ourselves: &Path,
    confinement: &str,
    (program, arguments): (&Path, Vec<OsString>),
    stdin: &File,
) -> io::Result<(Command, Line)> {
    let (ours, its) = UnixStream::pair()?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut with = SendAncillaryBuffer::new(&mut space);
    let files = [stdin.as_fd()];
    with.push(SendAncillaryMessage::ScmRights(&files));
    sendmsg(&ours, &[IoSlice::new(&[0])], &mut with, SendFlags::empty())?;
    let mut command = Command::new(ourselves);
    command.args([SESSION_VERB, confinement]).arg(program).args(arguments);
    command.stdin(OwnedFd::from(its));
    Ok((command, Line(ours)))
}

impl Line {
    /// Waits until the verb has become the agent. The command must be gone, or its copy of the
    /// socket keeps us waiting.
    pub(super) fn wait(mut self) -> io::Result<()> {
        let mut said = Vec::new();
        self.0.read_to_end(&mut said)?;
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

fn confine(written: Option<OsString>) -> Result<(), String> {
    let written = written.unwrap_or_default();
    if written.is_empty() {
        return Ok(());
    }
    let confinement = serde_json::from_slice(written.as_bytes()).map_err(|e| e.to_string())?;
    restrict(&confinement)
}

/// The other verb: becomes a program behind a wall. It returns only if it could not, and then
/// returns why.
pub fn become_confined(mut arguments: impl Iterator<Item = OsString>) -> io::Error {
    if let Err(e) = confine(arguments.next()) {
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
    let mut line = match take_stdin() {
        Ok(line) => line,
        Err(e) => return e,
    };
    let detached = rustix::process::setsid();
    // If the daemon is gone, the next one looks after the session.
    let _ = line.write_all(&[DETACHED]);
    if let Err(e) = confine(confinement) {
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

/// Receives the agent's stdin over the socket, and puts it in the socket's place.
fn take_stdin() -> io::Result<UnixStream> {
    let line = rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut with = RecvAncillaryBuffer::new(&mut space);
    recvmsg(&line, &mut [IoSliceMut::new(&mut [0])], &mut with, RecvFlags::empty())?;
    let stdin = with.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    rustix::stdio::dup2_stdin(stdin.ok_or(Errno::BADMSG)?)?;
    Ok(UnixStream::from(line))
}
