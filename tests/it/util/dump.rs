//! What explains a failure: the tree of the test's directory, its small files, the daemon's log;
//! printed once for each test.

use std::cell::{Cell, RefCell};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

thread_local! {
    /// The directory of the test that runs on this thread, for the dump.
    pub(super) static LAB: RefCell<Option<PathBuf>> = const { RefCell::new(None) };
    pub(super) static DUMPED: Cell<bool> = const { Cell::new(false) };
}

/// Everything that explains a failure: the tree, the small files, the log. Once a thread.
pub fn dump() {
    if DUMPED.replace(true) {
        return;
    }
    let Some(dir) = LAB.with_borrow(|dir| dir.clone()) else { return };
    eprintln!("================ {}", dir.display());
    let mut files = Vec::new();
    walk(&dir, &mut files);
    for path in &files {
        let Ok(meta) = fs::symlink_metadata(path) else { continue };
        let name = path.strip_prefix(&dir).unwrap_or(path).display();
        eprintln!("{:o} {:>8} {name}", meta.permissions().mode(), meta.len());
    }
    let told = |p: &&PathBuf| {
        let name = p.file_name().unwrap_or_default().to_string_lossy();
        let ours = p.starts_with(dir.join("gstack/dispatchd"));
        name == "audit.jsonl"
            || name == ".daemon-heartbeat"
            || name.ends_with(".stderr")
            || (ours && (name.ends_with(".json") || name == "stderr.log"))
    };
    for path in files.iter().filter(told).filter(|p| p.is_file()) {
        let text = fs::read(path).unwrap_or_default();
        let tail = &text[text.len().saturating_sub(6000)..];
        let name = path.strip_prefix(&dir).unwrap_or(path).display();
        eprintln!("---------------- {name}\n{}", String::from_utf8_lossy(tail).trim_end());
    }
    eprintln!("================");
}

fn walk(dir: &Path, into: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> =
        fs::read_dir(dir).map(|d| d.flatten().map(|e| e.path()).collect()).unwrap_or_default();
    entries.sort();
    for path in entries {
        into.push(path.clone());
        if fs::symlink_metadata(&path).is_ok_and(|m| m.is_dir()) {
            walk(&path, into);
        }
    }
}
