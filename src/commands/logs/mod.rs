//! `logs`: what the sessions of a dispatch say, as text for people, an object a line, or byte for
//! byte; what is there, and with `-f` what comes.
//!
//! Must change nothing and must not stand in anybody's way: it looks at the files a few times a
//! second, wherever the claim is by then.

mod printer;
mod reason;
mod tail;
mod telling;

use std::io::{self, BufWriter, Write};

use serde_json::{Map, Value, json};

use super::out::{Out, note};
use super::overview::Overview;
use super::{Place, Refusal, lookup};
use crate::effects::clock;
use crate::effects::error;
use crate::effects::interrupt::Interrupts;
use crate::effects::store::{AttemptLogs, View};
use crate::effects::terminal;
use crate::pure::command::code::Code;
use crate::pure::command::logs::LogsCall;
use crate::pure::command::typed::Typed;
use crate::pure::dispatch::DispatchId;
use crate::pure::logs::people::{self, Renderer};
use crate::pure::record::Record;
use crate::pure::record::facts::{DispatchFacts, Stage};
use crate::pure::report::Report;
use printer::{Form, Printer};
use reason::Reason;
use tail::{LineCounter, TailStart, tail_start};
use telling::{Subject, Telling};

/// How long it is between two looks at the files, in milliseconds.
const LOOK_EVERY_MS: u64 = 250;
/// A dispatch that is nowhere for so many looks was removed.
const GONE_AFTER_LOOKS: u32 = 8;
/// What is written is collected up to this size.
const WRITE_BYTES: usize = 64 * 1024;
/// The agent of a dispatch that names none.
const USUAL_AGENT: &str = "claude";

pub fn run(typed: &Typed, place: &Place, out: &Out) -> Result<Code, Refusal> {
    let call = LogsCall::of(typed).map_err(Refusal::WrongUsage)?;
    let view = place.view();
    let facts = lookup::one(&view, &typed.words[0])?;
    show(place, out, &facts, &call)
}

/// Shows the logs of a dispatch that was found.
pub fn show(
    place: &Place,
    out: &Out,
    facts: &DispatchFacts,
    call: &LogsCall,
) -> Result<Code, Refusal> {
    let id = lookup::id_of(facts)?;
    let logs = place.store.attempt_logs(&id);
    check(&id, call, &logs, report_of(facts))?;
    Interrupts::end_at_once().map_err(Refusal::not_done)?;
    let agent = facts.fields.as_ref().and_then(|fields| fields.target_agent.as_deref());
    let agent = agent.or(report_of(facts).map(|report| report.target_agent.as_str()));
    let subject = Subject {
        logs: &logs,
        drivers: &place.drivers,
        agent: agent.unwrap_or(USUAL_AGENT),
        only: call.attempt,
    };
    let has_outcome = has_ended(facts) && !call.raw;
    let start = match call.tail {
        Some(lines) => find_tail(&id, call, subject, (lines, has_outcome), out),
        None => Ok(TailStart { attempt: 0, near_end: None, skip: 0 }),
    };
    let start = start.map_err(Refusal::not_done)?;
    let mut stdout = BufWriter::with_capacity(WRITE_BYTES, Stdout);
    let printer = Printer::new(id.as_str(), form(call, out), start.skip, &mut stdout);
    let telling = Telling::from(subject, start.attempt, start.near_end);
    let (view, reason) = (place.view(), Reason::default());
    Shown { id: &id, call, view, out, printer, telling, reason }.until_told()
}

/// The logs of one dispatch, as far as they are shown.
struct Shown<'a> {
    id: &'a DispatchId,
    call: &'a LogsCall,
    view: View<'a>,
    out: &'a Out,
    printer: Printer<'a>,
    telling: Telling<'a>,
    reason: Reason,
}

