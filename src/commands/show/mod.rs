//! `show`: everything about one dispatch, with why it is where it is and what to type next.

mod text;

use serde_json::{Value, json};

use super::out::{Out, Reply};
use super::overview::Overview;
use super::{Place, Refusal, lookup};
use crate::effects::store::CallbackFacts;
use crate::pure::command::code::Code;
use crate::pure::command::typed::Typed;
use crate::pure::human::look::Look;
use crate::pure::record::Record;
use crate::pure::record::advice::{Advice, advice};
use crate::pure::record::facts::Stage;
use crate::pure::record::fields::DispatchFields;
use crate::pure::report::{AttemptReport, Report};
use crate::pure::text::time::rfc3339;

/// All that is known of one dispatch.
struct Shown {
    record: Record,
    advice: Advice,
    fields: Option<DispatchFields>,
    attempts: Vec<AttemptReport>,
    events: Vec<Value>,
    callback: Option<CallbackTold>,
    /// As the program reads it.
    report: Option<Box<Report>>,
    /// As it stands on disk.
    raw_report: Option<Value>,
    folder: Option<String>,
}

/// What became of the callback.
struct CallbackTold {
    state: &'static str,
    tries: Option<u64>,
    next_try: Option<String>,
}

pub fn run(typed: &Typed, place: &Place, out: &Out) -> Result<Code, Refusal> {
    let view = place.view();
    let mut facts = lookup::one(&view, &typed.words[0])?;
    let id = facts.id.clone();
    // Only one that is open has others before it.
    let overview = match facts.state().is_open() {
        true => Overview::read(&view)?,
        false => Overview::of_daemon(&view),
    };
    if facts.state().is_open()
        && let Some(id) = &id
    {
        facts = view.find(id).map_err(Refusal::not_done)?.unwrap_or(facts);
    }
    let record = overview.record(&facts);
    let report = match facts.stage {
        Stage::Ended(report) => Some(report),
        Stage::Rejected(why) => why.report,
        Stage::Inbox { .. } | Stage::Pending(_) | Stage::Active(_) => None,
    };
    let attempts = match (&report, &id) {
        (Some(report), _) => report.attempts.clone(),
        (None, Some(id)) => view.attempts_so_far(id).map_err(Refusal::not_done)?,
        (None, None) => Vec::new(),
    };
    let (from, until) = (record.accepted_at.as_deref(), record.finished_at.as_deref());
    let events = id.as_ref().map(|id| view.events(id, from, until)).unwrap_or_default();
    let has_callback = facts.fields.as_ref().is_some_and(|fields| fields.callback_url.is_some());
    let entry = id.as_ref().and_then(|id| view.callback(id));
    let shown = Shown {
        advice: advice(&record),
        callback: told(entry, &events).filter(|_| has_callback || entry_is_there(&events)),
        raw_report: id.as_ref().and_then(|id| view.report_as_it_stands(id)),
        folder: id.as_ref().and_then(|id| view.folder(id)).map(|dir| dir.display().to_string()),
        fields: facts.fields,
        record,
        attempts,
        events,
        report,
    };
    out.answer(&shown)?;
    Ok(Code::Done)
}

fn entry_is_there(events: &[Value]) -> bool {
    events
        .iter()
        .any(|event| event["event"] == "callback_sent" || event["event"] == "callback_failed")
}

/// From the entry of the outbox, or, once that is gone, from the log.
fn told(entry: Option<CallbackFacts>, events: &[Value]) -> Option<CallbackTold> {
    let of = |word: &str| events.iter().filter(|event| event["event"] == word).count() as u64;
    match entry {
        Some(CallbackFacts::Pending { tries, next_try_ms }) => Some(CallbackTold {
            state: "pending",
            tries: Some(tries.into()),
            next_try: Some(rfc3339(next_try_ms)),
        }),
        Some(CallbackFacts::GivenUp { tries }) => {
            Some(CallbackTold { state: "given_up", tries: Some(tries.into()), next_try: None })
        }
        None if of("callback_sent") > 0 => Some(CallbackTold {
            state: "delivered",
            tries: Some(of("callback_sent") + of("callback_failed")),
            next_try: None,
        }),
        None => None,
    }
}

impl Reply for Shown {
    fn text(&self, look: &Look) -> String {
        text::render(self, look)
    }

    fn json(&self) -> Value {
        let mut all = json!(self.record);
        let fields = self.fields.clone().unwrap_or_default();
        all["why"] = json!(self.advice.why);
        all["attempts"] = json!(self.attempts);
        all["events"] = json!(self.events);
        for (key, value) in [
            ("hint", self.advice.hint.as_ref().map(|hint| json!(hint))),
            ("task", self.fields.as_ref().map(|fields| json!(fields.task))),
            ("constraints", self.fields.as_ref().map(|fields| json!(fields.constraints))),
            ("learnings", self.fields.as_ref().map(|fields| json!(fields.learnings))),
            ("ttl_seconds", fields.ttl_seconds.map(|seconds| json!(seconds))),
            ("callback_url", fields.callback_url.map(|url| json!(url))),
            ("callback", self.callback.as_ref().map(CallbackTold::json)),
            ("report", self.raw_report.clone()),
            ("folder", self.folder.as_ref().map(|folder| json!(folder))),
        ] {
            if let Some(value) = value {
                all[key] = value;
            }
        }
        all
    }
}

impl CallbackTold {
    fn json(&self) -> Value {
        let mut told = json!({ "state": self.state });
        if let Some(tries) = self.tries {
            told["tries"] = tries.into();
        }
        if let Some(next) = &self.next_try {
            told["next_try"] = next.as_str().into();
        }
        told
    }
}
