//! The numbers of `report`: what ended in a window of time, in all, by project and by agent.
//!
//! Owns what is counted and how it is shown as text and as JSON; [`holds`] reads the holds from the
//! audit log. Must not guess: a cost or a count of tokens that no report tells is unknown, not
//! nothing.

pub mod holds;
mod text;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::report::{Report, Status};
use super::text::time::{parse_rfc3339, rfc3339};
use holds::HoldSpan;
pub use text::{percent, text};

/// What ended: its report, and what only the dispatch itself says.
#[derive(Clone, Debug)]
pub struct EndedDispatch {
    pub report: Report,
    /// Absolute.
    pub project_dir: Option<String>,
    pub task: String,
    /// Milliseconds since 1970.
    pub accepted_at_ms: Option<i64>,
}

/// What is asked about. Milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// `None`: from the beginning.
    pub since_ms: Option<i64>,
    pub until_ms: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Numbers {
    pub dispatches: u64,
    pub completed: u64,
    pub failed: u64,
    pub timeout: u64,
    pub cancelled: u64,
    pub retries: u64,
    /// Seconds, of all of them.
    pub duration: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_cost_usd: Option<f64>,
    /// Over all attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    pub commits: u64,
    /// Completed of all. Absent for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_rate: Option<f64>,
}

/// A part of the whole, and what it is a part by.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// The project's name, or the agent's.
    pub name: String,
    pub project_dir: Option<String>,
    pub numbers: Numbers,
}

#[derive(Clone, Debug)]
pub struct Tally {
    pub window: Window,
    pub all: Numbers,
    /// Files that were refused, which are no dispatches.
    pub rejected: u64,
    /// The largest first.
    pub projects: Vec<Share>,
    pub agents: Vec<Share>,
    pub error_types: BTreeMap<String, u64>,
    pub holds: Vec<HoldSpan>,
}

impl EndedDispatch {
    pub fn finished_at_ms(&self) -> Option<i64> {
        self.report.finished_at.as_deref().and_then(parse_rfc3339)
    }

    pub fn started_at_ms(&self) -> Option<i64> {
        self.report.started_at.as_deref().and_then(parse_rfc3339)
    }

    pub fn project(&self) -> &str {
        self.report.project.as_deref().unwrap_or("?")
    }
}

impl Window {
    /// Whether something that ended then is asked about.
    pub fn has(&self, at_ms: i64) -> bool {
        self.since_ms.is_none_or(|since| since <= at_ms) && at_ms <= self.until_ms
    }
}

impl Numbers {
    fn add(&mut self, report: &Report) {
        self.dispatches += 1;
        let state = match report.status {
            Status::Completed => &mut self.completed,
            Status::Failed => &mut self.failed,
            Status::Cancelled => &mut self.cancelled,
            Status::Timeout => &mut self.timeout,
        };
        *state += 1;
        self.retries += u64::from(report.retry_count.unwrap_or_default());
        self.duration = self.duration.saturating_add(report.duration);
        self.commits += report.commits.unwrap_or_default();
        if let Some(cost) = known(report, report.total_cost_usd) {
            // So that a sum of cents has no more digits than the cents.
            let sum = self.total_cost_usd.unwrap_or_default() + cost;
            self.total_cost_usd = Some((sum * 1e9).round() / 1e9);
        }
        add(&mut self.input_tokens, known(report, report.input_tokens));
        add(&mut self.output_tokens, known(report, report.output_tokens));
        self.success_rate = Some(self.completed as f64 / self.dispatches as f64);
    }

    /// What no session has cost is known to be nothing.
    fn nothing() -> Numbers {
        let (input_tokens, output_tokens) = (Some(0), Some(0));
        Numbers { total_cost_usd: Some(0.0), input_tokens, output_tokens, ..Numbers::default() }
    }
}

fn known<T: Default>(report: &Report, told: Option<T>) -> Option<T> {
    told.or_else(|| report.attempts.is_empty().then(T::default))
}

fn add(sum: &mut Option<u64>, more: Option<u64>) {
    if let Some(more) = more {
        *sum = Some(sum.unwrap_or_default().saturating_add(more));
    }
}

impl Tally {
    /// `ended` is what ended in the window, and nothing else.
    pub fn new(
        window: Window,
        ended: &[EndedDispatch],
        rejected: u64,
        holds: Vec<HoldSpan>,
    ) -> Tally {
        let mut all = Numbers::default();
        let mut projects: BTreeMap<(String, Option<String>), Numbers> = BTreeMap::new();
        let mut agents: BTreeMap<String, Numbers> = BTreeMap::new();
        let mut error_types: BTreeMap<String, u64> = BTreeMap::new();
        for EndedDispatch { report, project_dir, .. } in ended {
            all.add(report);
            let project = report.project.clone().unwrap_or_default();
            projects.entry((project, project_dir.clone())).or_default().add(report);
            agents.entry(report.target_agent.clone()).or_default().add(report);
            if let Some(kind) = report.error_type.map(|kind| word(&kind)) {
                *error_types.entry(kind).or_default() += 1;
            }
        }
        if ended.is_empty() {
            all = Numbers::nothing();
        }
        let projects = projects.into_iter().map(|((name, project_dir), numbers)| Share {
            name,
            project_dir,
            numbers,
        });
        let agents = agents.into_iter();
        let agents = agents.map(|(name, numbers)| Share { name, project_dir: None, numbers });
        let largest_first = |shares: Vec<Share>| {
            let mut shares = shares;
            shares.sort_by_key(|share| std::cmp::Reverse(share.numbers.dispatches));
            shares
        };
        Tally {
            window,
            all,
            rejected,
            projects: largest_first(projects.collect()),
            agents: largest_first(agents.collect()),
            error_types,
            holds,
        }
    }

    pub fn json(&self) -> Value {
        let mut object = Map::new();
        if let Some(since) = self.window.since_ms {
            object.insert("since".into(), rfc3339(since).into());
        }
        object.insert("until".into(), rfc3339(self.window.until_ms).into());
        object.extend(fields(&self.all));
        object.insert("rejected".into(), self.rejected.into());
        let projects = self.projects.iter().map(|share| share.json("project"));
        object.insert("projects".into(), projects.collect());
        let agents = self.agents.iter().map(|share| share.json("target_agent"));
        object.insert("agents".into(), agents.collect());
        object.insert("error_types".into(), json!(self.error_types));
        object.insert("holds".into(), self.holds.iter().map(HoldSpan::json).collect());
        Value::Object(object)
    }
}

impl Share {
    fn json(&self, name: &str) -> Value {
        let mut object = Map::new();
        object.insert(name.into(), self.name.as_str().into());
        if let Some(dir) = &self.project_dir {
            object.insert("project_dir".into(), dir.as_str().into());
        }
        object.extend(fields(&self.numbers));
        Value::Object(object)
    }
}

fn fields(numbers: &Numbers) -> Map<String, Value> {
    match serde_json::to_value(numbers) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) | Err(_) => Map::new(),
    }
}

/// A name as it stands in reports.
pub fn word(name: &impl Serialize) -> String {
    let value = serde_json::to_value(name).unwrap_or_default();
    value.as_str().unwrap_or_default().to_string()
}

#[cfg(test)]
#[path = "tally_tests.rs"]
mod tests;
