//! The fleet's budget: what attempts may cost together within a window of time, in all or in one
//! project, and until when the next start waits once it is used up.
//!
//! What counts is what an attempt cost that has ended: a session that runs counts nothing, one
//! whose cost is not known counts its tokens. It leaves the sum when the window has moved past its
//! end. Must not know the queue; the holds keep others waiting.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::pure::config::Settings;
use crate::pure::config::budget::{Budget, NANOS_PER_USD};
use crate::pure::config::projects::Forms;

/// What an attempt cost, and where: a line of `costs.jsonl`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    pub dispatch_id: String,
    pub attempt: u32,
    pub ended_at_ms: i64,
    /// The directory that it ran in, resolved.
    pub dir: String,
    /// Billionths of a dollar; 0 if the cost is not known.
    pub usd_nanos: u64,
    /// Those that went in and those that came out.
    pub tokens: u64,
}

impl Cost {
    fn is_same(&self, other: &Cost) -> bool {
        self.attempt == other.attempt && self.dispatch_id == other.dispatch_id
    }
}

/// What ended attempts cost, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spending(Vec<Cost>);

impl Spending {
    /// Notes an attempt, unless it is noted already.
    pub fn note(&mut self, spent: Cost) -> bool {
        if self.0.iter().rev().any(|known| known.is_same(&spent)) {
            return false;
        }
        let at = self.0.partition_point(|known| known.ended_at_ms <= spent.ended_at_ms);
        self.0.insert(at, spent);
        true
    }

    /// Forgets what the window has moved past. What ended in the future ended before the clock was
    /// put back: it counts as if it ended now, or it would count for ever.
    pub fn move_on(&mut self, now_ms: i64, window_ms: i64) {
        self.0.retain(|spent| spent.ended_at_ms.saturating_add(window_ms) > now_ms);
        self.0.iter_mut().for_each(|spent| spent.ended_at_ms = spent.ended_at_ms.min(now_ms));
    }

    pub fn list(&self) -> &[Cost] {
        &self.0
    }
}

/// All budgets, with where the directories of the projects' entries are now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Budgets {
    for_all: Budget,
    /// All entries of `projects`, since one without a budget takes its directory out of another's.
    projects: Vec<ProjectBudget>,
    window_ms: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct ProjectBudget {
    /// As the entry's directory is written, and where it leads.
    forms: [PathBuf; 2],
    budget: Budget,
}

/// A budget that is used up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedUp {
    /// `None`: the one for all.
    pub project: Option<UsedUpProject>,
    /// When enough has left the window.
    pub until_ms: i64,
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedUpProject {
    /// The last part of its directory.
    pub name: String,
    pub dir: String,
    pub scope: BudgetScope,
}

/// Which lanes the budget of a project's entry holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetScope {
    budgets: Arc<Budgets>,
    project: usize,
}

impl BudgetScope {
    pub fn covers(&self, lane: &str) -> bool {
        let (lane, own) = (Path::new(lane), &self.budgets.projects[self.project]);
        // Where the entry is for a part of a working tree, all of it waits: its lane is one.
        let is_inside = own.forms.iter().any(|form| form.starts_with(lane) && form != lane);
        is_inside || self.budgets.are_nearest(self.project, lane)
    }
}

impl Budgets {
    pub fn new(settings: &Settings, forms: Forms) -> Budgets {
        let entries = settings.projects.directories();
        let project = |(key, budget)| ProjectBudget { forms: forms(key), budget };
        Budgets {
            for_all: settings.budget(),
            projects: entries.map(|(key, entry)| project((key, entry.budget))).collect(),
            window_ms: settings.budget_window_ms(),
        }
    }

    pub fn window_ms(&self) -> i64 {
        self.window_ms
    }

    /// The budgets that are used up.
    pub fn used_up(self: &Arc<Budgets>, spending: &Spending) -> Vec<UsedUp> {
        let all: Vec<&Cost> = spending.list().iter().collect();
        let mut used_up = Vec::new();
        if let Some((until_ms, reason)) = self.until(&all, self.for_all) {
            used_up.push(UsedUp { project: None, until_ms, reason });
        }
        for (number, project) in self.projects.iter().enumerate() {
            if !project.budget.is_set() {
                continue;
            }
            let is_its = |spent: &&&Cost| self.are_nearest(number, Path::new(&spent.dir));
            let its: Vec<&Cost> = all.iter().filter(is_its).copied().collect();
            if let Some((until_ms, reason)) = self.until(&its, project.budget) {
                let dir = &project.forms[1];
                let name = dir.file_name().unwrap_or(dir.as_os_str()).to_string_lossy();
                let scope = BudgetScope { budgets: self.clone(), project: number };
                let (name, dir) = (name.into(), dir.display().to_string());
                let project = Some(UsedUpProject { name, dir, scope });
                used_up.push(UsedUp { project, until_ms, reason });
            }
        }
        used_up
    }

    /// Whether that entry is the nearest one to a directory, or one of several for the same place.
    fn are_nearest(&self, project: usize, dir: &Path) -> bool {
        let depth = |project: &ProjectBudget| {
            let above = project.forms.iter().filter(|form| dir.starts_with(form));
            above.map(|form| form.components().count()).max()
        };
        let own = depth(&self.projects[project]);
        own.is_some() && own == self.projects.iter().filter_map(depth).max()
    }

    /// When enough of it has left the window, if it is used up, and why in words.
    fn until(&self, spent: &[&Cost], budget: Budget) -> Option<(i64, String)> {
        let usd = self.opens(spent, budget.usd_nanos, |spent| spent.usd_nanos);
        let tokens = self.opens(spent, budget.tokens, |spent| spent.tokens);
        let dollars = |nanos: u64| nanos as f64 / NANOS_PER_USD;
        let in_words = [
            usd.map(|(_, sum, max)| format!("{} of {} USD", dollars(sum), dollars(max))),
            tokens.map(|(_, sum, max)| format!("{sum} of {max} tokens")),
        ];
        let until_ms = [usd, tokens].into_iter().flatten().map(|(until_ms, ..)| until_ms).max()?;
        let what: Vec<String> = in_words.into_iter().flatten().collect();
        let window = self.window_ms as f64 / 1000.0;
        Some((until_ms, format!("{} were used within {window} s", what.join(" and "))))
    }

    /// When the sum is below its limit again, the sum, and the limit, if it is reached.
    fn opens(
        &self,
        spent: &[&Cost],
        max: Option<u64>,
        amount: impl Fn(&Cost) -> u64,
    ) -> Option<(i64, u64, u64)> {
        let max = max?;
        let sum = spent.iter().fold(0, |sum: u64, one| sum.saturating_add(amount(one)));
        let mut left = sum;
        if sum < max {
            return None;
        }
        let last = spent.iter().find(|one| {
            left = left.saturating_sub(amount(one));
            left < max
        });
        last.map(|one| (one.ended_at_ms.saturating_add(self.window_ms), sum, max))
    }
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
