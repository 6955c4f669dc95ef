//! Holds, as intake keeps them: learnt from what attempts say, saved before anything else may
//! start, told to people.
//!
//! Decides nothing: [`crate::pure::hold`] does. A hold that could not be saved is in force all the
//! same, and is saved with the next beat.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Intake;
use crate::effects::{clock, random};
use crate::pure::config::Settings;
use crate::pure::hold::{Change, Hold, Holds, Limits, Notice};
use crate::pure::time::rfc3339;
use crate::threads::Context;

/// What an earlier daemon left, and when it was written.
pub(super) fn restore(context: &Context) -> (Holds, i64) {
    let saved = context.store.read_holds();
    let as_of_ms = saved.as_of_ms;
    let holds = Holds::restore(
        limits(&context.settings()),
        saved,
        context.drivers.names(),
        clock::unix_ms(),
    );
    for hold in holds.list() {
        log::warn!("{}", in_words(hold));
    }
    (holds, as_of_ms)
}

pub(super) fn limits(settings: &Settings) -> Limits {
    let ms = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    Limits { max_ms: ms(settings.hold_max), probe_ms: ms(settings.probe) }
}

fn in_words(hold: &Hold) -> String {
    let project = hold.project.as_ref().map(|project| format!(" in {}", project.dir));
    let (agent, project) = (&hold.agent, project.unwrap_or_default());
    let until = rfc3339(hold.until_ms);
    format!("{agent} is held{project} until {until}: {} (control/release ends it)", hold.reason)
}

impl Intake<'_> {
    /// Attempts that ended before this start: what they said counts, unless it was saved.
    pub fn recall_notices(&mut self, notices: Vec<(i64, Notice)>) {
        for (ended_at_ms, notice) in notices {
            if ended_at_ms > self.holds_as_of_ms {
                self.learn(&notice);
            }
        }
    }

    pub(super) fn learn(&mut self, notice: &Notice) {
        let jitter_max_ms = self.context.settings().hold_jitter.as_millis();
        let random = u128::from_le_bytes(random::bytes());
        let jitter_ms = (random % (jitter_max_ms + 1)) as i64;
        let changes = self.holds.learn(notice, clock::unix_ms(), jitter_ms);
        self.holds_changed(changes);
    }

    /// A control file asks for it; it goes last, so that a crash in between repeats it.
    pub(super) fn release(&mut self, agent: Option<&str>) {
        let changes = self.holds.release(agent);
        self.holds_changed(changes);
        if self.holds_are_saved
            && let Err(e) = self.context.store.remove_release(agent)
        {
            log::error!("{e}");
        }
    }

    /// Ends what no probe would end.
    pub(super) fn expire_holds(&mut self) {
        if self.holds.is_empty() {
            return;
        }
        let queue = &self.queue;
        let changes = self.holds.expire(clock::unix_ms(), |hold| queue.held_by(hold));
        self.holds_changed(changes);
    }

    /// When the first hold opens that somebody waits for.
    pub(super) fn holds_due(&self) -> Option<Instant> {
        if self.holds.is_empty() || self.queue.is_empty() {
            return None;
        }
        let wake_ms = self.holds.next_wake_ms(clock::unix_ms())?;
        Instant::now().checked_add(Duration::from_millis(wake_ms.max(0) as u64))
    }

    fn holds_changed(&mut self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        self.is_news = true;
        self.save_holds();
        for change in changes {
            match change {
                Change::Started(hold) => self.tell_of_hold("hold_started", &hold),
                Change::Prolonged(hold) => self.tell_of_hold("hold_prolonged", &hold),
                Change::Ended(hold, why) => {
                    let agent = &hold.agent;
                    log::info!("{agent} is not held any more ({}: {})", why.name(), hold.reason);
                    self.audit_hold("hold_ended", &hold, vec![("why", json!(why.name()))]);
                }
            }
        }
    }

    fn tell_of_hold(&self, event: &str, hold: &Hold) {
        log::warn!("{}", in_words(hold));
        let until = json!(rfc3339(hold.until_ms));
        self.audit_hold(event, hold, vec![("until", until), ("reason", json!(hold.reason))]);
    }

    fn audit_hold(&self, event: &str, hold: &Hold, more: Vec<(&str, Value)>) {
        let mut details = vec![("agent", json!(hold.agent)), ("kind", json!(hold.kind))];
        if let Some(project) = &hold.project {
            details.push(("project", json!(project.name)));
            details.push(("project_dir", json!(project.dir)));
        }
        details.extend(more);
        self.context.audit.record(event, "", &details);
    }

    pub(super) fn save_holds(&mut self) {
        // The holder keeps its own.
        if self.context.level.is_lost() {
            return;
        }
        let saved = self.holds.save(clock::unix_ms());
        let written = self.context.store.write_holds(&saved);
        self.holds_are_saved = written.is_ok();
        if let Err(e) = written {
            log::error!("{e}; a crash now would forget who is held");
        }
    }
}
