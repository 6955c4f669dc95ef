//! The audit log, read from its end: line by line, newest first, through the logs that were put
//! aside, as far as anybody has use for it.
//!
//! A session may write anything into it, so that no line is believed alone, and no more than a few
//! megabytes are read.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::effects::store::Store;
use crate::effects::store::disk::files;

/// How much is read at once.
const CHUNK_BYTES: u64 = 64 * 1024;
/// How much is read in all, in bytes, before the folders are asked instead.
const READ_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// No line of ours is longer; what is longer is passed over.
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// Yields the lines of the audit log, newest first, without their newlines.
pub(super) struct AuditTail {
    /// The logs that are still to be read, the newest last.
    logs: Vec<PathBuf>,
    file: Option<(File, u64)>,
    /// The beginning of the part that was read, without the first line's own beginning.
    held: Vec<u8>,
    read_bytes: u64,
}

impl AuditTail {
    pub fn new(store: &Store) -> AuditTail {
        let log = store.drop_zone().join("audit.jsonl");
        let aside = (1..).map(|number| log.with_extension(format!("jsonl.{number}")));
        let mut logs: Vec<PathBuf> =
            aside.take_while(|path| path.symlink_metadata().is_ok()).collect();
        logs.reverse();
        logs.push(log);
        AuditTail { logs, file: None, held: Vec::new(), read_bytes: 0 }
    }

    /// Puts the part of the log before the one that is held in front of it. False: that was all.
    fn read_more(&mut self) -> bool {
        let Some((file, left)) = &mut self.file else {
            let Some(path) = self.logs.pop() else { return false };
            let file = files::open_plain(&path).ok();
            let bytes = file.as_ref().and_then(|file| Some(file.metadata().ok()?.len()));
            self.file = file.zip(bytes);
            return true;
        };
        let size = CHUNK_BYTES.min(*left);
        if size == 0 || self.read_bytes > READ_BYTES_MAX {
            self.file = None;
            self.logs.truncate(if size == 0 { self.logs.len() } else { 0 });
            return !self.logs.is_empty();
        }
        let mut chunk = vec![0; size as usize];
        *left -= size;
        self.read_bytes += size;
        if file.read_exact_at(&mut chunk, *left).is_err() {
            // It was cut off meanwhile.
            *left = 0;
            return true;
        }
        if self.held.len() <= LINE_BYTES_MAX {
            chunk.append(&mut self.held);
        }
        self.held = chunk;
        true
    }
}

impl Iterator for AuditTail {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        loop {
            while self.held.last() == Some(&b'\n') {
                self.held.pop();
            }
            let start = self.held.iter().rposition(|byte| *byte == b'\n');
            let is_whole = start.is_some() || self.file.as_ref().is_none_or(|(_, left)| *left == 0);
            if is_whole && !self.held.is_empty() {
                let line = self.held.split_off(start.map_or(0, |at| at + 1));
                return Some(String::from_utf8_lossy(&line).into_owned());
            }
            if !self.read_more() {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail_of(name: &str, logs: &[(&str, &[u8])]) -> Vec<String> {
        let home = std::env::temp_dir().join(format!("audit-tail-{name}-{}", std::process::id()));
        let dir = home.join("dispatch");
        std::fs::create_dir_all(&dir).expect("a folder");
        for (name, bytes) in logs {
            std::fs::write(dir.join(name), bytes).expect("a log");
        }
        let lines = AuditTail::new(&Store::new(&home)).collect();
        std::fs::remove_dir_all(&home).expect("removed");
        lines
    }

    #[test]
    fn lines_come_newest_first_through_the_logs_that_were_put_aside() {
        let logs: [(&str, &[u8]); 3] =
            [("audit.jsonl", b"d\ne\n"), ("audit.jsonl.1", b"b\n\nc"), ("audit.jsonl.2", b"a\n")];
        assert_eq!(tail_of("order", &logs), ["e", "d", "c", "b", "a"]);
        assert_eq!(tail_of("none", &[]), Vec::<String>::new());
        assert_eq!(tail_of("torn", &[("audit.jsonl", b"a\nb\nto")]), ["to", "b", "a"]);
    }

    #[test]
    fn lines_that_lie_across_two_parts_are_whole() {
        let lines: Vec<String> = (0..20_000).map(|n| format!("line {n} of the log")).collect();
        let mut found = tail_of("long", &[("audit.jsonl", lines.join("\n").as_bytes())]);
        found.reverse();
        assert_eq!(found, lines);
    }
}
