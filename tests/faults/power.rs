//! The power fails: a file system on a loop device is shut down in the middle of the work
//! (EXT4_IOC_SHUTDOWN without flushing the log), so that all is lost that no fsync had brought to
//! the disk; the machine's processes end with it; then it is mounted again, and a new daemon has to
//! make of it what it can.
//!
//! Needs root and mounts. The dispatches are on the disk before the daemon starts, as a careful
//! sender's are.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

use crate::pool::{self, Random};
use crate::scene::Scene;
use crate::util::*;

const DISK_BYTES: u64 = 24 * 1024 * 1024;
/// xfs makes none that is smaller; what is not written takes no room.
const XFS_BYTES: u64 = 320 * 1024 * 1024;
const DISPATCHES: usize = 4;
/// `_IOR('X', 125, __u32)` with EXT4_GOING_FLAGS_NOLOGFLUSH.
const SHUTDOWN: &str = "import fcntl,os,struct,sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";

/// A mounted image.
struct Disk {
    image: PathBuf,
    place: PathBuf,
    options: &'static str,
}

impl Disk {
    fn mounted(kind: &str, image: PathBuf, place: PathBuf) -> Result<Disk, String> {
        static RELEASED: Once = Once::new();
        RELEASED.call_once(release_mounts_of_dead_runs);
        fs::create_dir_all(&place).map_err(|e| e.to_string())?;
        // Copies of one xfs have one name.
        let options = if kind == "xfs" { "loop,nouuid" } else { "loop" };
        let disk = Disk { image, place, options };
        disk.mount()?;
        Ok(disk)
    }

    fn mount(&self) -> Result<(), String> {
        run("mount", &[&"-o", &self.options, &self.image, &self.place])
    }

    /// All that is not on the disk is gone.
    fn cut(&self) -> Result<(), String> {
        run("python3", &[&"-c", &SHUTDOWN, &self.place])
    }

    fn unmount(&self) {
        wait_until("the disk is free", PATIENCE, || run("umount", &[&self.place]).is_ok());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = run("umount", &[&"-l", &self.place]);
    }
}

/// What a run that was killed left mounted keeps a loop device for ever, and a machine has few.
fn release_mounts_of_dead_runs() {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for place in mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(Path::new) {
        if run_of(place).is_some_and(|run| !alive(run)) {
            // Another run may be at it, too.
            let _ = run("umount", &[&"-l", &place]);
        }
    }
}

fn run(program: &str, words: &[&dyn AsRef<OsStr>]) -> Result<(), String> {
    let mut command = Command::new(program);
    command.args(words.iter().map(|word| word.as_ref())).stdin(Stdio::null());
    let out = command.output().map_err(|e| format!("{program}: {e}"))?;
    let said = String::from_utf8_lossy(&out.stderr);
    let said = said.lines().next().unwrap_or_default();
    if out.status.success() { Ok(()) } else { Err(format!("{program}: {said}")) }
}

/// An empty file system in a file. The error says why this machine cannot do it.
fn new_disk(lab: &Lab, kind: &str) -> Result<PathBuf, String> {
    let image = lab.path("image");
    let (force, bytes) = if kind == "xfs" { ("-f", XFS_BYTES) } else { ("-F", DISK_BYTES) };
    File::create(&image).and_then(|file| file.set_len(bytes)).map_err(|e| e.to_string())?;
    run(&format!("mkfs.{kind}"), &[&"-q", &force, &image])?;
    let disk = Disk::mounted(kind, image.clone(), lab.path("tried"))?;
    disk.cut()?;
    drop(disk);
    run(&format!("mkfs.{kind}"), &[&"-q", &force, &image])?;
    Ok(image)
}

fn cut(kind: &str, image: &Path, after: Duration) -> Vec<String> {
    let lab_for_disk = Lab::new();
    let own = lab_for_disk.path("image");
    run("cp", &[&"--sparse=always", &image, &own]).expect("copy the image");
    let disk = Disk::mounted(kind, own, lab_for_disk.path("disk")).expect("mount");
    let mut scene = Scene::on(&disk.place);
    // The log is not synced line by line: its last moments go with the power.
    scene.forgives = &["no spawned line", "no last line", "no first line"];
    for n in 0..DISPATCHES {
        let orders = if n == 2 { "fake: once result error 529 overloaded" } else { "" };
        scene.drop_durably(&n.to_string(), orders);
    }
    let daemon = scene.daemon().spawn();
    let until = Instant::now() + after;
    wait_until("the moment of the cut", PATIENCE, || Instant::now() >= until);
    scene.look_at_reports();
    disk.cut().expect("cut the power");
    daemon.crash();
    scene.lab.end_leftovers();
    disk.unmount();
    disk.mount().expect("mount it again");
    let found = scene.conclude(&format!("cut after {after:?}"));
    disk.unmount();
    found
}

fn cuts(kind: &str, count: usize) {
    let lab = Lab::new();
    let image = match new_disk(&lab, kind) {
        Ok(image) => image,
        Err(why) => return skipped(&format!("no power cuts on {kind}: {why}")),
    };
    let mut random = Random::new("power cuts");
    let moments: Vec<Duration> =
        (0..count).map(|_| Duration::from_micros(random.below(160_000))).collect();
    let began = Instant::now();
    pool::run(&moments, |after| cut(kind, &image, *after));
    eprintln!(
        "{count} power cuts on {kind}, {DISPATCHES} dispatches each: 0 violations, {:?}",
        began.elapsed()
    );
}

#[test]
fn power_cuts_lose_and_double_nothing() {
    cuts("ext4", 60);
}

#[test]
fn power_cuts_on_xfs_lose_and_double_nothing() {
    cuts("xfs", 20);
}

#[test]
#[ignore = "long: make soak"]
fn soak_power_cuts() {
    cuts("ext4", 2000);
}
