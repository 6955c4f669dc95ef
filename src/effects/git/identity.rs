//! The identity of the user for an agent whose shell hides it from git, from files alone: no
//! process stands on the way to a session's start.
//!
//! Must not decide what the texts mean: [`crate::pure::agent::git_identity`] does. Where a file of
//! the repository cannot be found nothing is set, since it could say something else.

use std::ffi::OsStr;
use std::path::Path;

use super::{common_dir, git_dir, read_capped};
use crate::effects::project::WorkTree;
use crate::pure::agent::git_identity;

/// The variables for a session in that directory.
pub fn identity_variables(home: Option<&OsStr>, dir: &Path) -> Vec<(&'static str, String)> {
    read(home, dir).unwrap_or_default()
}

fn read(home: Option<&OsStr>, dir: &Path) -> Option<Vec<(&'static str, String)>> {
    let users = read_capped(&Path::new(home?).join(".gitconfig"))?;
    let repositorys = match WorkTree::of(dir) {
        Some(tree) => {
            let git_dir = git_dir(&tree)?;
            let shared = read_capped(&common_dir(&git_dir).join("config"))?;
            let own = read_capped(&git_dir.join("config.worktree")).unwrap_or_default();
            format!("{shared}\n{own}")
        }
        // It may make one.
        None => String::new(),
    };
    Some(git_identity::variables(&users, &repositorys))
}
