//! `status` for people: one line for the daemon, then a part for each kind of dispatch that there
//! is. Owns the words and the columns of it.

use super::Status;
use crate::commands::list::style_of;
use crate::pure::heartbeat::HeartbeatHold;
use crate::pure::human::look::{Look, Style};
use crate::pure::human::table::{self, Cell, Column};
use crate::pure::human::{amount, span, width};
use crate::pure::liveness::Liveness;
use crate::pure::record::waits::WaitsFor;
use crate::pure::record::{DispatchState, Record};
use crate::pure::text::escape;
use crate::pure::text::time::parse_rfc3339;

/// Where what belongs to a label begins.
const LABEL_COLUMNS: usize = 8;
/// Where the directory stands if no terminal says how wide it is.
const HOME_COLUMN: usize = 74;
/// How many of one kind are shown on a terminal.
pub(super) const SHOWN_MAX: usize = 20;

/// The whole page. On a terminal no part of it has more than `most` rows, with the rest counted.
pub(super) fn render(status: &Status, most: usize, look: &Look) -> String {
    let mut text = first_line(status, look);
    let daemon = &status.overview.daemon;
    if daemon.liveness.is_there()
        && let Some(why) = &daemon.beat.degraded
    {
        text += &note("DEGRADED", why, Style::Bad, look);
    }
    let running = status.of_state(DispatchState::Running);
    let queue = status.of_state(DispatchState::Queued);
    let (pending, inbox) =
        (status.of_state(DispatchState::Pending), status.of_state(DispatchState::Inbox));
    let finished: Vec<&Record> = status.finished.iter().collect();
    let parts = [&running, &queue, &pending, &inbox, &finished];
    let records = || parts.into_iter().flatten();
    let in_line = InLine {
        most: if look.width.is_some() { most } else { usize::MAX },
        id: records().map(|record| Cell::new(record.shown_id()).columns()).max().unwrap_or(0),
        project: records().map(|record| Cell::new(project(record)).columns()).max().unwrap_or(0),
    };
    text += &part("SESSIONS", &in_line, &running, look, &|record, _| session(record, look));
    text += &part("QUEUE", &in_line, &queue, look, &|record, _| waiting(record, look));
    text += &part("PENDING", &in_line, &pending, look, &|record, _| waiting(record, look));
    text += &part("INBOX", &in_line, &inbox, look, &|record, _| waiting(record, look));
    text += &holds(&daemon.beat.holds, look);
    text += &part("FINISHED", &in_line, &finished, look, &|record, _| ended(record, look));
    if status.undelivered > 0 {
        let said = format!("{} not delivered", status.undelivered);
        text += &note("CALLBACK", &said, Style::Plain, look);
    }
    if status.rejected > 0 {
        let said =
            format!("{} kept; list --state rejected", amount::of(status.rejected as u64, "file"));
        text += &note("REJECTED", &said, Style::Plain, look);
    }
    text
}

fn first_line(status: &Status, look: &Look) -> String {
    let daemon = &status.overview.daemon;
    let (word, style) = match daemon.liveness {
        Liveness::Run => ("running", Style::Good),
        Liveness::Drain => ("drain", Style::Busy),
        Liveness::Stopped | Liveness::None => (daemon.liveness.name(), Style::Plain),
        Liveness::Dead | Liveness::Hung => (daemon.liveness.name(), Style::Bad),
    };
    let mut said = Vec::new();
    if let Some(pid) = daemon.pid().filter(|_| daemon.liveness.is_there()) {
        let since = daemon.holder.and_then(|holder| holder.since_ms);
        let age = since.map(|since| (look.now_ms - since).max(0).unsigned_abs() / 1000);
        let age = age.map(|age| format!(" for {}", span::show(age))).unwrap_or_default();
        said.push(format!("pid {pid}{age}"));
        let active = status.overview.in_state(DispatchState::Running).count();
        said.extend(daemon.beat.max_concurrent.map(|max| format!("{active} of {max} slots")));
    }
    let beat = daemon.beat.at_ms().map(|at| format!("last beat {}", look.when(at)));
    match daemon.liveness {
        Liveness::Run | Liveness::Drain => {}
        Liveness::Hung | Liveness::Stopped | Liveness::Dead => said.extend(beat),
        Liveness::None => said.push("no daemon has run here".into()),
    }
    if let Some(pause) = daemon.pause {
        let until = pause.until_ms().map(|at| format!(" until {}", look.until(at)));
        said.push(format!("PAUSED{}", until.unwrap_or_default()));
    }
    let home = escape::line(&look.path(&status.home.to_string_lossy()));
    let line = format!("{}  {}", width::pad(word, LABEL_COLUMNS), said.join(", "));
    let end = look.width.unwrap_or(HOME_COLUMN + width::of(&home));
    let gap = end.saturating_sub(width::of(&line) + width::of(&home));
    let line = match gap {
        2.. => format!("{line}{}{home}", " ".repeat(gap)),
        // The directory is what people know already.
        0 | 1 if look.width.is_some() => line,
        0 | 1 => format!("{line}  {home}"),
    };
    let line = look.fit(&line);
    let rest = line.strip_prefix(word).unwrap_or_default();
    format!("{}{rest}\n", look.paint(style, word))
}

/// A line that is no table.
fn note(label: &str, said: &str, style: Style, look: &Look) -> String {
    let cells = vec![Cell::styled(label, Style::Bold), Cell::styled(said, style)];
    let columns = [label_column(), Column::new("", 0, 10)];
    table::render(&columns, &[cells], false, look)
}

/// The columns that all parts share.
struct InLine {
    /// So many rows.
    most: usize,
    id: usize,
    project: usize,
}

