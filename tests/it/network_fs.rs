//! A home on another machine is refused. The file system is a real mount that calls itself sshfs,
//! in a mount namespace of its own, served by a thread of the test: an empty directory and no more.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use crate::util::*;

struct FarDisk(Child);

impl FarDisk {
    fn at(place: &Path) -> Option<FarDisk> {
        let device = File::options().read(true).write(true).open("/dev/fuse").ok()?;
        let options = "fd=0,rootmode=40000,user_id=0,group_id=0";
        let script = format!(
            "mount -i -t fuse.sshfs -o {options} me@far: {} && echo ready && exec sleep 7777",
            place.display()
        );
        let mut unshare = Command::new("unshare");
        let unshare = unshare.args(["-m", "sh", "-c", &script]);
        let unshare = unshare.stdin(device.try_clone().ok()?).stdout(Stdio::piped());
        let mut holder = unshare.stderr(Stdio::null()).spawn().ok()?;
        let mut said = [0; 5];
        let stdout = holder.stdout.as_mut().expect("stdout");
        if stdout.read_exact(&mut said).is_err() {
            holder.wait().expect("wait for unshare");
            return None;
        }
        // It ends with the mount.
        thread::spawn(move || serve(device));
        Some(FarDisk(holder))
    }
}

impl Drop for FarDisk {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

// linux/fuse.h: opcodes, and error numbers as answers carry them.
const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const STATFS: u32 = 17;
const INIT: u32 = 26;
const NO_SUCH_ENTRY: i32 = -2;
const NOT_IMPLEMENTED: i32 = -38;

fn serve(mut device: File) {
    let mut request = vec![0; 256 * 1024];
    while let Ok(length) = device.read(&mut request) {
        let word = |at: usize| u32::from_ne_bytes(request[at..at + 4].try_into().expect("4 bytes"));
        assert!(length >= 40, "a request has a header");
        let (error, body) = match word(4) {
            FORGET => continue,
            // The version, no read-ahead, no flags; then zeros and at most a page in one write.
            INIT => (0, words(&[7, 31, 0, 0, 0, 4096, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
            GETATTR => (0, attributes_of_a_directory()),
            STATFS => (0, vec![0; 80]),
            LOOKUP => (NO_SUCH_ENTRY, Vec::new()),
            _ => (NOT_IMPLEMENTED, Vec::new()),
        };
        let mut answer = words(&[16 + body.len() as u32, error as u32]);
        answer.extend_from_slice(&request[8..16]);
        answer.extend(body);
        if device.write_all(&answer).is_err() {
            return;
        }
    }
}

/// `fuse_attr_out`: how long it holds, inode 1, a directory of root's with two links.
fn attributes_of_a_directory() -> Vec<u8> {
    let mut all = [0; 26];
    (all[4], all[19], all[20]) = (1, 0o040_755, 2);
    words(&all)
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

#[test]
fn a_home_on_a_network_file_system_is_refused_unless_the_operator_wants_it() {
    let lab = Lab::new();
    fs::create_dir(&lab.gstack).expect("a place to mount on");
    let Some(disk) = FarDisk::at(&lab.gstack) else {
        return skipped("no FUSE file system can be mounted here (only root can, with /dev/fuse)");
    };
    let pid = disk.0.id().to_string();
    let start = || lab.daemon().under(&["nsenter", "-m", "-t", &pid]);
    let refused = start().output();
    assert_eq!((refused.code, refused.stderr.lines().count()), (1, 1), "{refused:?}");
    for word in ["(sshfs)", "GSTACK_HOME", "--allow-network-fs", &lab.gstack.to_string_lossy()] {
        assert!(refused.stderr.contains(word), "{word}: {refused:?}");
    }
    let doctor = lab.plain_daemon().under(&["nsenter", "-m", "-t", &pid]).word("doctor").output();
    assert!(doctor.code == 1 && doctor.stdout.contains("fail network_fs "), "{doctor:?}");
    // This one is so empty that nothing can be made there: it gets as far as that.
    let tried = start().word("--allow-network-fs").output();
    assert_eq!(tried.code, 1);
    assert!(tried.stderr.contains("cannot make"), "{tried:?}");
}
