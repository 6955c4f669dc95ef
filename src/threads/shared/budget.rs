//! What was spent within the window of the budget, as long as one is set: the owners of sessions
//! note each end, and whoever is about to start something asks what is used up.
//!
//! Memory is the truth while the daemon lives, since a session can reach the file; the file is for
//! the next daemon. An end is noted before anything follows from it, so that a crash in between
//! leaves it in `active/`, where it is found. Without a budget nothing here is touched.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::context::Context;
use super::spending::Known;
use crate::effects::error::Result;
use crate::effects::store::{Answered, Attempt};
use crate::effects::{clock, project};
use crate::pure::agent::cost;
use crate::pure::attempt::record::{AttemptEnd, AttemptStart};
use crate::pure::config::Settings;
use crate::pure::config::budget::nanos;
use crate::pure::dispatch::DispatchId;
use crate::pure::report::AttemptReport;
use crate::pure::schedule::budget::{Budgets, Cost, Spending, UsedUp};
use crate::pure::text::time::parse_rfc3339;

/// The file is written anew when it has so many more lines than count.
const LINES_OVER_MAX: usize = 1000;

impl Context {
    /// Begins to count if the settings want it, from what the file and the records say; ends it if
    /// they do not any more.
    pub fn follow_budget_settings(&self) {
        let settings = self.settings();
        let mut known = self.spending.known();
        if !settings.has_budget() {
            if known.take().is_some() || self.store.read_costs().is_some() {
                self.store.remove_costs().unwrap_or_else(|e| log::warn!("{e}"));
            }
            return;
        }
        let now_ms = clock::unix_ms();
        let from_ms = now_ms.saturating_sub(settings.budget_window_ms());
        if known.as_ref().is_none_or(|known| known.since_ms > from_ms) {
            *known = Some(self.count_anew(from_ms, now_ms, settings.budget_window_ms()));
            self.spending.tell();
        }
    }

    fn count_anew(&self, from_ms: i64, now_ms: i64, window_ms: i64) -> Known {
        let mut spending = Spending::default();
        // What is answered meanwhile leaves `active/` for `finished/`, which is looked at later.
        self.note_open(&mut spending).unwrap_or_else(|e| log::error!("budget: {e}"));
        let file = self.store.read_costs().filter(|file| file.since_ms <= from_ms);
        match file {
            Some(file) => {
                for cost in file.costs {
                    spending.note(cost);
                }
            }
            None => self.note_answered(&mut spending, from_ms),
        }
        spending.move_on(now_ms, window_ms);
        let mut known = Known { spending, since_ms: from_ms, file_bytes: None, file_lines: 0 };
        self.write_known(&mut known);
        known
    }

    fn write_known(&self, known: &mut Known) {
        let Known { spending, since_ms, file_bytes, file_lines } = known;
        match self.store.write_costs(*since_ms, spending.list()) {
            Ok(length) => (*file_bytes, *file_lines) = (Some(length), spending.list().len()),
            Err(e) => {
                *file_bytes = None;
                log::error!("{e}; a crash now would forget what was spent");
            }
        }
    }

    /// Notes what the dispatches cost that were answered since then.
    fn note_answered(&self, spending: &mut Spending, from_ms: i64) {
        let answered = self.store.answered_since(from_ms).unwrap_or_else(|e| {
            log::error!("budget: {e}");
            Vec::new()
        });
        for Answered { id, report, project_dir } in answered {
            let dir = project::expand(&project_dir, self.home.as_deref());
            let dir = project::resolve_nearest(&dir);
            for (attempt, usd) in report.attempts.iter().zip(cost::of_each(&report.attempts, None))
            {
                let started_at_ms = attempt.started_at.as_deref().and_then(parse_rfc3339);
                let lasted_ms = attempt.duration.unwrap_or_default() * 1000.0;
                let ended_at_ms = started_at_ms.unwrap_or_default() + lasted_ms as i64;
                spending.note(spent(&id, attempt, usd, ended_at_ms, &dir));
            }
        }
    }

