//! Of what the kernel tells the one who watches the drop zone. The notify crate (8) asks for everything, our own lines in the
//! audit log and every look at a file included: seven wakes for each dispatch. Its inotify instance is asked again for less,
//! which replaces what it asked for (inotify_add_watch(2)); nothing else about it changes.
//!
//! Notify 9 can be told what to ask for, and this can go. Where it does not work, all events come, and are filtered later.

#[cfg(target_os = "linux")]
pub use linux::Narrow;

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::os::fd::OwnedFd;
    use std::path::Path;

    use rustix::fs::inotify::{WatchFlags, add_watch};
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

    /// The inotify instance of somebody who watches.
    pub struct Narrow(Option<OwnedFd>);

    impl Narrow {
        /// `make` makes the watcher.
        pub fn around<T>(make: impl FnOnce() -> T) -> (T, Narrow) {
            let before = instances();
            let made = make();
            let new = instances().into_iter().find(|fd| !before.contains(fd));
            (made, Narrow(new.and_then(duplicate)))
        }

        /// After each time that it began to watch `dir`: whatever brings a file, or takes the folder away.
        pub fn apply(&self, dir: &Path) {
            let Some(instance) = &self.0 else { return };
            let wanted = WatchFlags::CREATE
                | WatchFlags::CLOSE_WRITE
                | WatchFlags::MOVED_TO
                | WatchFlags::ATTRIB
                | WatchFlags::DELETE_SELF
                | WatchFlags::MOVE_SELF;
            if let Err(e) = add_watch(instance, dir, wanted) {
                log::debug!("cannot watch {} for less: {e}", dir.display());
            }
        }
    }

    fn instances() -> Vec<i32> {
        let is_one = |fd: &i32| {
            let target = fs::read_link(format!("/proc/self/fd/{fd}"));
            target.is_ok_and(|target| target.as_os_str() == "anon_inode:inotify")
        };
        let entries = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
        let fds = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        fds.filter(is_one).collect()
    }

    /// A descriptor of our own for it, closed at exec like the other (pidfd_getfd(2), Linux 5.6). Not under a filter of system
    /// calls, which may end whoever makes an unusual one (systemd's `@system-service` lacks this one).
    fn duplicate(fd: i32) -> Option<OwnedFd> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let filter = status.lines().find_map(|line| line.strip_prefix("Seccomp:"))?;
        if filter.trim() != "0" {
            return None;
        }
        let us = pidfd_open(getpid(), PidfdFlags::empty()).ok()?;
        pidfd_getfd(us, fd, PidfdGetfdFlags::empty()).ok()
    }
}

#[cfg(not(target_os = "linux"))]
pub struct Narrow;

#[cfg(not(target_os = "linux"))]
impl Narrow {
    pub fn around<T>(make: impl FnOnce() -> T) -> (T, Narrow) {
        (make(), Narrow)
    }

    pub fn apply(&self, _dir: &std::path::Path) {}
}
