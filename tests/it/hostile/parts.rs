//! What scenes are made of: waiting that gives up quietly, files that are looked at without trust,
//! FIFOs at which sessions stand, and what the daemons said.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::util::*;

/// A report of these tests is a few kB.
const REPORT_BYTES_MAX: u64 = 1 << 20;

pub fn until(deadline: Instant, mut condition: impl FnMut() -> bool) -> bool {
    loop {
        if condition() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        pause_as_a_slow_writer(Duration::from_millis(20));
    }
}

/// What a plain file of sensible size holds; nothing else is opened, for it could be a FIFO.
pub fn plain_file(path: &Path) -> Option<Vec<u8>> {
    let meta = fs::symlink_metadata(path).ok()?;
    (meta.is_file() && meta.len() < REPORT_BYTES_MAX).then(|| fs::read(path).ok())?
}

pub fn marks_of(lab: &Lab, name: &str) -> PathBuf {
    lab.path(&format!("marks-{name}"))
}

pub fn mark(lab: &Lab, name: &str, word: &str) -> String {
    format!("fake: mark {} {word}\n", marks_of(lab, name).display())
}

pub fn blocked(name: &str, lab: &Lab, gate: &Path) -> String {
    format!("{}fake: block {}", mark(lab, name, "start"), gate.display())
}

pub fn lab_gate(lab: &Lab, name: &str) -> PathBuf {
    drop(lab.gate(name));
    lab.path(name)
}

/// Who stands at a FIFO goes on, for it sees the end of what is written. Who is only on its way
/// there does not: again then.
pub fn open_for_a_moment(gate: &Path) {
    // Opened for both it waits for nobody.
    let opened = fs::OpenOptions::new().read(true).write(true).open(gate);
    drop(opened.and_then(|mut gate| gate.flush().map(|()| gate)));
}

/// Folders that can be entered and emptied again.
pub fn thaw(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir()) {
            // What cannot be made so is told by whoever reads in it.
            let _ = fs::set_permissions(&path, fs::Permissions::from_mode(0o700));
            thaw(&path);
        }
    }
}

/// What all daemons of a scene logged, in short.
pub fn logs(lab: &Lab) -> String {
    let mut logs = String::new();
    for n in 1.. {
        let Ok(text) = fs::read_to_string(lab.path(&format!("daemon-{n}.stderr"))) else { break };
        logs += &format!("---------------- daemon {n}\n");
        text.lines().take(400).for_each(|line| logs += &format!("{line}\n"));
    }
    logs
}
