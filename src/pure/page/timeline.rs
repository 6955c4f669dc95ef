//! The timeline: a lane for each project, a bar for each session, with what each waited for.
//!
//! Owns where a bar stands and what it looks like. An outcome has a colour and a form of its own,
//! so that nobody needs the colour; the table says all of it once more in words. Positions are
//! parts of a hundred, as attributes, so that a lane is as wide as there is room.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::html::{Html, text};
use crate::pure::human::look::Look;
use crate::pure::report::{AttemptReport, Status};
use crate::pure::tally::holds::HoldSpan;
use crate::pure::tally::{EndedDispatch, Tally};
use crate::pure::text::time::parse_rfc3339;

/// Lanes and bars that a page can show; what is beyond is in the tables.
const LANES_MAX: usize = 60;
const ATTEMPTS_MAX: usize = 50;
/// A bar is never narrower, in parts of a hundred.
const WIDTH_MIN: f64 = 0.12;
/// A wait that is shorter than this cannot be seen, in parts of a hundred.
const WAIT_MIN: f64 = 0.2;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Between two marks of the axis.
const STEPS_MS: [i64; 16] = [
    60_000,
    300_000,
    900_000,
    HOUR_MS / 2,
    HOUR_MS,
    2 * HOUR_MS,
    4 * HOUR_MS,
    8 * HOUR_MS,
    DAY_MS,
    2 * DAY_MS,
    7 * DAY_MS,
    14 * DAY_MS,
    30 * DAY_MS,
    90 * DAY_MS,
    365 * DAY_MS,
    3650 * DAY_MS,
];
const MARKS_MAX: i64 = 9;

/// What the axis reaches over, in milliseconds since 1970.
#[derive(Clone, Copy)]
struct Axis {
    from_ms: i64,
    until_ms: i64,
}

/// The dispatches of one project, each with its row in the table.
type Sessions<'a> = Vec<(usize, &'a EndedDispatch)>;

/// The forms, with what they mean.
const KEY: [(Form, &str); 7] = [
    (Form::Completed, "completed (solid)"),
    (Form::Failed, "failed (taller)"),
    (Form::Timeout, "timeout (taller, broken)"),
    (Form::Cancelled, "cancelled (short, hollow)"),
    (Form::Retried, "tried again (hollow)"),
    (Form::Wait, "waits, in the queue or for a retry"),
    (Form::Hold, "agent held (dashed)"),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Completed,
    Failed,
    Timeout,
    Cancelled,
    /// An attempt after which another one came.
    Retried,
    Wait,
    Hold,
}

pub(super) fn timeline(tally: &Tally, ended: &[EndedDispatch], look: &Look, page: &mut Html) {
    page.push_str("<h2>Timeline</h2>\n");
    let axis = Axis::over(tally, ended);
    let mut lanes: BTreeMap<(&str, Option<&str>), Sessions> = BTreeMap::new();
    for (row, dispatch) in ended.iter().enumerate() {
        let lane = (dispatch.project(), dispatch.project_dir.as_deref());
        lanes.entry(lane).or_default().push((row, dispatch));
    }
    if lanes.is_empty() && tally.holds.is_empty() {
        page.push_str("<p>Nothing ended in this time.</p>\n");
        return;
    }
    key(page);
    page.push_str("<div class=scroll tabindex=0 role=region aria-label=Timeline><div class=lanes>");
    axis.marks(look, page);
    hold_lane(&tally.holds, axis, look, page);
    let count = lanes.len();
    for ((project, _), dispatches) in lanes.into_iter().take(LANES_MAX) {
        lane(project, &dispatches, axis, page);
    }
    page.push_str("</div></div>\n");
    if count > LANES_MAX {
        let _ =
            write!(page, "<p class=note>{} more projects are in the table.</p>", count - LANES_MAX);
    }
}

fn key(page: &mut Html) {
    page.push_str("<ul class=key>");
    for (form, means) in KEY {
        page.push_str("<li><svg aria-hidden=true>");
        bar(form, 10.0, 80.0, page);
        let _ = write!(page, "</svg>{means}</li>");
    }
    page.push_str("</ul>\n");
}

fn hold_lane(holds: &[HoldSpan], axis: Axis, look: &Look, page: &mut Html) {
    if holds.is_empty() {
        return;
    }
    page.push_str("<div class=lane><b>Holds</b><svg role=img aria-label=\"");
    let told = |hold: &HoldSpan| format!("{} held, {}", hold.who(), hold.kind);
    text(page, &holds.iter().map(told).collect::<Vec<_>>().join("; "));
    page.push_str("\">");
    for hold in holds {
        let until = look.stamp(hold.until_ms);
        page.push_str("<g><title>");
        text(page, &format!("{}, {} until {until}", told(hold), look.stamp(hold.from_ms)));
        page.push_str("</title>");
        let (x, width) = axis.place(hold.from_ms, hold.until_ms);
        bar(Form::Hold, x, width, page);
        page.push_str("</g>");
    }
    page.push_str("</svg></div>");
}

fn lane(project: &str, dispatches: &[(usize, &EndedDispatch)], axis: Axis, page: &mut Html) {
    let sessions: usize = dispatches.iter().map(|(_, one)| one.report.attempts.len()).sum();
    let done = |(_, one): &&(usize, &EndedDispatch)| one.report.status == Status::Completed;
    let completed = dispatches.iter().filter(done).count();
    let about = format!(
        "{project}: {} dispatches in {sessions} sessions, {completed} completed",
        dispatches.len()
    );
    page.push_str("<div class=lane><b>");
    text(page, project);
    page.push_str("</b><svg role=img aria-label=\"");
    text(page, &about);
    page.push_str("\">");
    for (row, dispatch) in dispatches {
        bars(*row, dispatch, axis, page);
    }
    page.push_str("</svg></div>");
}

