//! `list`: the dispatches, open ones first, then what ended last.

use serde_json::{Value, json};

use super::out::{Out, Reply};
use super::overview::{Overview, Wants};
use super::{Place, Refusal};
use crate::pure::command::code::Code;
use crate::pure::command::list::ListCall;
use crate::pure::command::typed::Typed;
use crate::pure::human::look::{Look, Style};
use crate::pure::human::table::{self, Cell, Column};
use crate::pure::human::{amount, span};
use crate::pure::record::{DispatchState, Record};
use crate::pure::text::time::parse_rfc3339;

/// A clock that was set back, or a line that came late, ends no list: only so many dispatches that
/// ended before the time that was asked for do.
const TOO_OLD_MAX: u32 = 50;

/// The dispatches that were asked for.
pub struct Listed {
    records: Vec<Record>,
    is_ids: bool,
}

pub fn run(typed: &Typed, place: &Place, out: &Out) -> Result<Code, Refusal> {
    let call = ListCall::of(typed, &out.look.zone, out.look.now_ms).map_err(Refusal::WrongUsage)?;
    let listed = list(place, &call)?;
    if listed.records.is_empty() && !out.is_json {
        out.note("no dispatches");
        return Ok(Code::Done);
    }
    out.answer(&listed)?;
    Ok(Code::Done)
}

fn list(place: &Place, call: &ListCall) -> Result<Listed, Refusal> {
    let view = place.view();
    let mut overview = Overview::read(&view)?;
    let mut ended: Vec<Record> = Vec::new();
    let mut too_old = 0;
    let mut take = |record: Record| {
        let is_old = call.since_ms.zip(record.ended_ms()).is_some_and(|(since, at)| at < since);
        too_old += u32::from(is_old);
        if call.takes(&record) {
            ended.push(record);
        }
        let is_enough = call.limit.is_some_and(|limit| ended.len() >= limit);
        if is_enough || too_old > TOO_OLD_MAX { Wants::NoMore } else { Wants::More }
    };
    if call.takes_ended() {
        overview.ended(&view, &mut take)?;
    }
    ended.sort_by_key(|record| std::cmp::Reverse(record.ended_ms()));
    overview.forget(&ended);
    let mut records = overview.open;
    records.retain(|record| call.takes(record));
    records.extend(ended);
    Ok(Listed { records, is_ids: call.is_ids })
}

impl Reply for Listed {
    fn text(&self, look: &Look) -> String {
        if self.is_ids {
            let ids = self.records.iter().filter_map(|record| record.id.as_deref());
            return ids.map(|id| format!("{id}\n")).collect();
        }
        let rows: Vec<Vec<Cell>> = self.records.iter().map(|record| row(record, look)).collect();
        table::render(&COLUMNS, &rows, true, look)
    }

    fn json(&self) -> Value {
        match self.is_ids {
            true => self.records.iter().filter_map(|record| record.id.as_deref()).collect(),
            false => json!(self.records),
        }
    }
}

const COLUMNS: [Column; 7] = [
    Column::new("ID", 9, 8),
    Column::new("STATE", 5, 9),
    Column::new("PROJECT", 2, 6),
    Column::new("WHEN", 4, 8),
    Column::new("TIME", 3, 7),
    Column::new("COST", 1, 5),
    Column::new("TASK", 0, 8),
];

fn row(record: &Record, look: &Look) -> Vec<Cell> {
    let state = record.shown_state();
    let at = match state {
        DispatchState::Running => &record.started_at,
        DispatchState::Inbox | DispatchState::Pending | DispatchState::Queued => {
            &record.accepted_at
        }
        _ => &record.finished_at,
    };
    let when = at.as_deref().and_then(parse_rfc3339).map(|at| look.when(at));
    let seconds = record.duration.or(record.elapsed);
    let cost = record.total_cost_usd.map(amount::usd);
    vec![
        Cell::new(record.shown_id()),
        Cell::styled(state.name(), style_of(state)),
        Cell::new(record.project.as_deref().unwrap_or_default()),
        Cell::new(&when.unwrap_or_default()),
        Cell::new(&seconds.map(span::show).unwrap_or_default()),
        Cell::new(&cost.unwrap_or_default()),
        Cell::new(record.title.as_deref().unwrap_or_default()),
    ]
}

/// The colour of a state, wherever it is shown.
pub fn style_of(state: DispatchState) -> Style {
    match state {
        DispatchState::Running => Style::Busy,
        DispatchState::Completed => Style::Good,
        DispatchState::Failed | DispatchState::Timeout | DispatchState::Rejected => Style::Bad,
        DispatchState::Cancelled => Style::Dim,
        DispatchState::Inbox | DispatchState::Pending | DispatchState::Queued => Style::Plain,
    }
}
