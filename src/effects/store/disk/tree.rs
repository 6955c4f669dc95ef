//! Whole trees of files that a session may have made: removing them, and how much they take up.
//!
//! A session may leave folders nested a hundred thousand deep, shut ones, or more files than can be
//! removed in a moment. So nothing here recurses, or holds one descriptor for each level and takes
//! those that others need: a folder that is not empty is first moved up to the top.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::files::{list, make_dir, open_up, rename_to_free};
use super::identity::is_nothing;
use crate::effects::error::{At, Result};
use crate::effects::failpoint::{self, Effect};

/// What `st_blocks` counts in, whatever the file system's own blocks are (stat(2)).
const BLOCK_BYTES: u64 = 512;

/// Makes an empty folder, whatever a crash left there. Making it comes before looking, since mostly
/// nothing is there.
pub(in crate::effects::store) fn make_dir_anew(path: &Path) -> Result<()> {
    match make_dir(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            remove_tree(path)?;
            make_dir(path)
        }
        made => made,
    }
    .at("make", path)
}

/// How far the removal of a tree came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    Done,
    /// The time was over. What is left can be removed later.
    Begun,
}

/// Removes a folder with all in it. It is no error if the folder is gone already.
pub(in crate::effects::store) fn remove_tree(dir: &Path) -> Result<()> {
    remove_tree_until(dir, None).map(drop)
}

/// Does [`remove_tree`] until that moment.
pub(in crate::effects::store) fn remove_tree_until(
    dir: &Path,
    until: Option<Instant>,
) -> Result<Removal> {
    failpoint::before(Effect::Remove(dir)).at("remove", dir)?;
    let mut flattening = Flattening { top: dir, until, moved: 0 };
    loop {
        match fs::remove_dir(dir) {
            Err(e) if is_nothing(&e) && fs::symlink_metadata(dir).is_err() => {
                return Ok(Removal::Done);
            }
            // A link is no folder, and is not followed.
            Err(e) if e.kind() == io::ErrorKind::NotADirectory && dir.is_symlink() => {
                return fs::remove_file(dir).at("remove", dir).map(|()| Removal::Done);
            }
            Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            removed => return removed.at("remove", dir).map(|()| Removal::Done),
        }
        if flattening.pass()? == Removal::Begun {
            return Ok(Removal::Begun);
        }
    }
}

/// Empties a folder, one level of what lies in it with each pass.
struct Flattening<'t> {
    top: &'t Path,
    until: Option<Instant>,
    /// How many folders were moved up to the top: each gets the next number.
    moved: u64,
}

impl Flattening<'_> {
    fn pass(&mut self) -> Result<Removal> {
        open_up(self.top)?;
        for entry in list(self.top)? {
            if self.until.is_some_and(|until| Instant::now() >= until) {
                return Ok(Removal::Begun);
            }
            let entry = entry.at("read", self.top)?;
            let path = entry.path();
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                unlink(&path)?;
            } else if !is_removed(fs::remove_dir(&path)) {
                self.empty(&path)?;
            }
        }
        Ok(Removal::Done)
    }

    /// Removes what lies in a folder, and moves the folders in it up to the top.
    fn empty(&mut self, folder: &Path) -> Result<()> {
        open_up(folder)?;
        for entry in list(folder)? {
            let entry = entry.at("read", folder)?;
            let path = entry.path();
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                unlink(&path)?;
            } else if !is_removed(fs::remove_dir(&path)) {
                // A folder that is moved must be ours to write, since its `..` changes.
                open_up(&path)?;
                self.move_up(&path)?;
            }
        }
        fs::remove_dir(folder).at("remove", folder)
    }

    fn move_up(&mut self, folder: &Path) -> Result<()> {
        loop {
            let to = self.top.join(format!(".tree-{}", self.moved));
            self.moved += 1;
            match rename_to_free(folder, &to) {
                // Whoever made the tree may have used the name.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                moved => return moved.at("remove", folder),
            }
        }
    }
}

fn is_removed(removed: io::Result<()>) -> bool {
    match removed {
        Ok(()) => true,
        Err(e) => is_nothing(&e),
    }
}

