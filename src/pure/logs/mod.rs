//! What `logs` tells of a dispatch: its attempts' streams as items, with how each attempt began and
//! ended around them.
//!
//! Owns the items and their form in JSON; [`people`] has the form for people. Must not know where
//! an item comes from: the same item is told whether it was read from a stream that is hours old or
//! a moment.

pub mod people;

use serde_json::{Map, Value, json};

use super::agent::StreamItem;
use super::attempt::record::{AttemptEnd, AttemptStart, NextStep};
use super::attempt::sign::Sign;
use super::report::{AttemptReport, ErrorType};
use super::text::time::{parse_rfc3339, rfc3339};

#[derive(Clone, Debug, PartialEq)]
pub enum LogItem {
    AttemptStarted(AttemptBegun),
    Stream(StreamItem),
    /// One of the last lines of stderr, of an attempt that failed.
    Stderr(String),
    AttemptEnded(AttemptOver),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct AttemptBegun {
    /// Milliseconds since 1970. Absent: its record is gone.
    pub started_at_ms: Option<i64>,
    pub session_id: Option<String>,
    pub resumed: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct AttemptOver {
    pub ended_at_ms: Option<i64>,
    /// Seconds.
    pub duration: Option<f64>,
    pub exit_code: Option<i32>,
    pub error_type: Option<ErrorType>,
    pub error: Option<String>,
    pub then: AfterAttempt,
}

/// What follows an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AfterAttempt {
    /// Nothing, or it is not known.
    #[default]
    Report,
    Retry {
        not_before_ms: i64,
        delay_ms: u64,
    },
    /// It waits for a hold, until this time if that is known.
    Hold {
        until_ms: Option<i64>,
    },
}

impl AttemptBegun {
    pub fn of(start: &AttemptStart) -> AttemptBegun {
        AttemptBegun {
            started_at_ms: Some(start.started_at_ms),
            session_id: Some(start.session_id.clone()).filter(|id| !id.is_empty()),
            resumed: start.is_resumed(),
        }
    }

    /// Of an attempt whose own record cannot be read.
    pub fn of_report(report: &AttemptReport) -> AttemptBegun {
        AttemptBegun {
            started_at_ms: report.started_at.as_deref().and_then(parse_rfc3339),
            session_id: report.session_id.clone(),
            resumed: report.resumed,
        }
    }
}

impl AttemptOver {
    pub fn of(end: &AttemptEnd) -> AttemptOver {
        let then = match (&end.next, &end.sign) {
            (NextStep::Report, _) => AfterAttempt::Report,
            (NextStep::Retry { not_before_ms, delay_ms, .. }, _) => {
                AfterAttempt::Retry { not_before_ms: *not_before_ms, delay_ms: *delay_ms }
            }
            (NextStep::Queue { .. }, Some(Sign::Met { resets_at_ms, .. })) => {
                AfterAttempt::Hold { until_ms: *resets_at_ms }
            }
            (NextStep::Queue { .. }, _) => AfterAttempt::Hold { until_ms: None },
        };
        let ended_at_ms = Some(end.finished_at_ms);
        AttemptOver { ended_at_ms, then, ..AttemptOver::of_report(&end.attempt) }
    }

    /// Of an attempt whose own record cannot be read.
    pub fn of_report(report: &AttemptReport) -> AttemptOver {
        let started_at_ms = report.started_at.as_deref().and_then(parse_rfc3339);
        let lasted_ms = report.duration.map(|seconds| (seconds * 1000.0) as i64);
        AttemptOver {
            ended_at_ms: started_at_ms.zip(lasted_ms).map(|(at, ms)| at.saturating_add(ms)),
            duration: report.duration,
            exit_code: report.exit_code,
            error_type: report.error_type,
            error: report.error.clone(),
            then: AfterAttempt::Report,
        }
    }
}

impl LogItem {
    /// One object of `--json`: what is unknown is absent.
    pub fn json(&self, id: &str, attempt: u32) -> Value {
        let (kind, fields) = match self {
            LogItem::AttemptStarted(begun) => ("attempt_started", begun.fields()),
            LogItem::Stream(item) => stream_fields(item),
            LogItem::Stderr(text) => ("stderr", json!({ "text": text })),
            LogItem::AttemptEnded(over) => ("attempt_ended", over.fields()),
        };
        let mut object = Map::new();
        object.insert("id".into(), id.into());
        object.insert("attempt".into(), attempt.into());
        object.insert("kind".into(), kind.into());
        if let Value::Object(fields) = fields {
            object.extend(fields.into_iter().filter(|(_, value)| !value.is_null()));
        }
        Value::Object(object)
    }
}

impl AttemptBegun {
    fn fields(&self) -> Value {
        let ts = self.started_at_ms.map(rfc3339);
        json!({ "ts": ts, "session_id": self.session_id, "resumed": self.resumed })
    }
}

impl AttemptOver {
    fn fields(&self) -> Value {
        let until = match self.then {
            AfterAttempt::Report => None,
            AfterAttempt::Retry { not_before_ms, .. } => Some(not_before_ms),
            AfterAttempt::Hold { until_ms } => until_ms,
        };
        json!({
            "ts": self.ended_at_ms.map(rfc3339),
            "duration": self.duration,
            "exit_code": self.exit_code,
            "error_type": self.error_type,
            "error": self.error,
            "until": until.map(rfc3339),
        })
    }
}

fn stream_fields(item: &StreamItem) -> (&'static str, Value) {
    match item {
        StreamItem::Text(text) => ("text", json!({ "text": text })),
        StreamItem::ToolCall { tool, input, call } => {
            ("tool_call", json!({ "tool": tool, "input": input, "call": call }))
        }
        StreamItem::ToolAnswer { text, is_error, call } => {
            ("tool_result", json!({ "text": text, "is_error": is_error, "call": call }))
        }
        StreamItem::Other(text) => ("other", json!({ "text": text })),
        StreamItem::Outcome { text, is_error } => {
            ("result", json!({ "text": text, "is_error": is_error }))
        }
    }
}

#[cfg(test)]
#[path = "logs_tests.rs"]
mod tests;
