//! `wait`: returns as soon as dispatches have ended, or have started, and says how.
//!
//! It looks at their own files four times a second, so that whatever the daemon does meanwhile (it
//! may end, too), the answer is what the files say. What passes between two looks is seen all the
//! same, since the files keep it.

use std::collections::HashMap;
use std::io::{self, Write};

use serde_json::json;

use super::out::{Out, shown};
use super::overview::Overview;
use super::{Place, Refusal, lookup};
use crate::effects::clock;
use crate::effects::interrupt::Interrupts;
use crate::effects::store::View;
use crate::effects::terminal;
use crate::pure::command::code::Code;
use crate::pure::command::typed::Typed;
use crate::pure::command::wait::WaitCall;
use crate::pure::dispatch::DispatchId;
use crate::pure::human::look::Look;
use crate::pure::human::{amount, span, width};
use crate::pure::record::facts::DispatchFacts;
use crate::pure::record::waits::WaitReason;
use crate::pure::record::{DispatchState, Record};

/// How long it is between two looks, in milliseconds.
const LOOK_EVERY_MS: u64 = 250;
/// A dispatch that is nowhere for so many looks was removed.
const GONE_AFTER_LOOKS: u32 = 8;
/// Everything that is open is read at most this often, in milliseconds, to say what is waited for.
const TOLD_EVERY_MS: i64 = 1000;
/// And at most this part of the time goes into that.
const TOLD_PART: i64 = 50;

/// One of those that are waited for.
struct Awaited {
    id: DispatchId,
    /// `None`: it is waited for still.
    code: Option<Code>,
    missed: u32,
    last: DispatchFacts,
    /// The reason that was last told on stderr.
    told: Option<(DispatchState, Option<WaitReason>)>,
}

/// All of them, in the order typed.
struct Waiting<'p> {
    call: WaitCall,
    view: &'p View<'p>,
    out: &'p Out,
    awaited: Vec<Awaited>,
    progress: Progress,
    next_told_ms: i64,
    /// Only JSON says how they ended.
    is_quiet: bool,
}

pub fn run(typed: &Typed, place: &Place, out: &Out) -> Result<Code, Refusal> {
    wait(typed, place, out, false)
}

/// Does [`run`] without a word for people on stdout.
pub fn quietly(typed: &Typed, place: &Place, out: &Out) -> Result<Code, Refusal> {
    wait(typed, place, out, true)
}

fn wait(typed: &Typed, place: &Place, out: &Out, is_quiet: bool) -> Result<Code, Refusal> {
    let call = WaitCall::of(typed);
    let view = place.view();
    let mut awaited = Vec::new();
    for word in &typed.words {
        let facts = lookup::one(&view, word)?;
        let id = lookup::id_of(&facts)?;
        awaited.push(Awaited { id, code: None, missed: 0, last: facts, told: None });
    }
    let interrupts = Interrupts::listen().map_err(Refusal::not_done)?;
    let progress = Progress::new();
    let (view, next_told_ms) = (&view, 0);
    let mut waiting = Waiting { call, view, out, awaited, progress, next_told_ms, is_quiet };
    let ended = waiting.until_done(&interrupts);
    waiting.progress.clear();
    ended
}

