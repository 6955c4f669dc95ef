//! How much of what the kernel gives a user for watching files is used up (inotify(7)).
//!
//! Counts what /proc shows, so that processes that we may not look into are missing. Only Linux
//! has such limits.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::procfs;

/// Of this user, and what the kernel allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InotifyUse {
    pub instances: u64,
    pub instances_max: u64,
    pub watches: u64,
    pub watches_max: u64,
}

/// `None`: this system has no such limits.
pub fn inotify_use() -> Option<InotifyUse> {
    let mut found = InotifyUse {
        instances: 0,
        instances_max: limit("instances")?,
        watches: 0,
        watches_max: limit("watches")?,
    };
    let ours = rustix::process::geteuid().as_raw();
    for pid in procfs::all_pids() {
        let place = Path::new("/proc").join(pid.to_string());
        if !fs::metadata(&place).is_ok_and(|process| process.uid() == ours) {
            continue;
        }
        let Ok(descriptors) = fs::read_dir(place.join("fd")) else { continue };
        for descriptor in descriptors.flatten() {
            let is_inotify = fs::read_link(descriptor.path())
                .is_ok_and(|what| what.as_os_str() == "anon_inode:inotify");
            if is_inotify {
                let info = place.join("fdinfo").join(descriptor.file_name());
                let info = fs::read_to_string(info).unwrap_or_default();
                found.instances += 1;
                found.watches += info.lines().filter(|l| l.starts_with("inotify ")).count() as u64;
            }
        }
    }
    Some(found)
}

/// The lower one of what the kernel gives to a user, and of what this user namespace does.
fn limit(what: &str) -> Option<u64> {
    let files = [
        format!("/proc/sys/fs/inotify/max_user_{what}"),
        format!("/proc/sys/user/max_inotify_{what}"),
    ];
    let numbers =
        files.iter().filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
    numbers.min()
}
