//! The look at everything: at the start, with each beat, and whenever events may be missing. It
//! must be right without any event.
//!
//! Whoever takes the directories away takes some time for it, and what is made again in the middle
//! of that goes too: for a while they are looked at, and watched anew, again and again.

use std::time::Instant;

use super::Intake;
use super::inbox::Look;
use crate::effects::error::Result;
use crate::pure::trouble::Place;

impl Intake<'_> {
    /// Looks at everything: directories first, then the watch, then what is there. In this order
    /// nothing can slip through.
    pub(super) fn rescan(&mut self) {
        let settings = &self.context.settings();
        self.next_scan = Instant::now() + settings.poll;
        self.begin_pass();
        if !self.context.has_lock() {
            return;
        }
        match self.context.store.make_directories() {
            Ok(mended) => {
                for dir in mended {
                    log::warn!("{dir}");
                }
            }
            Err(e) => return self.inbox_failed(Place::Inbox, &e),
        }
        let is_unquiet = match self.look_at_watched() {
            Ok(is_unquiet) => is_unquiet,
            Err(e) => return self.inbox_failed(Place::Inbox, &e),
        };
        match self.scan(Look::Closely) {
            Ok(()) if self.is_watching && !is_unquiet => {
                self.next_scan = Instant::now() + settings.heartbeat
            }
            Ok(()) => {}
            Err(e) => self.inbox_failed(Place::Inbox, &e),
        }
        if !self.holds_are_saved {
            self.save_holds();
        }
        self.look_at_requests();
        self.look_at_parked();
    }

    /// Said once when it stops to work, and once when it works again.
    fn watch(&mut self) {
        let was_watching = self.watched.is_none() || self.is_watching;
        let watched = self.watcher.watch();
        self.is_watching = watched.is_ok();
        match watched {
            Err(e) if was_watching => {
                log::warn!("{e}; looking every {:?} instead", self.context.settings().poll);
            }
            Ok(()) if !was_watching => log::info!("watching works again"),
            Ok(()) | Err(_) => {}
        }
    }

    /// Watches anew what was taken away and made again. True: that was a moment ago, and whoever
    /// did it may not be through.
    fn look_at_watched(&mut self) -> Result<bool> {
        let store = &self.context.store;
        let dirs = [store.drop_zone_identity()?, store.control_dir_identity()?];
        let now = Instant::now();
        if self.watched.is_some_and(|watched| watched != dirs) {
            self.unquiet_until = now + 2 * self.context.settings().poll;
        }
        let is_unquiet = now < self.unquiet_until;
        if !self.is_watching || is_unquiet || self.watched.is_none() {
            self.watch();
            self.watched = Some(dirs);
            self.context.audit.follow();
        }
        Ok(is_unquiet)
    }
}
