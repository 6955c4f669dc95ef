//! What an agent keeps of its own: the record of a session, found by its name and its end read; and
//! its folders, made for it where it could not make them.
//!
//! Must not follow a link, wait, or read much: a session works as our user and can put anything
//! there. What is missing or odd is no error, since the session's stream is enough for an answer.

use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::pure::agent::RecordPlaces;

/// Of a record only this much of its end is read.
const TAIL_BYTES_MAX: u64 = 256 * 1024;
/// Names that are looked at in one folder.
const NAMES_MAX: usize = 50_000;

/// Makes a folder of the agent's own, unless something has that name or there is no place for it.
pub fn make_folder(folder: &Path) {
    // Who cannot have it gets on without it, as with any other disk that is full.
    if let Err(e) = fs::DirBuilder::new().mode(0o700).create(folder)
        && e.kind() != std::io::ErrorKind::AlreadyExists
    {
        log::debug!("cannot make {}: {e}", folder.display());
    }
}

/// The end of the record. `None`: there is none that can be read.
pub fn tail(places: &RecordPlaces) -> Option<Vec<u8>> {
    let path = places.folders.iter().find_map(|folder| find(folder, &places.name_end))?;
    let read = read_tail(&path);
    read.inspect_err(|e| log::debug!("{}: {e}", path.display())).ok()
}

/// Where several files match, the one whose name comes last: it is the newest.
fn find(folder: &Path, name_end: &str) -> Option<PathBuf> {
    let names = fs::read_dir(folder).ok()?.take(NAMES_MAX).flatten();
    let matching = names.map(|entry| entry.file_name());
    let matching = matching.filter(|name| name.as_bytes().ends_with(name_end.as_bytes()));
    matching.max().map(|name| folder.join(name))
}

fn read_tail(path: &Path) -> std::io::Result<Vec<u8>> {
    let careful = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut file = OpenOptions::new().read(true).custom_flags(careful.bits() as i32).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(std::io::Error::other("it is not a plain file"));
    }
    file.seek(SeekFrom::Start(meta.len().saturating_sub(TAIL_BYTES_MAX)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_end_of_a_plain_file_is_read_and_nothing_else() {
        let top = std::env::temp_dir().join(format!("dispatch-record-{}", std::process::id()));
        let (near, far) = (top.join("near"), top.join("far"));
        fs::create_dir_all(&near).expect("create");
        fs::create_dir_all(far.join("dir-d.jsonl")).expect("create");
        fs::write(far.join("x-a.jsonl"), "short").expect("write");
        let long = [vec![b'o'; 10], vec![b'n'; TAIL_BYTES_MAX as usize]].concat();
        fs::write(far.join("x-b.jsonl"), &long).expect("write");
        fs::write(far.join("y-b.jsonl.other"), "no").expect("write");
        symlink(far.join("x-a.jsonl"), far.join("x-c.jsonl")).expect("symlink");
        let folders = vec![top.join("missing"), near, far];
        for (name_end, want) in [
            ("-a.jsonl", Some(b"short".to_vec())),
            ("-b.jsonl", Some(long[10..].to_vec())),
            // A link, a folder, nothing.
            ("-c.jsonl", None),
            ("-d.jsonl", None),
            ("-e.jsonl", None),
        ] {
            let places = RecordPlaces { folders: folders.clone(), name_end: name_end.into() };
            assert!(tail(&places) == want, "{name_end}");
        }
        fs::remove_dir_all(&top).expect("remove it");
    }
}
