//! A folder for one input, removed on the way out, and what a property asks of the files in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

static NUMBER: AtomicU64 = AtomicU64::new(0);

pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("gstack-dispatchd-fuzz-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a scratch folder");
        Scratch(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// All names below it, sorted, with what the files hold.
    pub fn tree(&self) -> Vec<(PathBuf, Option<Vec<u8>>)> {
        let mut found = Vec::new();
        let mut folders = vec![self.0.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path.clone());
                    found.push((path, None));
                } else {
                    let bytes = fs::read(&path).expect("a file");
                    found.push((path, Some(bytes)));
                }
            }
        }
        found.sort();
        found
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A log with those that were put aside before it, oldest first, as one.
pub fn numbered(log: &Path) -> Vec<u8> {
    let old = |number: u32| fs::read(log.with_extension(format!("jsonl.{number}"))).ok();
    let mut all: Vec<Vec<u8>> = (1..).map_while(old).collect();
    all.reverse();
    all.push(fs::read(log).expect("the log"));
    all.concat()
}