    /// Notes the ends on record of dispatches that are not answered.
    fn note_open(&self, spending: &mut Spending) -> Result<()> {
        for id in self.store.list_active()? {
            let Some(last) = self.store.last_attempt(&id)? else { continue };
            for number in 1..=last.number {
                let Some((start, end)) = self.records_of(&id, number) else { continue };
                spending.note(self.cost_of(&id, &start, &end));
            }
        }
        Ok(())
    }

    fn records_of(&self, id: &DispatchId, number: u32) -> Option<(AttemptStart, AttemptEnd)> {
        let attempts = self.store.attempts_before(id, number + 1).ok()?;
        let attempt = attempts.into_iter().find(|attempt| attempt.number == number)?;
        Some((attempt.start().ok()?.into_read()?, attempt.end().ok()?.into_read()?))
    }

    fn cost_of(&self, id: &DispatchId, start: &AttemptStart, end: &AttemptEnd) -> Cost {
        let end_of = |attempt: Attempt| attempt.end().ok()?.into_read();
        // Only the cost of a session that was resumed may be that of attempts before it, too.
        let earlier = match start.is_resumed() {
            true => self.store.attempts_before(id, start.attempt).unwrap_or_default(),
            false => Vec::new(),
        };
        let mut attempts: Vec<AttemptReport> =
            earlier.into_iter().filter_map(end_of).map(|end| end.attempt).collect();
        attempts.push(end.attempt.clone());
        let usd = cost::of_each(&attempts, end.cost_tokens).pop().flatten();
        spent(id, &end.attempt, usd, end.finished_at_ms, &start.dir())
    }

    /// Notes what an attempt cost that has ended. Its end is on record, and nothing has followed
    /// from it.
    pub fn note_cost(&self, id: &DispatchId, start: &AttemptStart, end: &AttemptEnd) {
        let mut known = self.spending.known();
        let Some(known) = known.as_mut() else { return };
        let one = self.cost_of(id, start, end);
        if !known.spending.note(one.clone()) {
            return;
        }
        self.spending.tell();
        if self.level.is_lost() {
            return;
        }
        let is_long = known.file_lines > known.spending.list().len() + LINES_OVER_MAX;
        let length = known.file_bytes.filter(|_| !is_long);
        match length.map(|length| self.store.append_cost(length, &one)) {
            Some(Ok(Some(length))) => {
                known.file_bytes = Some(length);
                known.file_lines += 1;
            }
            None | Some(Ok(None)) => self.write_known(known),
            Some(Err(e)) => {
                log::warn!("{e}");
                self.write_known(known);
            }
        }
    }

    /// The budgets that are used up now.
    pub fn used_up(&self) -> Vec<UsedUp> {
        let mut known = self.spending.known();
        let Some(known) = known.as_mut() else { return Vec::new() };
        let settings = self.settings();
        let (now_ms, window_ms) = (clock::unix_ms(), settings.budget_window_ms());
        known.spending.move_on(now_ms, window_ms);
        known.since_ms = known.since_ms.max(now_ms.saturating_sub(window_ms));
        self.budgets(&settings).used_up(&known.spending)
    }

    /// Whether a budget keeps the dispatches of this lane waiting.
    pub fn is_used_up_for(&self, lane: &str) -> bool {
        let covers = |used_up: UsedUp| used_up.project.is_none_or(|one| one.scope.covers(lane));
        self.used_up().into_iter().any(covers)
    }

    fn budgets(&self, settings: &Settings) -> Arc<Budgets> {
        let forms = |key: &str| -> [PathBuf; 2] { project::forms(key, self.home.as_deref()) };
        Arc::new(Budgets::new(settings, &forms))
    }
}

fn spent(
    id: &DispatchId,
    attempt: &AttemptReport,
    usd: Option<f64>,
    ended_at_ms: i64,
    dir: &Path,
) -> Cost {
    let tokens = attempt.input_tokens.unwrap_or_default();
    Cost {
        dispatch_id: id.to_string(),
        attempt: attempt.attempt,
        ended_at_ms,
        dir: dir.display().to_string(),
        usd_nanos: usd.map_or(0, nanos),
        tokens: tokens.saturating_add(attempt.output_tokens.unwrap_or_default()),
    }
}
