//! What an agent keeps of its own: its settings, its login, its sessions. A confined session must
//! be able to write there, or it could not log in again or be resumed.
//!
//! Owns where that is. Must not look at the disk: whoever asks brings the session's environment.

use std::path::PathBuf;

use super::Environment;

/// A folder or a file.
#[derive(Clone, Copy, Debug)]
pub struct OwnState {
    /// A variable that moves it, and what is appended to the value of that.
    pub moved_by: Option<(&'static str, &'static str)>,
    /// Where it is otherwise: below the home directory.
    pub usual: &'static str,
    pub is_folder: bool,
}

impl OwnState {
    /// Where it is, by the session's environment. `None`: nowhere.
    pub fn place(&self, variable: Environment) -> Option<PathBuf> {
        let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let moved = self.moved_by.and_then(|(name, below)| Some((set(name)?, below)));
        let place = match moved {
            Some((place, "")) => place,
            Some((place, below)) => place.join(below),
            None => set("HOME")?.join(self.usual),
        };
        place.is_absolute().then_some(place)
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    #[test]
    fn a_variable_moves_it() {
        let gemini = OwnState { moved_by: Some(("G_HOME", ".g")), usual: ".g", is_folder: true };
        let codex = OwnState { moved_by: Some(("C_HOME", "")), usual: ".c", is_folder: true };
        let cursor = OwnState { moved_by: None, usual: ".config/c", is_folder: true };
        for (set, own, want) in [
            (&[("HOME", "/h")][..], &gemini, Some("/h/.g")),
            (&[("HOME", "/h"), ("G_HOME", "/x")], &gemini, Some("/x/.g")),
            (&[("HOME", "/h"), ("C_HOME", "/x")], &codex, Some("/x")),
            (&[("HOME", "/h"), ("C_HOME", "")], &codex, Some("/h/.c")),
            (&[("HOME", "/h"), ("C_HOME", "x")], &codex, None),
            (&[("HOME", "/h")], &cursor, Some("/h/.config/c")),
            (&[], &cursor, None),
        ] {
            let variable = |name: &str| {
                let found = set.iter().find(|(set, _)| *set == name);
                found.map(|(_, value)| OsString::from(value))
            };
            assert_eq!(own.place(&variable), want.map(PathBuf::from), "{set:?}");
        }
    }
}