impl Waiting<'_> {
    fn until_done(&mut self, interrupts: &Interrupts) -> Result<Code, Refusal> {
        let began_ms = clock::monotonic_ms();
        let most_ms = self.call.timeout_seconds.map(|seconds| (seconds * 1000) as i64);
        loop {
            self.look()?;
            let ended = self.awaited.iter().filter(|one| one.code.is_some()).count();
            if ended == self.awaited.len() || self.call.is_any && ended > 0 {
                return Ok(self.code());
            }
            let left_ms = most_ms.map(|most| most - (clock::monotonic_ms() - began_ms));
            if left_ms.is_some_and(|left| left <= 0) {
                self.tell_open()?;
                return Ok(Code::TimedOut);
            }
            self.tell_progress()?;
            let pause_ms = left_ms.map_or(LOOK_EVERY_MS, |left| LOOK_EVERY_MS.min(left as u64));
            terminal::pause(pause_ms);
            if interrupts.is_ended() {
                return Ok(Code::Interrupted);
            }
            self.out.needs_reader()?;
        }
    }

    /// The code of the first that ended and did not complete.
    fn code(&self) -> Code {
        let codes = self.awaited.iter().filter_map(|one| one.code);
        codes.clone().find(|code| *code != Code::Done).unwrap_or(Code::Done)
    }

    fn look(&mut self) -> Result<(), Refusal> {
        for at in 0..self.awaited.len() {
            if self.awaited[at].code.is_none() {
                self.look_at(at)?;
            }
        }
        Ok(())
    }

    fn look_at(&mut self, at: usize) -> Result<(), Refusal> {
        let was_accepted = self.awaited[at].last.open().is_some();
        if was_accepted
            && !self.call.is_for_running
            && self.view.is_at_work_still(&self.awaited[at].id)
        {
            return Ok(());
        }
        let found = self.view.find(&self.awaited[at].id).map_err(Refusal::not_done)?;
        let one = &mut self.awaited[at];
        match found {
            Some(facts) => (one.last, one.missed) = (facts, 0),
            None if one.missed < GONE_AFTER_LOOKS => {
                one.missed += 1;
                return Ok(());
            }
            None => {
                let why = format!("{} is not there any more: its files were removed", one.id);
                return Err(Refusal::NoSuchDispatch { why, others: Vec::new() });
            }
        }
        let has_started = self.call.is_for_running && one.last.has_started();
        one.code = match one.last.state() {
            _ if has_started => Some(Code::Done),
            DispatchState::Completed => Some(Code::Done),
            DispatchState::Failed => Some(Code::Failed),
            DispatchState::Timeout => Some(Code::Timeout),
            DispatchState::Cancelled => Some(Code::Cancelled),
            DispatchState::Rejected => Some(Code::Rejected),
            DispatchState::Inbox
            | DispatchState::Pending
            | DispatchState::Queued
            | DispatchState::Running => None,
        };
        if one.code.is_none() {
            return Ok(());
        }
        let overview = match one.last.state().is_open() {
            true => Overview::read(self.view)?,
            false => Overview::of_daemon(self.view),
        };
        let record = overview.record(&one.last);
        self.progress.clear();
        self.tell(&record)
    }

    fn tell(&self, record: &Record) -> Result<(), Refusal> {
        match self.out.is_json {
            true => self.out.json(&json!(record)),
            false if self.is_quiet => Ok(()),
            false => self.out.text(&end_line(record)),
        }
    }

    /// In JSON the records of those that are open when the time is over.
    fn tell_open(&mut self) -> Result<(), Refusal> {
        self.progress.clear();
        let overview = Overview::read(self.view)?;
        for one in self.awaited.iter().filter(|one| one.code.is_none()) {
            let now = self.view.find(&one.id).map_err(Refusal::not_done)?;
            let record = overview.record(now.as_ref().unwrap_or(&one.last));
            match self.out.is_json {
                true => self.out.json(&json!(record))?,
                false => self.out.note(&format!("{}: {}", one.id, doing(&record))),
            }
        }
        Ok(())
    }

    /// Says on stderr what is waited for: on a terminal in one line that is painted over, else once
    /// for each reason.
    fn tell_progress(&mut self) -> Result<(), Refusal> {
        let now_ms = clock::monotonic_ms();
        if now_ms < self.next_told_ms {
            return Ok(());
        }
        let overview = Overview::read(self.view)?;
        let cost_ms = clock::monotonic_ms() - now_ms;
        self.next_told_ms = now_ms + TOLD_EVERY_MS.max(cost_ms * TOLD_PART);
        let look = Look { now_ms: clock::unix_ms(), ..self.out.look.clone() };
        let open = self.awaited.iter_mut().filter(|one| one.code.is_none());
        let records: HashMap<&str, &Record> = overview
            .open
            .iter()
            .filter_map(|record| Some((record.id.as_deref()?, record)))
            .collect();
        let mut first = None;
        let mut others = 0;
        for one in open {
            let Some(record) = records.get(one.id.as_str()) else { continue };
            others += usize::from(first.is_some());
            first = first.or_else(|| Some(progress_line(record, &look)));
            let reason = Some((record.shown_state(), record.waits_for.as_ref().map(|w| w.what)));
            if !self.progress.is_terminal() && reason != one.told {
                self.out.note(&format!("{}: {}", one.id, doing(record)));
                one.told = reason;
            }
        }
        if let Some(line) = first {
            let others = if others > 0 { format!(" (and {others} more)") } else { String::new() };
            self.progress.paint(&format!("{line}{others}"));
        }
        Ok(())
    }
}

/// `ID STATE TEXT`.
fn end_line(record: &Record) -> String {
    let mut said = Vec::new();
    said.extend(record.duration.or(record.elapsed).map(span::show));
    said.extend(record.total_cost_usd.map(amount::usd));
    let why: Vec<String> = record.shown_kind().into_iter().chain(record.error.clone()).collect();
    said.extend(Some(why.join(": ")).filter(|why| !why.is_empty()));
    let line = format!("{} {} {}", record.shown_id(), record.shown_state().name(), said.join(", "));
    shown(line.trim_end()) + "\n"
}

/// What it does or waits for, without anything that changes by itself.
fn doing(record: &Record) -> String {
    let state = record.shown_state().name();
    match &record.waits_for {
        Some(waits) => format!("{state}: {}", waits.text),
        None => state.into(),
    }
}

fn progress_line(record: &Record, look: &Look) -> String {
    let mut said = Vec::new();
    said.extend(record.elapsed.map(span::show));
    said.extend(record.turns.map(|turns| amount::of(turns, "turn")));
    match &record.waits_for {
        Some(waits) => said.push(super::status::text::in_local_time(waits, look)),
        None => said.extend(record.last_tool.clone()),
    }
    format!("{} {} {}", record.shown_id(), record.shown_state().name(), said.join(", "))
}

/// A line at the bottom of the terminal that is painted over, and gone in the end.
struct Progress {
    /// `None`: stderr is no terminal.
    columns: Option<usize>,
    /// How wide the line is that stands there.
    painted: usize,
}

impl Progress {
    fn new() -> Progress {
        Progress { columns: terminal::stderr_columns(), painted: 0 }
    }

    fn is_terminal(&self) -> bool {
        self.columns.is_some()
    }

    fn paint(&mut self, line: &str) {
        // It may have another size by now.
        let Some(columns) = self.columns.and(terminal::stderr_columns()) else { return };
        let line = width::cut(&shown(line), columns.saturating_sub(1));
        let columns = width::of(&line);
        let rest = self.painted.saturating_sub(columns);
        let _ = write!(io::stderr(), "\r{line}{}{}", " ".repeat(rest), "\u{8}".repeat(rest));
        self.painted = columns;
    }

    fn clear(&mut self) {
        if self.painted > 0 {
            let _ = write!(io::stderr(), "\r{}\r", " ".repeat(self.painted));
            self.painted = 0;
        }
    }
}