impl Shown<'_> {
    fn until_told(&mut self) -> Result<Code, Refusal> {
        let began_ms = clock::monotonic_ms();
        let most_ms = self.call.timeout_seconds.map(|seconds| (seconds * 1000) as i64);
        let mut missed = 0;
        loop {
            // This comes first: what is told afterwards is everything.
            let facts = self.view.find(self.id).map_err(Refusal::not_done)?;
            if self.look(facts.as_ref())? {
                return Ok(Code::Done);
            }
            missed = if facts.is_some() { 0 } else { missed + 1 };
            if missed > GONE_AFTER_LOOKS {
                let why = format!("{} is not there any more: its files were removed", self.id);
                return Err(Refusal::NoSuchDispatch { why, others: Vec::new() });
            }
            if let Some(facts) = &facts {
                self.reason.tell(&self.view, facts, self.out)?;
            }
            let left_ms = most_ms.map(|most| most - (clock::monotonic_ms() - began_ms));
            if left_ms.is_some_and(|left| left <= 0) {
                return Ok(Code::TimedOut);
            }
            terminal::pause(left_ms.map_or(LOOK_EVERY_MS, |left| LOOK_EVERY_MS.min(left as u64)));
            self.out.needs_reader()?;
        }
    }

    /// Shows all that there is by now. True if nothing more is to come.
    fn look(&mut self, facts: Option<&DispatchFacts>) -> Result<bool, Refusal> {
        let ended = facts.filter(|facts| has_ended(facts));
        self.telling.look(&mut self.printer).map_err(Refusal::not_done)?;
        if !self.call.follow {
            self.telling.flush(&mut self.printer);
        }
        self.printer.take_troubles().iter().for_each(|why| note(why));
        if let Some(facts) = ended {
            self.tell_outcome(facts);
        }
        self.printer.flush().map_err(not_written)?;
        if !self.call.follow
            && let Some(facts) = facts.filter(|facts| !facts.has_started())
        {
            self.reason.tell(&self.view, facts, self.out)?;
        }
        let is_told = self.call.attempt.is_some_and(|only| self.telling.has_told(only));
        Ok(ended.is_some() || !self.call.follow || is_told)
    }

    /// How the dispatch ended, if that is part of what was asked for.
    fn tell_outcome(&mut self, facts: &DispatchFacts) {
        let last = report_of(facts).and_then(|report| report.attempts.last());
        let last = last.map_or(0, |last| last.attempt);
        if self.call.raw || self.call.attempt.is_some_and(|only| only != last) {
            return;
        }
        let record = Overview::of_daemon(&self.view).record(facts);
        if self.printer.is_json() {
            self.printer.json(&end_object(&record, last));
        } else {
            self.printer.line(&people::outcome(&record));
        }
    }
}

fn has_ended(facts: &DispatchFacts) -> bool {
    !facts.state().is_open()
}

fn report_of(facts: &DispatchFacts) -> Option<&Report> {
    match &facts.stage {
        Stage::Ended(report) => Some(report),
        Stage::Inbox { .. } | Stage::Pending(_) | Stage::Active(_) | Stage::Rejected(_) => None,
    }
}

/// The fields of its record, as the last object.
fn end_object(record: &Record, attempt: u32) -> Value {
    let mut object = Map::new();
    object.insert("kind".into(), "end".into());
    object.insert("attempt".into(), attempt.into());
    if let Value::Object(fields) = json!(record) {
        object.extend(fields);
    }
    Value::Object(object)
}

/// Whether there is anything left to show.
fn check(
    id: &DispatchId,
    call: &LogsCall,
    logs: &AttemptLogs,
    report: Option<&Report>,
) -> Result<(), Refusal> {
    let numbers = logs.numbers().map_err(Refusal::not_done)?;
    let began = report.map_or(numbers.len(), |report| report.attempts.len());
    if let Some(only) = call.attempt
        && !report.map_or(call.follow || numbers.contains(&only), |report| {
            report.attempts.iter().any(|one| one.attempt == only)
        })
    {
        let why = format!("{id} has no attempt {only}: {began} began");
        return Err(Refusal::NotDone(why));
    }
    if report.is_some() && began > 0 && numbers.is_empty() {
        let why = format!(
            "the logs of {id} are not kept any more: gstack-dispatch-daemon show {id} tells what \
             is known"
        );
        return Err(Refusal::NotDone(why));
    }
    Ok(())
}

fn form<'a>(call: &LogsCall, out: &'a Out) -> Form<'a> {
    match (call.raw, out.is_json) {
        (true, _) => Form::Raw { is_terminal: out.is_terminal },
        (false, true) => Form::Json,
        (false, false) => Form::People(Renderer::new(&out.look)),
    }
}

/// Where the last lines begin, of which the outcome is one.
fn find_tail(
    id: &DispatchId,
    call: &LogsCall,
    subject: Subject,
    (lines, has_outcome): (u64, bool),
    out: &Out,
) -> error::Result<TailStart> {
    let count = |telling: &mut Telling| {
        let mut counter = LineCounter::default();
        let mut printer = Printer::new(id.as_str(), form(call, out), 0, &mut counter);
        telling.look(&mut printer)?;
        if !call.follow {
            telling.flush(&mut printer);
        }
        drop(printer);
        Ok(counter.0)
    };
    let wanted = lines.saturating_sub(u64::from(has_outcome));
    let start = tail_start(subject, wanted, &count)?;
    // Not even the last line is wanted then.
    let skip = start.skip + u64::from(has_outcome && lines == 0);
    Ok(TailStart { skip, ..start })
}

fn not_written(e: io::Error) -> Refusal {
    match e.kind() {
        io::ErrorKind::BrokenPipe => Refusal::ReaderGone,
        _ => Refusal::NotDone(format!("cannot write the answer: {e}")),
    }
}

struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        terminal::write(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
