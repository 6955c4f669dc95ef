//! The git directories that belong to a working tree: what a session must be able to write in order
//! to commit there.
//!
//! A session can write its tree's `.git`, and so could name any directory there and have it opened
//! to the next session. So one that lies elsewhere counts only if it points back at this very tree,
//! and the repository that it belongs to only if it lies in that repository's own `worktrees`.

use std::path::{Path, PathBuf};

use super::read_line;
use crate::effects::project::WorkTree;

pub fn own_dirs(dir: &Path) -> Vec<PathBuf> {
    let Some(tree) = WorkTree::of(dir) else { return Vec::new() };
    if tree.has_git_dir {
        return vec![tree.dot_git];
    }
    elsewhere(&tree).unwrap_or_default()
}

/// The repository's directory and, in it, the worktree's own: a sandbox may treat them apart.
fn elsewhere(tree: &WorkTree) -> Option<Vec<PathBuf>> {
    let pointer = read_line(&tree.dot_git)?;
    let git_dir = tree.root.join(pointer.strip_prefix("gitdir: ")?).canonicalize().ok()?;
    let back = git_dir.join(read_line(&git_dir.join("gitdir"))?).canonicalize().ok()?;
    if back != tree.dot_git.canonicalize().ok()? {
        return None;
    }
    let worktrees = git_dir.parent().filter(|parent| parent.ends_with("worktrees"));
    let common = worktrees.and_then(Path::parent).map(Path::to_path_buf);
    Some(common.into_iter().chain([git_dir]).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_lies_elsewhere_counts_only_if_it_points_back() {
        let top = std::env::temp_dir().canonicalize().expect("temporary directory");
        let top = top.join(format!("dispatch-git-dirs-{}", std::process::id()));
        let make = |name: &str| fs::create_dir_all(top.join(name)).expect("create");
        let write = |name: &str, text: String| fs::write(top.join(name), text).expect("write");
        for name in ["main/.git/worktrees/w", "main/deep", "w", "stolen", "lone", "odd/g", "none"] {
            make(name);
        }
        let at = |name: &str| top.join(name).display().to_string();
        write("main/.git/HEAD", "ref: refs/heads/main\n".into());
        write("main/.git/worktrees/w/gitdir", format!("{}\n", at("w/.git")));
        write("w/.git", format!("gitdir: {}\n", at("main/.git/worktrees/w")));
        // It names what points at another tree, or does not point at all.
        write("stolen/.git", format!("gitdir: {}\n", at("main/.git/worktrees/w")));
        write("lone/.git", format!("gitdir: {}\n", at("main/.git")));
        symlink(top.join("main/.git"), top.join("none/.git")).expect("symlink");
        // A relative path, and no repository around it.
        write("odd/.git", "gitdir: g\n".into());
        write("odd/g/gitdir", "../.git\n".into());
        for (dir, want) in [
            ("main", &["main/.git"][..]),
            ("main/deep", &["main/.git"]),
            ("w", &["main/.git", "main/.git/worktrees/w"]),
            ("stolen", &[]),
            ("lone", &[]),
            ("none", &[]),
            ("odd", &["odd/g"]),
        ] {
            let want: Vec<PathBuf> = want.iter().map(|dir| top.join(dir)).collect();
            assert_eq!(own_dirs(&top.join(dir)), want, "{dir}");
        }
        fs::remove_dir_all(&top).expect("remove it");
    }
}
