//! What a project directory may not be, trusted or not: the places from which an agent that may
//! edit files could reach the user's credentials, its own orders or the daemon's state.
//!
//! Every path here is canonical, and compared by component. A directory that others can write to is
//! refused too, unless the operator has named it, since whoever writes there speaks to the agent.

use std::path::{Path, PathBuf};

use crate::pure::text::escape::shell_word;

const ROOT: u32 = 0;
const ALL_WRITE: u32 = 0o002;

/// Where the user and the daemon keep what no dispatch may be put into.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptPlaces {
    /// The user's home directory, if there is one.
    pub home: Option<PathBuf>,
    /// `$GSTACK_HOME`
    pub gstack: PathBuf,
    /// `~/.ssh` and `~/.claude`.
    pub secret: Vec<PathBuf>,
}

/// Whose a directory is, and what others may do there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirOwner {
    pub uid: u32,
    pub mode: u32,
}

/// Why a dispatch may not run in that directory, whoever trusts it.
pub fn misplaced(dir: &Path, kept: &KeptPlaces) -> Option<String> {
    let is = |what: String| Some(format!("project_dir {} {what}", dir.display()));
    // What is no path from the root leads nowhere, and is told so at its turn.
    if !dir.is_absolute() {
        return None;
    }
    if dir.parent().is_none() {
        return is("is the root directory".into());
    }
    if kept.home.as_deref() == Some(dir) {
        return is("is the home directory: name a directory in it".into());
    }
    let shut = [&kept.gstack].into_iter().chain(&kept.secret);
    if let Some(place) = shut.into_iter().find(|place| dir.starts_with(place)) {
        return is(match place.as_path() == dir {
            true => "is no project: no session may work there".into(),
            false => format!("lies in {}, where no session may work", place.display()),
        });
    }
    let inner = kept.home.iter().chain([&kept.gstack]).find(|inner| inner.starts_with(dir));
    is(format!("contains {}, where no session may work", inner?.display()))
}

/// Why a directory that the operator has not named is refused for its owner or its mode. `me` is
/// our own uid.
pub fn exposed(dir: &Path, owner: DirOwner, me: u32) -> Option<String> {
    let (name, word) = (dir.display(), shell_word(&dir.to_string_lossy()));
    let DirOwner { uid, mode } = owner;
    if uid != me && uid != ROOT {
        return Some(format!(
            "project_dir {name} belongs to another user (uid {uid}); if that is right, name it in trusted_projects, \
             or: chown -R {me} {word}"
        ));
    }
    let mode_shown = mode & 0o7777;
    (mode & ALL_WRITE != 0).then(|| {
        format!(
            "project_dir {name} can be written by everybody (mode {mode_shown:04o}): chmod o-w {word}, or name it in \
             trusted_projects"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_session_works_where_it_could_give_itself_orders() {
        let kept = KeptPlaces {
            home: Some("/home/u".into()),
            gstack: "/srv/state/gstack".into(),
            secret: vec!["/home/u/.ssh".into(), "/keys/claude".into()],
        };
        for (dir, says) in [
            ("/", Some("is the root directory")),
            ("/home/u", Some("is the home directory: name a directory in it")),
            ("/home/u/.ssh", Some("is no project: no session may work there")),
            ("/home/u/.ssh/deep/er", Some("lies in /home/u/.ssh, where no session may work")),
            ("/keys/claude", Some("is no project: no session may work there")),
            ("/keys/claude/projects", Some("lies in /keys/claude, where no session may work")),
            ("/srv/state/gstack", Some("is no project: no session may work there")),
            ("/srv/state/gstack/dispatch", Some("lies in /srv/state/gstack, where")),
            ("/home", Some("contains /home/u, where no session may work")),
            ("/srv/state", Some("contains /srv/state/gstack, where no session may work")),
            ("/srv", Some("contains /srv/state/gstack")),
            ("/home/u/git/shop", None),
            ("/home/u/.sshx", None),
            ("/home/user", None),
            ("/srv/state/gstack2", None),
            ("/keys", None),
            ("", None),
            ("home/u", None),
        ] {
            let got = misplaced(Path::new(dir), &kept);
            let want = says.map(|says| format!("project_dir {dir} {says}"));
            assert_eq!(got.is_some(), want.is_some(), "{dir}: {got:?}");
            let starts = got.zip(want).is_none_or(|(got, want)| got.starts_with(&want));
            assert!(starts, "{dir}");
        }
        let nobody = KeptPlaces { home: None, gstack: "/g".into(), secret: Vec::new() };
        assert_eq!(misplaced(Path::new("/home/u"), &nobody), None);
    }

    #[test]
    fn what_others_can_write_is_refused_with_the_line_that_mends_it() {
        const ME: u32 = 1000;
        let dir = Path::new("/srv/a b");
        for (uid, mode, says) in [
            (ME, 0o755, None),
            (ME, 0o775, None),
            (ROOT, 0o755, None),
            (ME, 0o777, Some("(mode 0777): chmod o-w '/srv/a b'")),
            (ME, 0o1777, Some("(mode 1777): chmod o-w '/srv/a b'")),
            (ROOT, 0o1777, Some("(mode 1777)")),
            (1001, 0o700, Some("(uid 1001); if that is right, name it in trusted_projects")),
        ] {
            let got = exposed(dir, DirOwner { uid, mode }, ME);
            assert_eq!(got.is_some(), says.is_some(), "{uid} {mode:o}: {got:?}");
            assert!(got.zip(says).is_none_or(|(got, says)| got.contains(says)), "{uid} {mode:o}");
        }
        assert!(exposed(dir, DirOwner { uid: ME, mode: 0o700 }, ROOT).is_some());
    }
}
