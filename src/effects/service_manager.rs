//! Tells the service manager that started us how we are, if one did: systemd, or whatever speaks
//! its protocol (sd_notify(3)). Owns the socket; must not decide when something is told.
//!
//! A message is one datagram and never waits: a manager that does not read must not stop the
//! daemon, least of all the thread that proves that it lives.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::clock;
use crate::pure::upkeep::watchdog::{ServiceState, watchdog_period};

/// Nobody, unless the environment names one.
#[derive(Default)]
pub struct ServiceManager {
    line: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
    is_ready: AtomicBool,
}

impl ServiceManager {
    /// `variable` gives a variable of our environment. An address that cannot be used is told, and
    /// then there is nobody to tell.
    pub fn of(variable: impl Fn(&'static str) -> Option<OsString>) -> ServiceManager {
        let Some(name) = variable("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return ServiceManager::default();
        };
        let line = match connect(&name) {
            Ok(line) => line,
            Err(e) => {
                let name = name.to_string_lossy();
                log::warn!("nobody can be told how the daemon is: NOTIFY_SOCKET={name}: {e}");
                return ServiceManager::default();
            }
        };
        let text = |name| variable(name).map(|value| value.to_string_lossy().into_owned());
        let (usec, pid) = (text("WATCHDOG_USEC"), text("WATCHDOG_PID"));
        let watchdog = watchdog_period(usec.as_deref(), pid.as_deref(), std::process::id());
        ServiceManager { line: Some(line), watchdog, is_ready: AtomicBool::new(false) }
    }

    /// How often it wants to hear [`ServiceState::Alive`], if at all.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Intake alone says this: it is the proof that it does not hang.
    pub fn tell_alive(&self) {
        self.tell(ServiceState::Alive);
    }

    fn tell(&self, state: ServiceState) {
        let Some((socket, address)) = &self.line else { return };
        if let Err(e) = socket.send_to_addr(state.message().as_bytes(), address) {
            log::warn!("cannot tell the service manager {}: {e}", state.message());
        }
    }

    /// It takes files, from now on.
    pub fn tell_ready(&self) {
        self.is_ready.store(true, Ordering::Release);
        self.tell(ServiceState::Ready);
    }

    pub fn tell_stopping(&self) {
        self.is_ready.store(false, Ordering::Release);
        self.tell(ServiceState::Stopping);
    }

    /// Tells that the settings are read again, and when that is over. A daemon that is not ready
    /// yet, or no longer, does not say that it is.
    pub fn while_reloading(&self, reload: impl FnOnce()) {
        if self.is_ready.load(Ordering::Acquire) {
            self.tell(ServiceState::Reloading { monotonic_us: clock::monotonic_us() });
        }
        reload();
        if self.is_ready.load(Ordering::Acquire) {
            self.tell(ServiceState::Ready);
        }
    }
}

fn connect(name: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes() {
        [b'@', rest @ ..] => abstract_address(rest)?,
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        _ => return Err(io::Error::other("it begins neither with / nor with @")),
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

/// A name without a file, which only Linux has (unix(7)).
#[cfg(target_os = "linux")]
fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;

    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}
