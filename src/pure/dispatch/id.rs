//! The id of a dispatch, by which everything of it is named on disk, in logs and on terminals.
//!
//! An id is checked once, when it is made; whoever has one may build a file name from it.

use std::fmt;

/// Longest id, in characters. Every file name that we build from an id stays far below the 255
/// bytes of NAME_MAX.
pub const ID_CHARS_MAX: usize = 120;

/// An id is `dispatch-` and then only `[A-Za-z0-9._-]`: safe as a file name, in a log line and on a
/// terminal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DispatchId(String);

impl DispatchId {
    pub fn parse(text: &str) -> Option<DispatchId> {
        let rest = text.strip_prefix("dispatch-")?;
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        (text.len() <= ID_CHARS_MAX && rest.chars().all(legal)).then(|| DispatchId(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DispatchId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}
