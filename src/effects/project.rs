//! The project directory that a dispatch names: where it is, and which working tree it belongs to.
//! Must not keep what it found: a link or a directory may be made or changed between two looks.
//! What a project may do is for the settings to say.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use crate::pure::dispatch::Lane;

/// A leading `~/` (or a lone `~`) is the home directory; nothing else is expanded.
pub fn expand(project_dir: &str, home: Option<&OsStr>) -> PathBuf {
    match (project_dir.strip_prefix('~'), home) {
        (Some(""), Some(home)) => PathBuf::from(home),
        (Some(rest), Some(home)) if rest.starts_with('/') => {
            Path::new(home).join(rest.trim_start_matches('/'))
        }
        _ => PathBuf::from(project_dir),
    }
}

/// A directory as somebody types it, named from the root. A leading `~/` stays; links are not
/// followed but where `..` makes it necessary.
pub fn from_root(typed: &str) -> Result<String, String> {
    if typed.starts_with('/') || typed == "~" || typed.starts_with("~/") {
        return Ok(typed.into());
    }
    let named = std::path::absolute(typed).and_then(|path| {
        let goes_up = path.components().any(|part| part == Component::ParentDir);
        if goes_up { path.canonicalize() } else { Ok(path) }
    });
    let named = named.map_err(|e| format!("cannot use {typed}: {e}"))?;
    let text = named.into_os_string().into_string();
    text.map_err(|name| format!("{} is not UTF-8: no dispatch can name it", name.display()))
}

/// Resolves a directory, which must exist and be one. The error names it.
pub fn resolve(dir: &Path) -> Result<PathBuf, String> {
    let name = dir.display();
    if !dir.is_absolute() {
        return Err(format!("project_dir {name} is not absolute"));
    }
    match dir.canonicalize() {
        Ok(resolved) if resolved.is_dir() => Ok(resolved),
        Ok(_) => Err(format!("project_dir {name} is not a directory")),
        Err(e) => Err(format!("cannot use project_dir {name}: {e}")),
    }
}

/// Where a directory is, or would be if it were made now: through the nearest folder above it that
/// exists, below which every name stands as it is written. Two ways to one directory are the same
/// before it exists.
pub fn resolve_nearest(path: &Path) -> PathBuf {
    Resolver::default().resolve_nearest(path)
}

/// Resolves several paths of one moment, each folder above them once: most places that matter here
/// are in the home directory, and they are asked for at each start. Not to be kept, since a link
/// may be changed.
#[derive(Default)]
pub struct Resolver {
    /// What lies in a resolved folder, and where it leads. `None`: nothing is there.
    seen: HashMap<PathBuf, Option<PathBuf>>,
}

impl Resolver {
    /// As [`resolve_nearest`].
    pub fn resolve_nearest(&mut self, path: &Path) -> PathBuf {
        if !path.is_absolute() {
            return path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        }
        let (mut resolved, mut is_there) = (PathBuf::new(), true);
        for part in path.components() {
            match part {
                Component::ParentDir => is_there = resolved.pop() || is_there,
                Component::Normal(name) => {
                    resolved.push(name);
                    match is_there.then(|| self.entry(&resolved)).flatten() {
                        Some(leads_to) => resolved = leads_to,
                        None => is_there = false,
                    }
                }
                Component::RootDir | Component::Prefix(_) => resolved.push(part),
                Component::CurDir => {}
            }
        }
        resolved
    }

    fn entry(&mut self, entry: &Path) -> Option<PathBuf> {
        if let Some(seen) = self.seen.get(entry) {
            return seen.clone();
        }
        let leads_to = match entry.symlink_metadata() {
            Ok(meta) if meta.is_symlink() => entry.canonicalize().ok(),
            Ok(_) => Some(entry.to_path_buf()),
            Err(_) => None,
        };
        self.seen.insert(entry.to_path_buf(), leads_to.clone());
        leads_to
    }
}

/// What a directory that the settings name may be called by whoever works in it: as it is written,
/// and where it leads now. Both count, since a link can be changed between two looks, and then
/// neither form alone would do.
pub fn forms(key: &str, home: Option<&OsStr>) -> [PathBuf; 2] {
    let written = expand(key, home);
    let resolved = resolve_nearest(&written);
    [written, resolved]
}

