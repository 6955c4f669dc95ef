//! Tells what the attempts of a dispatch left and what they add to it, in order and each line once.
//!
//! Owns how far it has come: which attempts are told, and how much was read of the present one. An
//! attempt is over when its end is on record, a later one has begun, or the answer stands; only
//! then is its last line told without a newline, and what is read after that sight is all of it.

use crate::effects::error::Result;
use crate::effects::store::{AttemptLogs, Stream};
use crate::pure::agent::lines::Lines;
use crate::pure::agent::{Drivers, ItemReader, StreamItem};
use crate::pure::logs::people::STDERR_LINES_MAX;
use crate::pure::logs::{AttemptBegun, AttemptOver, LogItem};
use crate::pure::report::{AttemptReport, Report};

/// Words that were not told after so many looks without news are told, whole line or not.
const QUIET_LOOKS: u32 = 2;

/// Who takes what is told.
pub trait Listener {
    /// Whether the bytes of the streams are wanted, and no items.
    fn is_raw(&self) -> bool;
    fn item(&mut self, attempt: u32, item: &LogItem);
    fn bytes(&mut self, bytes: &[u8]);
    /// What cannot be shown, and why.
    fn trouble(&mut self, why: &str);
}

/// What is told, and of whom.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    pub logs: &'a AttemptLogs,
    pub drivers: &'a Drivers,
    pub agent: &'a str,
    /// This attempt alone.
    pub only: Option<u32>,
}

pub struct Telling<'a> {
    subject: Subject<'a>,
    /// All attempts up to this one are told.
    told: u32,
    current: Option<Current>,
    /// Leaves out what stands before the last bytes of the first attempt.
    near_end: Option<u64>,
}

/// An attempt that is being told.
struct Current {
    number: u32,
    /// `None` until it is there.
    stream: Option<Stream>,
    is_in_trouble: bool,
    lines: Lines,
    items: Box<dyn ItemReader>,
    left_out: u64,
    quiet_looks: u32,
}

impl<'a> Telling<'a> {
    /// Begins with this attempt: with its beginning, or with the first line within the last bytes
    /// of its stream.
    pub fn from(subject: Subject<'a>, attempt: u32, near_end: Option<u64>) -> Telling<'a> {
        Telling { subject, told: attempt.saturating_sub(1), current: None, near_end }
    }

    /// The attempts that there are to tell, in order.
    pub fn numbers(subject: &Subject) -> Result<Vec<u32>> {
        let mut numbers = match subject.logs.report()? {
            // It counts its attempts: a folder that is not among them is made up.
            Some(report) => report.attempts.iter().map(|one| one.attempt).collect(),
            None => subject.logs.numbers()?,
        };
        numbers.retain(|number| subject.only.is_none_or(|only| only == *number));
        Ok(numbers)
    }

    /// Tells all that there is by now. True if there was something new.
    pub fn look(&mut self, listener: &mut dyn Listener) -> Result<bool> {
        let mut is_news = false;
        loop {
            if self.current.is_none() {
                let Some(number) = self.next()? else { return Ok(is_news) };
                self.begin(number, listener)?;
                is_news = true;
            }
            let Some(current) = &mut self.current else { return Ok(is_news) };
            let number = current.number;
            // This comes first: what is read afterwards is everything.
            let is_over = is_over(&self.subject, number)?;
            is_news |= current.read(&self.subject, listener)?;
            if !is_over {
                return Ok(is_news);
            }
            if let Some(current) = self.current.take() {
                current.finish(listener);
            }
            self.told = number;
            tell_end(&self.subject, number, listener)?;
        }
    }

    /// Tells what is kept back to be joined with more, since nobody waits for more.
    pub fn flush(&mut self, listener: &mut dyn Listener) {
        if let Some(current) = &mut self.current {
            let number = current.number;
            current.items.flush(true, &mut |item| listener.item(number, &LogItem::Stream(item)));
        }
    }

    /// Whether this attempt was told to its end.
    pub fn has_told(&self, attempt: u32) -> bool {
        self.told >= attempt
    }

    fn next(&self) -> Result<Option<u32>> {
        let numbers = Telling::numbers(&self.subject)?;
        Ok(numbers.into_iter().find(|number| *number > self.told))
    }

    fn begin(&mut self, number: u32, listener: &mut dyn Listener) -> Result<()> {
        let Subject { logs, drivers, agent, .. } = self.subject;
        let start = logs.start(number)?;
        let dialect = start.as_ref().and_then(|start| start.dialect.as_ref());
        let driver = drivers.of_session(agent, dialect).or_else(|| drivers.rows().next());
        let Some(driver) = driver else { return Ok(()) };
        let opened = logs.stream(number);
        let is_in_trouble = opened.is_err();
        let mut stream = opened.unwrap_or_else(|e| {
            listener.trouble(&e.to_string());
            None
        });
        let near_end = self.near_end.take();
        let mut is_from_start = true;
        if let (Some(stream), Some(bytes)) = (&mut stream, near_end) {
            is_from_start = bytes >= stream.size()?;
            stream.begin_near_end(bytes)?;
        }
        if is_from_start {
            let begun = match start {
                Some(start) => AttemptBegun::of(&start),
                None => begun_by_report(logs.report()?, number),
            };
            listener.item(number, &LogItem::AttemptStarted(begun));
        }
        self.current = Some(Current {
            number,
            stream,
            is_in_trouble,
            lines: Lines::new(),
            items: driver.items(),
            left_out: 0,
            quiet_looks: 0,
        });
        Ok(())
    }
}

impl Current {
    /// Reads what is there. True if there was something new.
    fn read(&mut self, subject: &Subject, listener: &mut dyn Listener) -> Result<bool> {
        if self.stream.is_none() && !self.is_in_trouble {
            self.stream = subject.logs.stream(self.number)?;
        }
        let mut is_news = false;
        loop {
            let Some(stream) = &mut self.stream else { return Ok(false) };
            let news = stream.look()?;
            if news.is_cut {
                self.lines = Lines::new();
            }
            if !news.is_more {
                break;
            }
            is_news = true;
            let Current { number, lines, items, .. } = self;
            let is_raw = listener.is_raw();
            stream.read_some(&mut |piece| match is_raw {
                true => listener.bytes(piece),
                false => lines.feed(piece, &mut |line| tell(*number, items, line, listener)),
            })?;
            self.tell_left_out(listener);
        }
        self.quiet_looks = if is_news { 0 } else { self.quiet_looks.saturating_add(1) };
        let number = self.number;
        let all = self.quiet_looks >= QUIET_LOOKS;
        self.items.flush(all, &mut |item| listener.item(number, &LogItem::Stream(item)));
        Ok(is_news)
    }

