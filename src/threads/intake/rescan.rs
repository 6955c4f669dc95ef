//! The rescan looks at everything: at the start, with each beat, and whenever events may be
//! missing. It must be right without any event.
//!
//! A rescan only brings names and requests to where they are dealt with; a file's content is for
//! the turns of the loop that follow. If only the names of files matter, a smaller scan does.

use std::path::Path;
use std::time::Instant;

use super::Intake;
use super::inbox::ScanDepth;
use super::watching::Events;
use crate::effects::error::{Error, Result};
use crate::pure::upkeep::health::Subsystem;

impl Intake<'_> {
    /// Looks at the directories first, then at the watch, then at what is there: in this order
    /// nothing can slip through.
    pub(super) fn rescan(&mut self) {
        let settings = &self.context.settings();
        self.inbox.next_scan = Instant::now() + settings.poll;
        self.halt.begin_pass();
        if !self.context.has_lock() {
            return;
        }
        let user_home = self.context.home.as_deref().map(Path::new);
        let safe = self.context.store.check_above(user_home);
        match safe.and_then(|()| self.context.store.make_directories()) {
            Ok(mended) => {
                for dir in mended {
                    log::warn!("{dir}");
                }
            }
            Err(e) => return self.take_nothing_in(&e),
        }
        let events = match self.watching.look() {
            Ok(events) => events,
            Err(e) => return self.halt.inbox_failed(Subsystem::Inbox, &e),
        };
        match (self.scan(ScanDepth::KnownFilesToo), events) {
            (Ok(()), Events::AreReliable) => {
                self.inbox.next_scan = Instant::now() + settings.heartbeat;
            }
            (Ok(()), Events::MayBeMissing) => {}
            (Err(e), _) => self.halt.inbox_failed(Subsystem::Inbox, &e),
        }
        self.holds.save_if_behind();
        self.look_at_requests();
        self.look_at_parked();
    }

    /// Somebody else may reach our directories, or they cannot be made: nothing in there is
    /// believed until that is over. The next scan finds what has been dropped.
    fn take_nothing_in(&mut self, e: &Error) {
        self.inbox.backlog.clear();
        self.halt.inbox_failed(Subsystem::Inbox, e);
        self.halt.begin(Subsystem::Inbox, &e.to_string());
    }

    fn scan(&mut self, depth: ScanDepth) -> Result<()> {
        self.inbox.scan(depth)?;
        self.ledger.nameless.scanned();
        Ok(())
    }

    /// Reads the names of the drop zone, for claims that lost theirs.
    pub(super) fn look_for_names(&mut self) {
        self.ledger.nameless.begin_scan();
        if let Err(e) = self.scan(ScanDepth::NewNames) {
            self.halt.inbox_failed(Subsystem::Inbox, &e);
        }
    }
}
