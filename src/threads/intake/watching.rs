//! Whether file events can be relied on: what is watched, whether that works, and whether the
//! watched directories stand still.
//!
//! Whoever takes the directories away takes some time for it, and what is made again in the middle
//! of that goes too. So for a while they are looked at, and watched anew, again and again.

use std::time::Instant;

use crossbeam_channel::Receiver;

use super::watcher::{FileEvent, Watcher};
use crate::effects::error::Result;
use crate::pure::attempt::record::Identity;
use crate::threads::shared::context::Context;

pub(super) struct Watching<'c> {
    context: &'c Context,
    watcher: Watcher,
    is_working: bool,
    /// The drop zone and `control/` that are being watched.
    dirs: Option<[Identity; 2]>,
    /// The directories were taken away a moment ago, and whoever does that may go on until this
    /// time.
    unquiet_until: Instant,
}

/// What file events are worth.
pub(super) enum Events {
    AreReliable,
    /// Some may be missing: the directories are to be scanned often.
    MayBeMissing,
}

impl<'c> Watching<'c> {
    pub fn new(context: &'c Context) -> Watching<'c> {
        let watcher = Watcher::new(&context.store);
        Watching { context, watcher, is_working: false, dirs: None, unquiet_until: Instant::now() }
    }

    pub fn events(&self) -> &Receiver<FileEvent> {
        self.watcher.events()
    }

    /// Whether events were lost since the last call.
    pub fn take_overflow(&self) -> bool {
        self.watcher.take_overflow()
    }

    /// Watches anew what was taken away and made again.
    pub fn look(&mut self) -> Result<Events> {
        let store = &self.context.store;
        let dirs = [store.drop_zone_identity()?, store.control_dir_identity()?];
        let now = Instant::now();
        if self.dirs.is_some_and(|watched| watched != dirs) {
            self.unquiet_until = now + 2 * self.context.settings().poll;
        }
        let is_unquiet = now < self.unquiet_until;
        if !self.is_working || is_unquiet || self.dirs.is_none() {
            self.watch();
            self.dirs = Some(dirs);
            self.context.audit.follow();
        }
        Ok(if self.is_working && !is_unquiet { Events::AreReliable } else { Events::MayBeMissing })
    }

    /// Tells once when watching stops working, and once when it works again.
    fn watch(&mut self) {
        let was_working = self.dirs.is_none() || self.is_working;
        let watched = self.watcher.watch();
        self.is_working = watched.is_ok();
        match watched {
            Err(e) if was_working => {
                log::warn!("{e}; looking every {:?} instead", self.context.settings().poll);
            }
            Ok(()) if !was_working => log::info!("watching works again"),
            Ok(()) | Err(_) => {}
        }
    }
}