    fn tell_left_out(&mut self, listener: &mut dyn Listener) {
        let left_out = self.lines.skipped().too_long;
        for _ in self.left_out..left_out {
            let words = "a line is left out: it is too long to be read".to_string();
            listener.item(self.number, &LogItem::Stream(StreamItem::Other(words)));
        }
        self.left_out = left_out;
    }

    /// Tells what was kept back: nothing more comes.
    fn finish(self, listener: &mut dyn Listener) {
        let Current { number, lines, mut items, .. } = self;
        lines.finish(&mut |line| tell(number, &mut items, line, listener));
        items.flush(true, &mut |item| listener.item(number, &LogItem::Stream(item)));
    }
}

fn tell(number: u32, items: &mut Box<dyn ItemReader>, line: &[u8], listener: &mut dyn Listener) {
    items.line(line, &mut |item| listener.item(number, &LogItem::Stream(item)));
}

fn is_over(subject: &Subject, number: u32) -> Result<bool> {
    let logs = subject.logs;
    let is_later = |numbers: Vec<u32>| numbers.iter().any(|later| *later > number);
    Ok(logs.end(number)?.is_some() || logs.is_answered()? || is_later(logs.numbers()?))
}

/// Tells how an attempt ended, by its own record or by the report.
fn tell_end(subject: &Subject, number: u32, listener: &mut dyn Listener) -> Result<()> {
    let over = match subject.logs.end(number)? {
        Some(end) => Some(AttemptOver::of(&end)),
        None => in_report(subject.logs.report()?, number).map(|one| AttemptOver::of_report(&one)),
    };
    let Some(over) = over else { return Ok(()) };
    if over.error_type.is_some() && !listener.is_raw() {
        for line in subject.logs.stderr_lines(number, STDERR_LINES_MAX) {
            listener.item(number, &LogItem::Stderr(line));
        }
    }
    listener.item(number, &LogItem::AttemptEnded(over));
    Ok(())
}

fn begun_by_report(report: Option<Report>, number: u32) -> AttemptBegun {
    let one = in_report(report, number);
    one.map(|one| AttemptBegun::of_report(&one)).unwrap_or_default()
}

fn in_report(report: Option<Report>, number: u32) -> Option<AttemptReport> {
    report?.attempts.into_iter().find(|one| one.attempt == number)
}
