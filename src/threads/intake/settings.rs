//! What intake keeps of the settings, brought up to date when they are replaced.

use std::time::{Duration, Instant};

use super::{Intake, holds};
use crate::pure::config::Settings;

/// The setting that is in force for what waits.
pub(super) type QueueTimeout = Option<Duration>;

impl Intake<'_> {
    pub(super) fn follow_settings(&mut self) {
        let settings: &Settings = &self.context.settings();
        self.queue.limit_lanes(settings.max_per_project);
        self.holds.limit(holds::limits(settings));
        if self.queue_timeout != settings.queue_timeout {
            self.queue_timeout = settings.queue_timeout;
            self.limit_waits_anew();
        }
        // Its pause, that of cancels and the room on the disk follow with the next scan.
        self.next_scan = Instant::now();
        self.is_news = true;
    }
}
