//! Small files, read whole: JSON, text, digests, and the marks and pids that fake sessions leave.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::waiting::{PATIENCE, wait_for};

pub fn json_file(path: &Path) -> Value {
    let text = fs::read(path).unwrap_or_else(|e| panic!("cannot read {}: {e}", path.display()));
    let shown = String::from_utf8_lossy(&text);
    serde_json::from_str(&shown).unwrap_or_else(|e| panic!("{}: {e}: {shown:?}", path.display()))
}

pub fn text_file(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|e| panic!("cannot read {}: {e}", path.display()))
}

/// The lines "WORD ID PID" that sessions left with `fake: mark`.
pub fn marks(path: &Path) -> Vec<(String, String, i32)> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mark = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let pid = words[2].parse().expect("a pid");
        (words[0].to_string(), words[1].to_string(), pid)
    };
    text.lines().map(mark).collect()
}

/// The ids of the "start" marks, in order, without their `dispatch-`.
pub fn starts(path: &Path) -> Vec<String> {
    let of_start = |m: (String, String, i32)| {
        (m.0 == "start").then(|| m.1.strip_prefix("dispatch-").unwrap_or(&m.1).to_string())
    };
    marks(path).into_iter().filter_map(of_start).collect()
}

/// Waits for the pids that a session wrote into a file, one a line.
pub fn pids_in(path: &Path) -> Vec<i32> {
    wait_for(&format!("pids in {}", path.display()), PATIENCE, || {
        let text = fs::read_to_string(path).ok()?;
        let whole = text.strip_suffix('\n')?;
        whole.lines().map(|line| line.parse().ok()).collect()
    })
}

pub fn sha256(path: &Path) -> String {
    let run = Command::new("sha256sum").arg(path).output().expect("sha256sum");
    String::from_utf8_lossy(&run.stdout).split(' ').next().unwrap_or_default().to_string()
}

/// A secret of callbacks that means nothing.
pub const SECRET: &str = "cbsec_00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Puts a secret where nobody else can read it.
pub fn write_secret(path: &Path, secret: &str) {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder for the secret");
    let mut options = fs::OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path).expect("create a secret");
    std::io::Write::write_all(&mut file, format!("{secret}\n").as_bytes()).expect("write a secret");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("shut a secret");
}
