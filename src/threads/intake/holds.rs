//! The keeper of holds: learns them from what attempts say, saves them before anything else may
//! start, and tells people.
//!
//! The keeper decides nothing: [`crate::pure::schedule::hold`] does. A hold that could not be saved
//! is in force all the same, and is saved with the next beat.

use std::time::{Duration, Instant};

use crate::effects::store::Claim;
use crate::effects::{clock, random};
use crate::pure::audit_event::AuditEvent;
use crate::pure::config::Settings;
use crate::pure::dispatch::{Agent, DispatchId, Lane};
use crate::pure::schedule::hold::{self, Hold, HoldChange, Holds, Notice};
use crate::pure::schedule::queue::Queue;
use crate::pure::text::time::rfc3339;
use crate::threads::shared::context::Context;

pub(super) struct HoldKeeper<'c> {
    context: &'c Context,
    /// Which agent waits until when.
    holds: Holds,
    /// When the holds that were found at the start had been written.
    as_of_ms: i64,
    are_saved: bool,
    /// The board is behind.
    is_news: bool,
    /// What had been noted of costs when the budgets were counted last.
    counted_news: Option<u64>,
}

impl<'c> HoldKeeper<'c> {
    /// Begins with what an earlier daemon left.
    pub fn restore(context: &'c Context) -> HoldKeeper<'c> {
        let saved = context.store.read_holds();
        let as_of_ms = saved.as_of_ms;
        let limits = limits(&context.settings());
        let agents = context.agents();
        let holds = Holds::restore(limits, saved, agents.drivers.names(), clock::unix_ms());
        for hold in holds.list() {
            log::warn!("{}", in_words(hold));
        }
        let mut keeper = HoldKeeper {
            context,
            holds,
            as_of_ms,
            are_saved: true,
            is_news: true,
            counted_news: None,
        };
        context.follow_budget_settings();
        keeper.follow_budgets();
        keeper
    }

    /// The holds that the queue goes by.
    pub fn in_force(&self) -> &Holds {
        &self.holds
    }

    /// The holds for the board, with how many dispatches wait for each.
    pub fn list(&self, queue: &Queue<Claim>) -> Vec<(Hold, usize)> {
        self.holds.list().iter().map(|hold| (hold.clone(), queue.held_by(hold))).collect()
    }

    /// Whether holds have changed since the last call, so that the board is behind.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.is_news)
    }

    pub fn follow_settings(&mut self) {
        self.holds.limit(limits(&self.context.settings()));
        self.context.follow_budget_settings();
        self.counted_news = None;
        self.follow_budgets();
    }

    /// Counts the budgets again if something was spent, or enough has left the window.
    fn follow_budgets(&mut self) {
        let (news, now_ms) = (self.context.spending.news(), clock::unix_ms());
        let is_due = self.holds.next_count_ms().is_some_and(|due_ms| due_ms <= now_ms);
        if self.counted_news == Some(news) && !is_due {
            return;
        }
        self.counted_news = Some(news);
        let changes = self.holds.follow_budgets(self.context.used_up(), now_ms);
        self.changed(changes);
    }

    /// Learns what attempts that ended before this start said, unless it was saved.
    pub fn learn_earlier(&mut self, notices: Vec<(i64, Notice)>) {
        for (ended_at_ms, notice) in notices {
            if ended_at_ms > self.as_of_ms {
                self.learn(&notice);
            }
        }
    }

    pub fn learn(&mut self, notice: &Notice) {
        let jitter_max_ms = self.context.settings().hold_jitter.as_millis();
        let random = u128::from_le_bytes(random::bytes());
        let jitter_ms = (random % (jitter_max_ms + 1)) as i64;
        let changes = self.holds.learn(notice, clock::unix_ms(), jitter_ms);
        self.changed(changes);
    }

    /// Notes the start of a dispatch that the holds admit. True if it starts as a probe.
    pub fn let_through(&mut self, id: &DispatchId, agent: Agent, lane: &Lane) -> bool {
        let is_probe = self.holds.let_through(id, agent, lane, clock::unix_ms());
        if is_probe {
            log::info!("{id} is let through, to see whether {agent} works again");
            self.save();
        }
        is_probe
    }

    /// Nobody works on this dispatch any more: if it was a probe, it told nothing.
    pub fn forget_probe(&mut self, id: &DispatchId) {
        self.holds.gone(id);
    }

    /// A control file asks for the end of holds. That file goes last, so that a crash in between
    /// repeats it.
    pub fn release(&mut self, agent: Option<&str>) {
        let changes = self.holds.release(agent);
        self.changed(changes);
        if self.are_saved
            && let Err(e) = self.context.store.remove_release(agent)
        {
            log::error!("{e}");
        }
    }

    /// Ends the holds that no probe would end, and finds the budgets that are used up by now.
    pub fn expire(&mut self, queue: &Queue<Claim>) {
        self.follow_budgets();
        if self.holds.is_empty() {
            return;
        }
        let changes = self.holds.expire(clock::unix_ms(), |hold| queue.held_by(hold));
        self.changed(changes);
    }

    /// When the first hold that somebody waits for opens, or a budget is to be counted again.
    pub fn next_due(&self, queue: &Queue<Claim>) -> Option<Instant> {
        if self.holds.is_empty() {
            return None;
        }
        let now_ms = clock::unix_ms();
        let budget_ms = self.holds.next_count_ms().map(|due_ms| due_ms - now_ms);
        let opens_ms = self.holds.next_wake_ms(now_ms).filter(|_| !queue.is_empty());
        let wake_ms = [budget_ms, opens_ms].into_iter().flatten().min()?;
        Instant::now().checked_add(Duration::from_millis(wake_ms.max(0) as u64))
    }

    fn changed(&mut self, changes: Vec<HoldChange>) {
        if changes.is_empty() {
            return;
        }
        self.is_news = true;
        self.save();
        for change in changes {
            match &change {
                HoldChange::Started(hold) | HoldChange::Prolonged(hold) => {
                    log::warn!("{}", in_words(hold))
                }
                HoldChange::Ended(hold, why) => {
                    let (who, reason) = (who(hold), &hold.reason);
                    log::info!("{who} not held any more ({}: {reason})", why.name());
                }
            }
            self.context.audit.tell("", &AuditEvent::of_hold(change));
        }
    }

    /// Tries again what could not be saved.
    pub fn save_if_behind(&mut self) {
        if !self.are_saved {
            self.save();
        }
    }

    fn save(&mut self) {
        // The daemon that holds the directory now keeps its own.
        if self.context.level.is_lost() {
            return;
        }
        let saved = self.holds.save(clock::unix_ms());
        let written = self.context.store.write_holds(&saved);
        self.are_saved = written.is_ok();
        if let Err(e) = written {
            log::error!("{e}; a crash now would forget who is held");
        }
    }
}

fn limits(settings: &Settings) -> hold::HoldLimits {
    let ms = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    hold::HoldLimits { max_ms: ms(settings.hold_max), probe_ms: ms(settings.probe) }
}

fn in_words(hold: &Hold) -> String {
    let project = hold.project.as_ref().map(|project| format!(" in {}", project.dir));
    let (who, project) = (who(hold), project.unwrap_or_default());
    let (until, reason) = (rfc3339(hold.until_ms), &hold.reason);
    let ends = match hold.is_budget() {
        true => "a higher max_usd_per_day or max_tokens_per_day ends it sooner",
        false => "control/release ends it",
    };
    format!("{who} held{project} until {until}: {reason} ({ends})")
}

fn who(hold: &Hold) -> String {
    if hold.is_budget() { "new sessions are".into() } else { format!("{} is", hold.agent) }
}
