//! Tells once of what nobody will ever look at: a name in the drop zone that is no dispatch's, or a
//! request that is none.
//!
//! A file under such a name may be on its way to another one (written beside, then renamed), so it
//! is told only when it has been there for a while. Each name is told once in the daemon's life,
//! and only so many names are.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};

use crate::effects::clock;
use crate::effects::store::ignored_in_control;
use crate::threads::shared::context::Context;

/// More names are not told: a folder that is full of other things says enough.
const TOLD_MAX: usize = 1000;

pub(super) struct Ignored<'c> {
    context: &'c Context,
    told: HashSet<OsString>,
}

impl<'c> Ignored<'c> {
    pub fn new(context: &'c Context) -> Ignored<'c> {
        Ignored { context, told: HashSet::new() }
    }

    /// Tells of something in the drop zone that is ignored for ever.
    pub fn tell_file(&mut self, name: OsString, why: &str) {
        if self.is_told(&name) || !self.has_been_there_for_a_while(&name) {
            return;
        }
        self.tell_once(name, why);
    }

    /// Tells of something in `control/`, if it is ignored for ever.
    pub fn tell_request(&mut self, name: &OsStr) {
        if let Some(why) = ignored_in_control(name) {
            // The prefix tells this apart from the same name in the drop zone.
            let mut place = OsString::from("control/");
            place.push(name);
            self.tell_once(place, why);
        }
    }

    pub fn tell_once(&mut self, name: OsString, why: &str) {
        if self.is_told(&name) {
            return;
        }
        log::warn!("{} is ignored: {why}", name.display());
        self.told.insert(name);
        if self.told.len() == TOLD_MAX {
            log::warn!("{TOLD_MAX} names have been ignored: further ones are not told");
        }
    }

    fn is_told(&self, name: &OsStr) -> bool {
        self.told.len() >= TOLD_MAX || self.told.contains(name)
    }

    fn has_been_there_for_a_while(&self, name: &OsStr) -> bool {
        let Ok(Some(stamp)) = self.context.store.stamp_inbox(name) else { return false };
        let age_ms = clock::unix_ms() - stamp.mtime_ns / 1_000_000;
        // A time that has not come yet says nothing.
        age_ms < 0 || age_ms.unsigned_abs() >= self.context.settings().settle.as_millis() as u64
    }
}
