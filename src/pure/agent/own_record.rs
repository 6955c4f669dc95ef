//! What a driver may ask for besides the stream: the agent's own record of a session, and a check
//! of its program.
//!
//! Owns the two forms in which a driver says what it wants. Must not read or run anything: the
//! effects do, with their limits. The stream stays the source of success, since an agent's files
//! are its own affair: a record that cannot be found or read changes nothing.

use std::ffi::OsString;
use std::path::PathBuf;

use super::Summary;

/// The value of a variable in the session's environment.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// A file that the agent keeps of each session, and that says more of its end than its stream.
#[derive(Clone, Copy, Debug)]
pub struct OwnRecord {
    /// Where the record of this session is, by its stream and by the session's environment.
    pub places: fn(&Summary, Environment) -> Option<RecordPlaces>,
    /// Completes the summary of a session that has ended. The text is the end of the record; its
    /// first line may be cut.
    pub read: fn(tail: &[u8], &mut Summary),
}

/// The record is the file in one of these folders whose name ends so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordPlaces {
    pub folders: Vec<PathBuf>,
    pub name_end: String,
}

/// A short command of the agent's program that fails where its sessions cannot work.
#[derive(Clone, Copy, Debug)]
pub struct SelfCheck {
    pub arguments: &'static [&'static str],
    /// What the report of each session says where it failed.
    pub warning: &'static str,
    /// The permission modes that do without what it checks.
    pub unneeded_in: &'static [&'static str],
}
