//! The holds of a window of time, from the audit log: who was held, why, from when until when.
//!
//! Owns the pairing of beginnings and ends. Lines come in the order in which they were written; a
//! hold whose end is not told lasts as long as it was meant to.

use serde_json::{Map, Value};

use super::{Window, word};
use crate::pure::audit_event::{AuditEvent, AuditLine, HoldBegun};
use crate::pure::text::time::{parse_rfc3339, rfc3339};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldSpan {
    /// Empty: every agent.
    pub agent: String,
    pub kind: String,
    /// Of one project alone.
    pub project: Option<String>,
    /// Milliseconds since 1970.
    pub from_ms: i64,
    pub until_ms: i64,
}

/// What tells one hold from another.
type HoldKey = (String, String, Option<String>);

#[derive(Debug, Default)]
pub struct HoldReader {
    open: Vec<(HoldKey, HoldSpan)>,
    over: Vec<HoldSpan>,
}

impl HoldReader {
    /// Whether a line may tell of a hold, before it is parsed.
    pub fn may_tell(line: &str) -> bool {
        line.contains("\"hold_")
    }

    pub fn read(&mut self, line: &AuditLine) {
        let Some(at_ms) = parse_rfc3339(&line.ts) else { return };
        match &line.event {
            Some(AuditEvent::HoldStarted(hold) | AuditEvent::HoldProlonged(hold)) => {
                self.begin(hold, at_ms);
            }
            Some(AuditEvent::HoldEnded { agent, kind, project, project_dir, .. }) => {
                let held = (agent.clone(), word(kind), project_dir.clone().or(project.clone()));
                self.end(&held, at_ms);
            }
            Some(_) | None => {}
        }
    }

    fn begin(&mut self, hold: &HoldBegun, at_ms: i64) {
        let HoldBegun { agent, kind, project, project_dir, until, .. } = hold;
        let held = (agent.clone(), word(kind), project_dir.clone().or(project.clone()));
        let until_ms = parse_rfc3339(until).unwrap_or(at_ms);
        if let Some((_, span)) = self.open.iter_mut().find(|(open, _)| *open == held) {
            if span.until_ms >= at_ms {
                span.until_ms = until_ms;
                return;
            }
            // It was over before this one began, and nobody said so.
            self.end(&held, at_ms);
        }
        let (agent, kind) = (agent.clone(), word(kind));
        let span = HoldSpan { agent, kind, project: project.clone(), from_ms: at_ms, until_ms };
        self.open.push((held, span));
    }

    fn end(&mut self, held: &HoldKey, at_ms: i64) {
        if let Some(at) = self.open.iter().position(|(open, _)| open == held) {
            let (_, span) = self.open.swap_remove(at);
            self.over.push(HoldSpan { until_ms: span.until_ms.min(at_ms), ..span });
        }
    }

    /// Those that touch the window, in order.
    pub fn spans(self, window: Window) -> Vec<HoldSpan> {
        let mut spans = self.over;
        spans.extend(self.open.into_iter().map(|(_, span)| span));
        let is_near = |span: &HoldSpan| {
            let begins = span.from_ms <= window.until_ms;
            begins && window.since_ms.is_none_or(|since| since <= span.until_ms)
        };
        spans.retain(is_near);
        spans.sort_by_key(|span| span.from_ms);
        spans
    }
}

impl HoldSpan {
    pub fn json(&self) -> Value {
        let mut object = Map::new();
        if !self.agent.is_empty() {
            object.insert("agent".into(), self.agent.as_str().into());
        }
        object.insert("kind".into(), self.kind.as_str().into());
        object.insert("from".into(), rfc3339(self.from_ms).into());
        object.insert("until".into(), rfc3339(self.until_ms).into());
        Value::Object(object)
    }

    /// Who is held.
    pub fn who(&self) -> String {
        let agent = if self.agent.is_empty() { "every agent" } else { &self.agent };
        match &self.project {
            Some(project) => format!("{agent} in {project}"),
            None => agent.to_string(),
        }
    }
}
