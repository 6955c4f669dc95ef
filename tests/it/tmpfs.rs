//! A small file system of a test's own: a tmpfs in a mount namespace that goes with the process
//! that holds it, so that a test which is killed leaves nothing mounted.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::util::*;

pub struct Tmpfs {
    holder: Child,
}

impl Tmpfs {
    /// `size`: as mount(8) has it. `None`, and SKIPPED, where nothing can be mounted.
    pub fn at(place: &Path, size: &str) -> Option<Tmpfs> {
        let script = format!(
            "mount -t tmpfs -o mode=700,size={size} none {} && echo ready && exec sleep 7777",
            place.display()
        );
        let ways: [&[&str]; 2] = [&["-m"], &["-U", "-r", "-m"]];
        for way in ways {
            let mut unshare = Command::new("unshare");
            let unshare = unshare.args(way).args(["sh", "-c", &script]);
            let spawned =
                unshare.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
            let Ok(mut holder) = spawned else { continue };
            let mut said = [0; 5];
            let stdout = holder.stdout.as_mut().expect("stdout");
            if stdout.read_exact(&mut said).is_ok() {
                return Some(Tmpfs { holder });
            }
            holder.wait().expect("wait for unshare");
        }
        skipped("neither as root nor in a user namespace can a file system be mounted here");
        None
    }

    /// What those who live in that namespace see under this path.
    pub fn seen(&self, path: &Path) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{}", self.holder.id(), path.display()))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
