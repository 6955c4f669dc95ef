//! `list`: its row, and which dispatches were asked for.

use super::code::Code;
use super::row::{CommandRow, OptionRow, ValueKind, Verb};
use super::typed::Typed;
use crate::pure::human::since::Since;
use crate::pure::human::zone::Zone;
use crate::pure::record::{DispatchState, Record};
use crate::pure::text::nearest::nearest;

/// How many that have ended are shown.
const LIMIT_DEFAULT: usize = 20;

pub const ROW: &CommandRow = &CommandRow {
    verb: Verb::List,
    name: "list",
    words: &[],
    options: &[
        OptionRow::with_value("--state", "S,…", ValueKind::Text, "only in these states"),
        OptionRow::flag("--failed", "only failed, timeout, rejected"),
        OptionRow::with_value("--project", "P", ValueKind::Text, "only of this project"),
        OptionRow::with_value(
            "--since",
            "T",
            ValueKind::Text,
            "all that ended since: 2h, 7d, 2026-11-20, RFC 3339",
        ),
        OptionRow::with_value(
            "--limit",
            "N",
            ValueKind::Number,
            "at most N that have ended; 20; 0: all",
        ),
        OptionRow::flag("--ids", "only the ids"),
    ],
    help: "dispatches: open ones, then what ended last",
    more: "Running (by start), queued (by turn), what waits for approval, the inbox, then what \
           ended, newest first.\n\
           States: inbox, pending, queued, running, completed, failed, timeout, cancelled, rejected.",
    examples: &["list", "list --failed --since 24h", "list --state running,queued --json"],
    codes: &[(Code::Done, "answered, also when there is none"), (Code::WrongUsage, "wrong usage")],
    takes_settings: false,
};

#[derive(Debug, PartialEq, Eq)]
pub struct ListCall {
    /// Empty: all.
    states: Vec<DispatchState>,
    project: Option<String>,
    /// Milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// How many that have ended. `None`: all.
    pub limit: Option<usize>,
    pub is_ids: bool,
}

impl ListCall {
    pub fn of(typed: &Typed, zone: &Zone, now_ms: i64) -> Result<ListCall, String> {
        let mut states = Vec::new();
        for names in typed.texts("--state")? {
            for name in names.split(',').filter(|name| !name.is_empty()) {
                states.push(state_of(name)?);
            }
        }
        if typed.has("--failed") {
            use DispatchState::{Failed, Rejected, Timeout};
            states.extend([Failed, Timeout, Rejected]);
        }
        let since = typed.text("--since")?;
        let since = since.map(|text| {
            let wrong = || {
                format!("--since: {text:?} is none of 90s, 15m, 2h, 7d, 2026-11-20, all, RFC 3339")
            };
            Since::parse(text).ok_or_else(wrong)
        });
        let since = since.transpose()?;
        let since_ms = since.and_then(|since| since.ms(now_ms, zone));
        let limit = match typed.number("--limit").map(|number| number as usize) {
            Some(0) => None,
            Some(limit) => Some(limit),
            None if since.is_some() => None,
            None => Some(LIMIT_DEFAULT),
        };
        let project = typed.text("--project")?.map(str::to_string);
        Ok(ListCall { states, project, since_ms, limit, is_ids: typed.has("--ids") })
    }

    /// Whether a dispatch is among those that were asked for.
    pub fn takes(&self, record: &Record) -> bool {
        let is_state = self.states.is_empty() || self.states.contains(&record.shown_state());
        let is_project = self.project.is_none() || self.project == record.project;
        let is_open = record.shown_state().is_open();
        let is_since = self
            .since_ms
            .is_none_or(|since| is_open || record.ended_ms().is_none_or(|ended| ended >= since));
        is_state && is_project && is_since
    }

    /// Whether anything that has ended can be among them.
    pub fn takes_ended(&self) -> bool {
        self.states.is_empty() || self.states.iter().any(|state| !state.is_open())
    }
}

fn state_of(name: &str) -> Result<DispatchState, String> {
    let known = DispatchState::ALL.iter().find(|state| state.name() == name);
    known.copied().ok_or_else(|| {
        let meant = nearest(name, DispatchState::ALL.iter().map(|state| state.name()));
        let meant = meant.map(|name| format!("; did you mean {name}?")).unwrap_or_default();
        let names: Vec<&str> = DispatchState::ALL.iter().map(|state| state.name()).collect();
        format!("--state: {name:?} is none of {}{meant}", names.join(", "))
    })
}