fn unlink(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if is_nothing(&e) => Ok(()),
        removed => removed.at("remove", path),
    }
}

/// How many bytes the files in a tree take up on the disk: no less than those that were looked at
/// until that moment. What cannot be looked at is left out, and no link is followed.
pub(in crate::effects::store) fn bytes_in(dir: &Path, until: Instant) -> u64 {
    let (mut bytes, mut folders) = (0_u64, vec![PathBuf::from(dir)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if Instant::now() >= until {
                return bytes;
            }
            let Ok(found) = entry.metadata() else { continue };
            bytes = bytes.saturating_add(found.blocks().saturating_mul(BLOCK_BYTES));
            if found.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::Duration;

    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let top = std::env::temp_dir().canonicalize().expect("temporary directory");
        let top = top.join(format!("dispatch-tree-{name}-{}", std::process::id()));
        fs::create_dir_all(&top).expect("create");
        top
    }

    /// Nests by moving what there is into a new folder, since no path is as long as this.
    fn nest(top: &Path, depth: usize) {
        fs::create_dir_all(top.join("d")).expect("the innermost");
        for _ in 0..depth {
            fs::create_dir(top.join("new")).expect("a folder");
            fs::rename(top.join("d"), top.join("new/d")).expect("move");
            fs::rename(top.join("new"), top.join("d")).expect("move");
        }
    }

    #[test]
    fn a_tree_that_is_deeper_than_there_are_descriptors_is_removed() {
        let top = scratch("deep");
        nest(&top, 3_000);
        // The name that the removal itself would use is taken.
        fs::create_dir_all(top.join(".tree-0/x/y")).expect("create");
        remove_tree(&top).expect("removed");
        assert!(!top.exists());
    }

    #[test]
    fn shut_folders_go_and_what_links_lead_to_stays() {
        let (top, kept) = (scratch("shut"), scratch("kept"));
        fs::create_dir_all(top.join("a/b/c")).expect("create");
        fs::write(top.join("a/b/c/file"), "x").expect("write");
        fs::write(kept.join("file"), "x").expect("write");
        symlink(&kept, top.join("a/b/link")).expect("symlink");
        symlink(&kept, top.join("link")).expect("symlink");
        for shut in ["a/b/c", "a/b", "a", ""] {
            let path = top.join(shut);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).expect("shut it");
        }
        remove_tree(&top).expect("removed");
        assert!(!top.exists() && kept.join("file").exists());
        let link = kept.join("link");
        symlink(&kept, &link).expect("symlink");
        remove_tree(&link).expect("a link is removed itself");
        assert!(link.symlink_metadata().is_err() && kept.join("file").exists());
        remove_tree(&kept).expect("removed");
        remove_tree(&kept).expect("it is gone already");
    }

    #[test]
    fn a_removal_stops_in_time_and_goes_on_later() {
        let top = scratch("slow");
        fs::create_dir_all(top.join("a/b")).expect("create");
        let begun = remove_tree_until(&top, Some(Instant::now())).expect("begun");
        assert_eq!((begun, top.exists()), (Removal::Begun, true));
        let until = Instant::now() + Duration::from_secs(60);
        let rest = remove_tree_until(&top, Some(until)).expect("removed");
        assert_eq!((rest, top.exists()), (Removal::Done, false));
    }

    #[test]
    fn a_tree_takes_up_what_its_files_do_and_holes_take_up_nothing() {
        let top = scratch("bytes");
        fs::create_dir_all(top.join("a/b")).expect("create");
        fs::write(top.join("a/b/file"), vec![1; 300_000]).expect("write");
        let sparse = fs::File::create(top.join("sparse")).expect("create");
        sparse.set_len(1 << 40).expect("a hole");
        symlink("/", top.join("a/root")).expect("symlink");
        let bytes = bytes_in(&top, Instant::now() + Duration::from_secs(60));
        assert!((300_000..2_000_000).contains(&bytes), "{bytes}");
        assert_eq!(bytes_in(&top, Instant::now()), 0);
        remove_tree(&top).expect("removed");
    }
}
