//! The project directory that a dispatch names: where it is, and which working tree it belongs to.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::pure::queue::Lane;

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

/// The directory, resolved, if it exists and is one. The error names it.
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

/// A directory that the settings name, as [`resolve`] would name it. One that is not there stands for itself.
pub fn canonical(dir: &str, home: Option<&OsStr>) -> String {
    let dir = expand(dir, home);
    dir.canonicalize().unwrap_or(dir).to_string_lossy().into_owned()
}

/// Two dispatches with the same lane would work in the same tree: that of the nearest parent with a `.git`, else the
/// directory itself. A directory that does not exist (yet) stands for itself.
pub fn lane(dir: &Path) -> Lane {
    let resolved = dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
    lane_of_resolved(&resolved)
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
    /// Of the name itself: a working tree may have a file or a link there.
    pub has_git_dir: bool,
}

impl WorkTree<'_> {
    pub fn of(dir: &Path) -> Option<WorkTree<'_>> {
        dir.ancestors().find_map(|root| {
            let dot_git = root.join(".git");
            let has_git_dir = dot_git.symlink_metadata().ok()?.is_dir();
            Some(WorkTree { root, dot_git, has_git_dir })
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
}
