//! `logs`: what the sessions of a dispatch say, as text for people, an object a line, or byte for
//! byte; what is there, and with `-f` what comes.
//!
//! Must change nothing and must not stand in anybody's way: it looks at the files a few times a
//! second, wherever the claim is by then.

mod printer;
mod tail;
mod telling;

use std::io::{self, BufWriter, Write};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::out::{Out, note};
use super::{Place, Refusal};
use crate::effects::store::AttemptLogs;
use crate::effects::terminal;
use crate::pure::command::code::Code;
use crate::pure::command::logs::LogsCall;
use crate::pure::command::typed::Typed;
use crate::pure::dispatch::DispatchId;
use crate::pure::logs::people::{self, Renderer};
use crate::pure::report::Report;
use printer::{Form, Printer};
use tail::{LineCounter, TailStart, tail_start};
use telling::{Subject, Telling};

/// How long a look at the files waits for the next one.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// What is written is collected up to this size.
const WRITE_BYTES: usize = 64 * 1024;

pub fn run(typed: &Typed, place: &Place, out: &Out) -> Result<Code, Refusal> {
    let call = LogsCall::of(typed).map_err(Refusal::WrongUsage)?;
    let id = DispatchId::parse(&call.id).ok_or_else(|| Refusal::NotDone(call.id.clone()))?;
    let logs = place.store.attempt_logs(&id);
    let report = logs.report().map_err(Refusal::not_done)?;
    check(&id, &call, &logs, report.as_ref())?;
    let agent = report.map(|report| report.target_agent).unwrap_or_else(|| "claude".into());
    let subject =
        Subject { logs: &logs, drivers: &place.drivers, agent: &agent, only: call.attempt };
    let start = match call.tail {
        Some(lines) => find_tail(&id, &call, subject, lines, out).map_err(Refusal::not_done)?,
        None => TailStart { attempt: 0, near_end: None, skip: 0 },
    };
    terminal::end_on_interrupt();
    let mut stdout = BufWriter::with_capacity(WRITE_BYTES, Stdout);
    let mut printer = Printer::new(id.as_str(), form(&call, out), start.skip, &mut stdout);
    let mut telling = Telling::from(subject, start.attempt, start.near_end);
    let until = call.timeout_seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    loop {
        // This comes first: what is told afterwards is everything.
        let ended = logs.report().map_err(Refusal::not_done)?;
        telling.look(&mut printer).map_err(Refusal::not_done)?;
        if !call.follow {
            telling.flush(&mut printer);
        }
        printer.take_troubles().iter().for_each(|why| note(why));
        if let Some(report) = &ended {
            tell_outcome(report, &call, &mut printer);
        }
        printer.flush().map_err(not_written)?;
        let is_told = call.attempt.is_some_and(|only| telling.has_told(only));
        if ended.is_some() || !call.follow || is_told {
            return Ok(Code::Done);
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            return Ok(Code::TimedOut);
        }
        out.needs_reader()?;
        thread::sleep(LOOK_EVERY);
    }
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
        && !(numbers.contains(&only) || report.is_none() && call.follow)
        && !report.is_some_and(|report| report.attempts.iter().any(|one| one.attempt == only))
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

/// How the dispatch ended, if that is part of what was asked for.
fn tell_outcome(report: &Report, call: &LogsCall, printer: &mut Printer) {
    let last = report.attempts.last().map_or(0, |last| last.attempt);
    if call.raw || call.attempt.is_some_and(|only| only != last) {
        return;
    }
    if printer.is_json() {
        printer.json(&end_object(report, last));
    } else {
        printer.line(&people::outcome(report));
    }
}

fn end_object(report: &Report, attempt: u32) -> Value {
    json!({"id": report.dispatch_id, "attempt": attempt, "kind": "end", "state": report.status})
}

/// Where the last lines begin.
fn find_tail(
    id: &DispatchId,
    call: &LogsCall,
    subject: Subject,
    lines: u64,
    out: &Out,
) -> crate::effects::error::Result<TailStart> {
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
    let has_outcome = !call.raw && subject.logs.is_answered()?;
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