fn label_column() -> Column {
    Column { in_line: LABEL_COLUMNS, ..Column::new("", 8, LABEL_COLUMNS) }
}

fn part(
    label: &str,
    in_line: &InLine,
    records: &[&Record],
    look: &Look,
    cells: &dyn Fn(&Record, usize) -> Vec<Cell>,
) -> String {
    let shown = in_line.most;
    let row = |(at, record): (usize, &&Record)| {
        let mut row = vec![
            Cell::styled(&labelled(label, at, record), Style::Bold),
            Cell::new(record.shown_id()),
            Cell::new(project(record)),
        ];
        row.extend(cells(record, at));
        row
    };
    let rows: Vec<Vec<Cell>> = records.iter().take(shown).enumerate().map(row).collect();
    let most = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut columns = vec![
        label_column(),
        Column { in_line: in_line.id, ..Column::new("", 9, 8) },
        Column { in_line: in_line.project, ..Column::new("", 3, 6) },
    ];
    // The last column says least.
    let others = (columns.len()..most).rev().zip([0_u8, 1, 2, 4, 5, 6]);
    let mut others: Vec<Column> = others.map(|(_, keeps)| Column::new("", keeps, 7)).collect();
    others.reverse();
    columns.extend(others);
    let mut text = table::render(&columns, &rows, false, look);
    if records.len() > shown {
        let more = format!("… {} more", records.len() - shown);
        text += &format!("{}{more}\n", " ".repeat(LABEL_COLUMNS + 2));
    }
    text
}

/// The label stands once, and beside each that is queued its place.
fn labelled(label: &str, at: usize, record: &Record) -> String {
    let label = if at == 0 { label } else { "" };
    match record.position {
        Some(place) => {
            let room = LABEL_COLUMNS.saturating_sub(width::of(label));
            format!("{label}{place:>room$}")
        }
        None => label.into(),
    }
}

fn project(record: &Record) -> &str {
    record.project.as_deref().unwrap_or_default()
}

fn session(record: &Record, look: &Look) -> Vec<Cell> {
    let turns = record.turns.map(|turns| amount::of(turns, "turn")).unwrap_or_default();
    let cost = record.total_cost_usd.map(amount::usd).unwrap_or_default();
    let ago = |at: i64| look.when(at);
    let activity = record.last_activity.as_deref().and_then(parse_rfc3339).map(ago);
    let attempt = record.attempt.filter(|attempt| *attempt > 1);
    let mut said: Vec<String> = attempt.map(|n| format!("attempt {n}")).into_iter().collect();
    if record.cancel_requested {
        said.push("being cancelled".into());
    }
    match &record.waits_for {
        Some(waits) => said.push(in_local_time(waits, look)),
        None => said.extend(record.last_tool.clone().into_iter().chain(activity)),
    }
    vec![
        Cell::new(&record.elapsed.map(span::show).unwrap_or_default()),
        Cell::new(&turns),
        Cell::new(&cost),
        Cell::new(&said.join(", ")),
    ]
}

fn waiting(record: &Record, look: &Look) -> Vec<Cell> {
    let waits = record.waits_for.as_ref().map(|waits| in_local_time(waits, look));
    let cancel = record.cancel_requested.then(|| "to be cancelled".to_string());
    let said: Vec<String> = cancel.into_iter().chain(waits).collect();
    vec![Cell::new(&said.join("; "))]
}

fn ended(record: &Record, look: &Look) -> Vec<Cell> {
    let state = record.shown_state();
    vec![
        Cell::styled(state.name(), style_of(state)),
        Cell::new(&record.shown_kind().unwrap_or_default()),
        Cell::new(&record.ended_ms().map(|at| look.when(at)).unwrap_or_default()),
        Cell::new(&record.duration.map(span::show).unwrap_or_default()),
        Cell::new(&record.total_cost_usd.map(amount::usd).unwrap_or_default()),
    ]
}

fn holds(holds: &[HeartbeatHold], look: &Look) -> String {
    let row = |(at, hold): (usize, &HeartbeatHold)| {
        let kind = serde_json::to_value(hold.kind).ok();
        let kind = kind.as_ref().and_then(|kind| kind.as_str()).unwrap_or_default();
        let until = parse_rfc3339(&hold.until).map(|at| format!("until {}", look.until(at)));
        let until = until.unwrap_or_default();
        let waits = if hold.waiting == 1 { "waits" } else { "wait" };
        let agent = if hold.agent.is_empty() { "every agent" } else { &hold.agent };
        let project = hold.project.as_deref().map(|project| format!(" in {project}"));
        vec![
            Cell::styled(if at == 0 { "HOLDS" } else { "" }, Style::Bold),
            Cell::new(&format!("{agent}{}", project.unwrap_or_default())),
            Cell::new(kind),
            Cell::new(&format!("{until}, {} {waits}", hold.waiting)),
            Cell::new(&hold.reason),
        ]
    };
    let rows: Vec<Vec<Cell>> = holds.iter().enumerate().map(row).collect();
    let columns = [
        label_column(),
        Column::new("", 3, 8),
        Column::new("", 5, 8),
        Column::new("", 4, 12),
        Column::new("", 0, 8),
    ];
    table::render(&columns, &rows, false, look)
}

/// What a dispatch waits for, with its time as people read it.
pub fn in_local_time(waits: &WaitsFor, look: &Look) -> String {
    let Some(until) = &waits.until else { return waits.text.clone() };
    match parse_rfc3339(until) {
        Some(at) => waits.text.replace(until, &look.until(at)),
        None => waits.text.clone(),
    }
}
