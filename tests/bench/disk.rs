//! The disk that is measured: ext4 with a journal, as users have it. Where the target's own file
//! system is something else, one is made in a sparse image, on a loop device, for this run alone.
//! Where that cannot be done, the bench measures on what is there and says so. The place that
//! `GSTACK_BENCH_DIR` names is used as it is.
//!
//! A shell that waits on a pipe of ours unmounts the image and removes it. The pipe closes however
//! we end, so that not even SIGKILL leaves a mount behind.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, PipeWriter};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::fs::{major, minor, stat, statvfs};
use rustix::process::geteuid;

const AS_USERS_HAVE_IT: &str = "ext4 with a journal";
/// This has the inodes and the journal of an ordinary disk. Only what is written takes room.
const IMAGE_BYTES: u64 = 32 * GB;
const GB: u64 = 1 << 30;
/// It unmounts lazily: a process that a killed bench left behind must not keep the mount.
const REMOVE: &str = "read -r _; umount -l \"$1\"; rm -f \"$2\"; rmdir \"$1\"";

pub struct Disk {
    /// Where the scratch directory goes.
    pub place: PathBuf,
    /// Only figures of the same kind of disk can be compared.
    pub file_system: String,
    /// On what is no real disk an fsync costs nothing.
    pub is_real: bool,
    /// Why this is not what users have.
    why_not: Option<String>,
    mount: Option<LoopMount>,
}

impl Disk {
    /// A run writes up to `room_gb`.
    pub fn choose(target: &Path, room_gb: u64) -> Disk {
        if let Some(named) = std::env::var_os("GSTACK_BENCH_DIR") {
            return Disk::as_it_is(named.into(), "GSTACK_BENCH_DIR names it");
        }
        let (below, is_real) = file_system_of(target);
        if below == AS_USERS_HAVE_IT {
            return Disk::as_it_is(target.into(), "");
        }
        match LoopMount::make(target, room_gb) {
            Ok(mount) => Disk {
                place: mount.place.clone(),
                file_system: format!("{} on a loop device, in an image on {below}", kind(&mount)),
                is_real,
                why_not: None,
                mount: Some(mount),
            },
            Err(e) => Disk::as_it_is(target.into(), &format!("none could be made: {e}")),
        }
    }

    fn as_it_is(place: PathBuf, why: &str) -> Disk {
        let (file_system, is_real) = file_system_of(&place);
        let why_not = (file_system != AS_USERS_HAVE_IT).then(|| why.to_string());
        Disk { place, file_system, is_real, why_not, mount: None }
    }

    pub fn print(&self) {
        println!("disk        {}: {}", self.place.display(), self.file_system);
        if self.mount.is_some() {
            println!("            made for this run, and removed at its end");
        }
    }

    /// Says what makes these figures others than a user's.
    pub fn warn(&self) {
        if let Some(why) = &self.why_not {
            println!(
                "\n*** NOT {}, BUT {} ({why}) ***",
                AS_USERS_HAVE_IT.to_uppercase(),
                self.file_system
            );
        }
        if !self.is_real {
            println!("\n*** NOT A REAL DISK: fsync costs nothing here; set GSTACK_BENCH_DIR ***");
        }
    }
}

fn kind(mount: &LoopMount) -> String {
    file_system_of(&mount.place).0
}

/// An image that is mounted until this is dropped.
struct LoopMount {
    place: PathBuf,
    line: Option<PipeWriter>,
    remover: Child,
}

impl LoopMount {
    /// The error says why this machine cannot do it.
    fn make(parent: &Path, room_gb: u64) -> Result<LoopMount, String> {
        if !geteuid().is_root() {
            return Err("only root may mount".into());
        }
        let free = statvfs(parent).map_err(|e| format!("{}: {e}", parent.display()))?;
        let free_gb = free.f_bavail * free.f_frsize / GB;
        if free_gb < room_gb {
            return Err(format!(
                "{} has {free_gb} GB left, and {room_gb} are written",
                parent.display()
            ));
        }
        let place = parent.join(format!("bench-disk-{}", std::process::id()));
        let image = place.with_extension("image");
        let made = File::create(&image).and_then(|file| file.set_len(IMAGE_BYTES));
        made.and_then(|()| fs::create_dir(&place))
            .map_err(|e| format!("{}: {e}", place.display()))?;
        let mount = LoopMount::removed_at_the_end(place, &image).map_err(|e| format!("sh: {e}"))?;
        run("mkfs.ext4", &[&"-q", &"-F", &image])?;
        // Else the kernel fills the inode tables while we measure.
        run("mount", &[&"-o", &"loop,noinit_itable", &image, &mount.place])?;
        Ok(mount)
    }

    fn removed_at_the_end(place: PathBuf, image: &Path) -> io::Result<LoopMount> {
        let (waited_on, line) = io::pipe()?;
        let mut command = Command::new("sh");
        command.args(["-c", REMOVE, "sh"]).args([place.as_path(), image]);
        // It has a group of its own: Ctrl-C must not end it.
        command.stdin(waited_on).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let remover = command.spawn()?;
        Ok(LoopMount { place, line: Some(line), remover })
    }
}

impl Drop for LoopMount {
    fn drop(&mut self) {
        self.line.take();
        let _ = self.remover.wait();
    }
}

fn run(program: &str, words: &[&dyn AsRef<OsStr>]) -> Result<(), String> {
    // Not everybody's PATH has these two.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let mut command = Command::new(program);
    command.args(words.iter().map(|word| word.as_ref())).env("PATH", path).stdin(Stdio::null());
    let out = command.output().map_err(|e| format!("{program}: {e}"))?;
    let said = String::from_utf8_lossy(&out.stderr);
    let said = said.lines().next().unwrap_or_default();
    if out.status.success() { Ok(()) } else { Err(format!("{program}: {said}")) }
}

/// Names the file system of a path, and says whether an fsync there reaches a disk.
fn file_system_of(path: &Path) -> (String, bool) {
    let path = path.canonicalize().unwrap_or_else(|_| path.into());
    let kind = kind_of(&path);
    let is_real = !matches!(&*kind, "tmpfs" | "ramfs" | "devtmpfs" | "");
    let name = match (&*kind, has_journal(&path)) {
        ("ext4", true) => AS_USERS_HAVE_IT.to_string(),
        ("ext4", false) => "ext4 WITHOUT A JOURNAL".to_string(),
        ("", _) => "an unknown file system".to_string(),
        _ => kind,
    };
    (name, is_real)
}

/// The last mount with the longest mount point above the path counts.
fn kind_of(path: &Path) -> String {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let (mut longest, mut kind) = (0, "");
    for line in mounts.lines() {
        let mut words = line.split(' ').skip(1);
        let (Some(point), Some(its)) = (words.next(), words.next()) else { continue };
        if path.starts_with(point) && point.len() >= longest {
            (longest, kind) = (point.len(), its);
        }
    }
    kind.to_string()
}

/// The kernel names the journals in use by their device, as in `vda1-8`.
fn has_journal(path: &Path) -> bool {
    let Ok(device) = stat(path).map(|there| there.st_dev) else { return false };
    let link = fs::read_link(format!("/sys/dev/block/{}:{}", major(device), minor(device)));
    let Ok(link) = link else { return false };
    let name = format!("{}-", link.file_name().unwrap_or_default().to_string_lossy());
    let mut journals = fs::read_dir("/proc/fs/jbd2").into_iter().flatten().flatten();
    journals.any(|entry| entry.file_name().to_string_lossy().starts_with(&name))
}
