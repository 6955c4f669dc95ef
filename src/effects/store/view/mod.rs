//! Reads what the commands tell of dispatches, and changes nothing: no folder is made, no file is
//! touched, no lock is kept.
//!
//! The daemon renames while this reads. Claims move from the inbox through `pending/` and `active/`
//! to `finished/` (and from `active/` back to `pending/`), so that folders are read in this order,
//! and what has gone from one is looked for in the next: nothing that stands on disk is missed.

mod audit_tail;
mod details;
mod ended;
mod holder;
mod lookup;
mod names;
mod one;
mod open;
mod rejected;

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};

use super::Store;
use crate::pure::dispatch::{DispatchId, Lane};

pub use details::CallbackFacts;
pub use ended::EndedWalk;
pub use lookup::Lookup;

/// A store as it is looked at by one command.
pub struct View<'s> {
    store: &'s Store,
    /// What `~` stands for in a dispatch.
    home: Option<&'s OsStr>,
    /// A lane costs a few looks at the disk, and many dispatches share one directory.
    lanes: RefCell<HashMap<String, Lane>>,
    /// Files of the inbox whose names are not those of their dispatches.
    inbox_names: RefCell<HashMap<DispatchId, OsString>>,
}

impl Store {
    pub fn view<'s>(&'s self, home: Option<&'s OsStr>) -> View<'s> {
        View { store: self, home, lanes: RefCell::default(), inbox_names: RefCell::default() }
    }
}

impl View<'_> {
    fn home_text(&self) -> Option<&str> {
        self.home.and_then(OsStr::to_str)
    }
}