/// The sessions of one dispatch, and what it waited for between them.
fn bars(row: usize, dispatch: &EndedDispatch, axis: Axis, page: &mut Html) {
    let report = &dispatch.report;
    let first = dispatch.started_at_ms().or_else(|| dispatch.finished_at_ms());
    let Some(first) = first else { return };
    let attempts = &report.attempts[report.attempts.len().saturating_sub(ATTEMPTS_MAX)..];
    let mut free_since = dispatch.accepted_at_ms.unwrap_or(first);
    for (at, attempt) in attempts.iter().enumerate() {
        let Some((from, until)) = lasted(attempt) else { continue };
        wait(free_since, from, axis, page);
        free_since = until;
        let is_last = at + 1 == attempts.len();
        let form = if is_last { form(report.status) } else { Form::Retried };
        let (x, width) = axis.place(from, until);
        bar_of(Some(row), form, x, width, page);
    }
    if attempts.is_empty() {
        let end = dispatch.finished_at_ms().unwrap_or(first);
        wait(free_since, end, axis, page);
        let (x, width) = axis.place(end, end);
        bar_of(Some(row), form(report.status), x, width, page);
    }
}

fn form(status: Status) -> Form {
    match status {
        Status::Completed => Form::Completed,
        Status::Failed => Form::Failed,
        Status::Timeout => Form::Timeout,
        Status::Cancelled => Form::Cancelled,
    }
}

/// From when until when a session ran.
fn lasted(attempt: &AttemptReport) -> Option<(i64, i64)> {
    let from = attempt.started_at.as_deref().and_then(parse_rfc3339)?;
    let ms = attempt.duration.unwrap_or_default() * 1000.0;
    Some((from, from.saturating_add(ms as i64)))
}

fn wait(from: i64, until: i64, axis: Axis, page: &mut Html) {
    let (x, width) = axis.place(from, until);
    if until > from && width > WAIT_MIN {
        bar(Form::Wait, x, width, page);
    }
}

/// `x` and `width` are parts of a hundred.
fn bar(form: Form, x: f64, width: f64, page: &mut Html) {
    bar_of(None, form, x, width, page);
}

/// The same for a bar that opens the story of a row.
fn bar_of(row: Option<usize>, form: Form, x: f64, width: f64, page: &mut Html) {
    let (class, top, height) = match form {
        Form::Completed => ("ok", 12, 16),
        Form::Failed => ("fail", 2, 26),
        Form::Timeout => ("late", 12, 16),
        Form::Cancelled => ("gone", 20, 8),
        Form::Retried => ("again", 12, 16),
        Form::Hold => ("held", 8, 18),
        Form::Wait => {
            let end = x + width;
            let _ = write!(page, "<line class=wait x1={x:.2}% x2={end:.2}% y1=20 y2=20 />");
            return;
        }
    };
    let opens = row.map(|row| format!(" data-row=d{row}")).unwrap_or_default();
    let mut rect = |top: u32, height: u32| {
        let _ = write!(
            page,
            "<rect class={class}{opens} x={x:.2}% y={top} width={width:.2}% height={height} />"
        );
    };
    rect(top, height);
    if form == Form::Timeout {
        rect(2, 5);
    }
}

impl Axis {
    /// Reaches over the window, or over all that is there, and never over nothing.
    fn over(tally: &Tally, ended: &[EndedDispatch]) -> Axis {
        let begins = ended.iter().filter_map(EndedDispatch::started_at_ms);
        let holds = tally.holds.iter().map(|hold| hold.from_ms);
        let first = begins.chain(holds).min();
        let until_ms = tally.window.until_ms;
        let from_ms = tally.window.since_ms.or(first).unwrap_or(until_ms);
        Axis { from_ms: from_ms.min(until_ms - 60_000), until_ms }
    }

    /// Where a span of time stands, and how wide it is: parts of a hundred.
    fn place(self, from_ms: i64, until_ms: i64) -> (f64, f64) {
        let all = (self.until_ms - self.from_ms) as f64;
        let part = |at: i64| {
            let at = at.clamp(self.from_ms, self.until_ms);
            (at - self.from_ms) as f64 * 100.0 / all
        };
        let (from, until) = (part(from_ms), part(until_ms));
        let width = (until - from).max(WIDTH_MIN);
        (from.min(100.0 - width), width)
    }

    fn marks(self, look: &Look, page: &mut Html) {
        let length = self.until_ms - self.from_ms;
        let step = STEPS_MS.into_iter().find(|step| length / step < MARKS_MAX);
        let step = step.unwrap_or(length);
        // They stand at whole hours and days of the zone.
        let offset = look.zone.local(self.from_ms).offset_minutes * 60_000;
        let mut at = (self.from_ms + offset).div_euclid(step) * step + step - offset;
        page.push_str("<div class=lane><b></b><svg aria-hidden=true>");
        while at < self.until_ms {
            let (x, _) = self.place(at, at);
            let local = look.zone.local(at);
            let label = if step < DAY_MS { local.clock() } else { local.date() };
            let _ = write!(page, "<line class=tick x1={x:.2}% x2={x:.2}% y1=20 y2=32 />");
            // The last one has no room on its right.
            let anchor = if x > 96.0 { "end" } else { "middle" };
            let _ = write!(page, "<text x={x:.2}% y=16 text-anchor={anchor}>{label}</text>");
            at += step;
        }
        page.push_str("</svg></div>");
    }
}