/// The lane of a directory: two dispatches with the same lane would work in the same tree. That is
/// the tree of the nearest parent with a `.git`, else the directory itself. A directory that does
/// not exist yet stands for where it would be.
pub fn lane(dir: &Path) -> Lane {
    lane_of_resolved(&resolve_nearest(dir))
}

/// The same for a directory that [`resolve`] gave.
pub fn lane_of_resolved(dir: &Path) -> Lane {
    let tree = WorkTree::of(dir).map_or(dir, |tree| tree.root);
    Lane::from(tree.to_string_lossy())
}

/// The working tree that a directory lies in.
pub struct WorkTree<'d> {
    pub root: &'d Path,
    pub dot_git: PathBuf,
    /// The name itself is a directory: a working tree may have a file or a link there.
    pub has_git_dir: bool,
}

impl WorkTree<'_> {
    pub fn of(dir: &Path) -> Option<WorkTree<'_>> {
        dir.ancestors().find_map(|root| {
            let dot_git = root.join(".git");
            let has_git_dir = dot_git.symlink_metadata().ok()?.is_dir();
            // Without a HEAD it is no repository to git either. A sandbox that keeps one from being
            // made puts an empty folder there, in the temporary directory too, and a session that
            // is cut off leaves it.
            let is_empty = has_git_dir && dot_git.join("HEAD").symlink_metadata().is_err();
            (!is_empty).then_some(WorkTree { root, dot_git, has_git_dir })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_leading_tilde_is_expanded() {
        let home = Some(OsStr::new("/home/u"));
        for (text, want) in [
            ("~/git/x", "/home/u/git/x"),
            ("~", "/home/u"),
            ("~//x", "/home/u/x"),
            ("/a/~/b", "/a/~/b"),
            ("~root/x", "~root/x"),
            ("$HOME/x", "$HOME/x"),
        ] {
            assert_eq!(expand(text, home), PathBuf::from(want), "{text}");
        }
        assert_eq!(expand("~/x", None), PathBuf::from("~/x"));
    }

    #[test]
    fn an_empty_git_folder_makes_no_working_tree() {
        let top = std::env::temp_dir().canonicalize().expect("temporary directory");
        let top = top.join(format!("dispatch-tree-{}", std::process::id()));
        let inner = top.join("inner");
        for dir in [top.join(".git"), inner.join(".git")] {
            std::fs::create_dir_all(dir).expect("create");
        }
        let root = || WorkTree::of(&inner).map(|tree| tree.root.to_path_buf());
        assert!(root().is_none_or(|root| !root.starts_with(&top)));
        std::fs::write(top.join(".git/HEAD"), "ref: refs/heads/main\n").expect("write");
        assert_eq!(root(), Some(top.clone()));
        std::fs::remove_dir_all(&top).expect("remove it");
    }

    #[test]
    fn what_is_not_there_is_named_by_where_it_would_be() {
        use std::os::unix::fs::symlink;
        let top = std::env::temp_dir().canonicalize().expect("temporary directory");
        let top = top.join(format!("dispatch-project-{}", std::process::id()));
        std::fs::create_dir_all(top.join("real/deep")).expect("create");
        for (to, name) in [
            ("real", "link"),
            ("missing/x", "dangling"),
            ("link/deep/../new", "winding"),
            ("loop", "loop"),
        ] {
            symlink(to, top.join(name)).expect("symlink");
        }
        symlink(top.join("link"), top.join("absolute")).expect("symlink");
        for (path, want) in [
            ("real", "real"),
            ("link/./deep/", "real/deep"),
            ("link/new/y", "real/new/y"),
            ("absolute/new", "real/new"),
            ("dangling/y", "dangling/y"),
            ("winding/z", "winding/z"),
            ("nothing/../real/a", "real/a"),
            ("link/deep/../../b", "b"),
            ("loop/c", "loop/c"),
        ] {
            assert_eq!(resolve_nearest(&top.join(path)), top.join(want), "{path}");
        }
        assert_eq!(resolve_nearest(Path::new("/../x-y-z")), PathBuf::from("/x-y-z"));
        assert_eq!(resolve_nearest(Path::new("relative/x")), PathBuf::from("relative/x"));
        std::fs::remove_dir_all(&top).expect("remove it");
    }
}
