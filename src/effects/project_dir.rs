//! The directory of a project, held: what was judged is what a session enters, whatever happens to
//! its name in between. Also where the places are that no session may work in.
//!
//! Must not decide anything: the gate says what a directory may not be.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::project::{self, Resolver};
use crate::pure::gate::place::{DirOwner, KeptPlaces};

/// How often a directory is looked at again whose name is just being given to another one.
const LOOKS_MAX: u32 = 5;

/// A directory that stays the same as long as this is held.
#[derive(Debug)]
pub struct HeldDir {
    /// Its canonical path when it was opened.
    pub path: PathBuf,
    pub owner: DirOwner,
    file: File,
}

impl HeldDir {
    /// Finds and opens the directory. The error names it.
    pub fn open(dir: &Path) -> Result<HeldDir, String> {
        let name = dir.display();
        for _ in 0..LOOKS_MAX {
            let path = project::resolve(dir)?;
            let file = open(&path).map_err(|e| format!("cannot use project_dir {name}: {e}"))?;
            // A link may have taken the place of one of its parts between the two calls.
            if leads_elsewhere(&file, &path) {
                continue;
            }
            let meta =
                file.metadata().map_err(|e| format!("cannot use project_dir {name}: {e}"))?;
            let owner = DirOwner { uid: meta.uid(), mode: meta.mode() };
            return Ok(HeldDir { path, owner, file });
        }
        Err(format!("project_dir {name} leads elsewhere at each look"))
    }

    /// A path by which a child of ours enters this very directory, before it becomes another
    /// program.
    pub fn entry(&self) -> PathBuf {
        let held = descriptor(&self.file);
        if held.exists() { held } else { self.path.clone() }
    }
}

fn descriptor(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

#[cfg(target_os = "linux")]
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)
}

#[cfg(not(target_os = "linux"))]
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)
}

/// Whether what was opened has another path. Where there is no /proc, nobody can tell.
fn leads_elsewhere(file: &File, path: &Path) -> bool {
    fs::read_link(descriptor(file)).is_ok_and(|real| real != path)
}

/// Whose a directory is that was resolved. `None`: there is none.
pub fn owner_of(dir: &Path) -> Option<DirOwner> {
    let meta = fs::symlink_metadata(dir).ok().filter(fs::Metadata::is_dir)?;
    Some(DirOwner { uid: meta.uid(), mode: meta.mode() })
}

/// Where the places are that no session may work in.
pub fn kept_places(home: Option<&OsStr>, gstack: &Path) -> KeptPlaces {
    let home = home.map(Path::new);
    let mut resolver = Resolver::default();
    let secret = home.into_iter().flat_map(|home| [home.join(".ssh"), home.join(".claude")]);
    KeptPlaces {
        home: home.map(|home| resolver.resolve_nearest(home)),
        gstack: resolver.resolve_nearest(gstack),
        secret: secret.map(|dir| resolver.resolve_nearest(&dir)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Above it stands a directory and a link to another one by turns.
    #[test]
    #[cfg(target_os = "linux")]
    fn what_is_opened_is_what_was_resolved_whatever_happens_in_between() {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        let top = std::env::temp_dir().canonicalize().expect("temporary directory");
        let top = top.join(format!("dispatch-swap-{}", std::process::id()));
        let (above, link) = (top.join("above"), top.join("link"));
        for dir in [&above, &top.join("other")] {
            fs::create_dir_all(dir.join("here")).expect("create");
        }
        std::os::unix::fs::symlink(top.join("other"), &link).expect("symlink");
        let ino = |dir: &Path| fs::metadata(dir).expect("look at it").ino();
        let wanted = ino(&above.join("here"));
        std::thread::scope(|scope| {
            // It ends by itself, also where an assertion below fails.
            let swaps = scope.spawn(|| {
                for _ in 0..200_000 {
                    renameat_with(CWD, &above, CWD, &link, RenameFlags::EXCHANGE).expect("swap");
                }
            });
            while !swaps.is_finished() {
                let Ok(held) = HeldDir::open(&above.join("here")) else { continue };
                let is_first = held.path == above.join("here");
                let opened = held.file.metadata().expect("look at it").ino();
                assert_eq!(is_first, opened == wanted, "{}", held.path.display());
            }
        });
        fs::remove_dir_all(&top).expect("remove it");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_is_held_is_entered_whatever_has_its_name_by_then() {
        let top = std::env::temp_dir().canonicalize().expect("temporary directory");
        let top = top.join(format!("dispatch-held-{}", std::process::id()));
        let (dir, aside) = (top.join("dir"), top.join("aside"));
        fs::create_dir_all(&dir).expect("create");
        let held = HeldDir::open(&dir).expect("a directory");
        assert_eq!((held.path.as_path(), owner_of(&dir)), (dir.as_path(), Some(held.owner)));
        fs::rename(&dir, &aside).expect("rename");
        fs::create_dir(&dir).expect("create");
        assert_eq!(fs::read_link(held.entry()).expect("a link"), aside);
        fs::write(top.join("file"), "").expect("write");
        for nothing in [top.join("missing"), top.join("file")] {
            assert!(HeldDir::open(&nothing).is_err() && owner_of(&nothing).is_none());
        }
        fs::remove_dir_all(&top).expect("remove it");
    }
}
