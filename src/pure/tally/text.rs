//! The numbers of `report` as tables for people.
//!
//! Owns which columns there are: what became of the dispatches, and what they took. Two tables fit
//! the terminal where one with all columns does not.

use super::holds::HoldSpan;
use super::{Numbers, Share, Tally};
use crate::pure::human::look::Look;
use crate::pure::human::table::{self, Cell, Column};
use crate::pure::human::{amount, span};

/// The row of the sums.
const ALL: &str = "all";

pub fn text(tally: &Tally, look: &Look) -> String {
    let mut text = heading(tally, look);
    if tally.all.dispatches > 0 {
        let all = Share { name: ALL.into(), project_dir: None, numbers: tally.all.clone() };
        let projects: Vec<&Share> = tally.projects.iter().chain([&all]).collect();
        let agents: Vec<&Share> = tally.agents.iter().collect();
        for (header, shares) in [("PROJECT", &projects), ("AGENT", &agents)] {
            text += "\n";
            text += &outcomes(header, shares, look);
            text += "\n";
            text += &costs(header, shares, look);
        }
    }
    text + &errors(tally, look) + &holds(&tally.holds, look)
}

fn heading(tally: &Tally, look: &Look) -> String {
    let until = look.stamp(tally.window.until_ms);
    let window = match tally.window.since_ms {
        Some(since) => format!("{} until {until}", look.stamp(since)),
        None => format!("until {until}"),
    };
    let ended = match tally.all.dispatches {
        0 => "nothing ended".into(),
        1 => "1 dispatch ended".into(),
        count => format!("{count} dispatches ended"),
    };
    let rejected = match tally.rejected {
        0 => String::new(),
        1 => "; 1 file was rejected".into(),
        count => format!("; {count} files were rejected"),
    };
    format!("{}\n{}\n", look.fit(&window), look.fit(&format!("{ended}{rejected}")))
}

fn column(header: &'static str, keeps: u8) -> Column {
    Column::new(header, keeps, header.len())
}

/// The name of a project or an agent: it gives way first.
fn first(header: &'static str) -> Column {
    Column::new(header, 0, 7)
}

fn outcomes(header: &'static str, shares: &[&Share], look: &Look) -> String {
    let columns = [
        first(header),
        column("ENDED", 9),
        column("COMPLETED", 8),
        column("FAILED", 7),
        column("TIMEOUT", 6),
        column("CANCELLED", 5),
        column("RETRIES", 4),
        column("SUCCESS", 3),
    ];
    let row = |share: &&Share| {
        let Numbers { dispatches, completed, failed, timeout, cancelled, retries, .. } =
            share.numbers;
        let mut cells = vec![name(share)];
        let counts = [dispatches, completed, failed, timeout, cancelled, retries];
        cells.extend(counts.iter().map(|count| Cell::new(&count.to_string())));
        cells.push(Cell::new(&percent(&share.numbers)));
        cells
    };
    table::render(&columns, &shares.iter().map(row).collect::<Vec<_>>(), true, look)
}

fn costs(header: &'static str, shares: &[&Share], look: &Look) -> String {
    let columns = [
        first(header),
        column("TIME", 9),
        column("COST", 8),
        column("TOKENS IN", 7),
        column("TOKENS OUT", 6),
        column("COMMITS", 5),
    ];
    let row = |share: &&Share| {
        let Numbers { duration, total_cost_usd, input_tokens, output_tokens, commits, .. } =
            share.numbers;
        let count = |tokens: Option<u64>| tokens.map(amount::count).unwrap_or_default();
        vec![
            name(share),
            Cell::new(&span::show(duration)),
            Cell::new(&total_cost_usd.map(amount::usd).unwrap_or_default()),
            Cell::new(&count(input_tokens)),
            Cell::new(&count(output_tokens)),
            Cell::new(&commits.to_string()),
        ]
    };
    table::render(&columns, &shares.iter().map(row).collect::<Vec<_>>(), true, look)
}

fn name(share: &Share) -> Cell {
    Cell::new(if share.name.is_empty() { "?" } else { &share.name })
}

/// `75 %`.
pub fn percent(numbers: &Numbers) -> String {
    let shown = |rate: f64| format!("{:.0} %", (rate * 100.0).floor());
    numbers.success_rate.map(shown).unwrap_or_default()
}

fn errors(tally: &Tally, look: &Look) -> String {
    if tally.error_types.is_empty() {
        return String::new();
    }
    let columns = [column("ERROR", 0), column("COUNT", 9)];
    let row = |(kind, count): (&String, &u64)| vec![Cell::new(kind), Cell::new(&count.to_string())];
    let rows: Vec<_> = tally.error_types.iter().map(row).collect();
    format!("\n{}", table::render(&columns, &rows, true, look))
}

fn holds(holds: &[HoldSpan], look: &Look) -> String {
    if holds.is_empty() {
        return String::new();
    }
    let columns = [column("HELD", 9), column("KIND", 8), column("FROM", 7), column("UNTIL", 6)];
    let row = |span: &HoldSpan| {
        vec![
            Cell::new(&span.who()),
            Cell::new(&span.kind),
            Cell::new(&look.when(span.from_ms)),
            Cell::new(&look.when(span.until_ms)),
        ]
    };
    let rows: Vec<_> = holds.iter().map(row).collect();
    format!("\n{}", table::render(&columns, &rows, true, look))
}
