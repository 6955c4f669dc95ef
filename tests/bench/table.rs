//! What comes out: rows (figure, target, ours, floor, verdict, against, ratio), what was lost,
//! notes. Printed as tables, written as JSON, compared with an earlier JSON.

use serde_json::{Map, Value, json};

/// Worse than the baseline by more than this is said.
const WORSE_BY: f64 = 1.2;

const MISSED: &str = "MISSED";
const NOT_MEASURED: &str = "NOT MEASURED";
const HEAD: [&str; 7] = ["figure", "target", "measured", "floor", "verdict", "against", "ratio"];

#[derive(Clone, Copy, PartialEq)]
pub enum Unit {
    Ms,
    Seconds,
    PerSecond,
    Mb,
    Kb,
    Count,
    Percent,
    Times,
}

#[derive(Clone, Copy)]
pub enum Target {
    AtMost(f64),
    AtLeast(f64),
    /// The floor of this run, plus so much.
    FloorPlus(f64),
    /// At least this percentage of the floor of this run.
    ShareOfFloor(f64),
}

pub struct Row {
    /// Its name in JSON: stable.
    key: String,
    label: String,
    unit: Unit,
    /// Else less is better.
    more_is_better: bool,
    target: Option<Target>,
    ours: Option<f64>,
    floor: Option<f64>,
    against: Option<f64>,
}

impl Row {
    pub fn new(key: impl Into<String>, label: impl Into<String>, unit: Unit) -> Row {
        Row {
            key: key.into(),
            label: label.into(),
            unit,
            more_is_better: matches!(unit, Unit::PerSecond | Unit::Percent),
            target: None,
            ours: None,
            floor: None,
            against: None,
        }
    }

    pub fn target(self, target: Target) -> Row {
        Row { target: Some(target), ..self }
    }

    pub fn floor(self, floor: Option<f64>) -> Row {
        Row { floor, ..self }
    }

    pub fn ours(self, ours: Option<f64>) -> Row {
        Row { ours, ..self }
    }

    pub fn against(self, against: Option<f64>) -> Row {
        Row { against, ..self }
    }

    /// Of each side, in the order of [`crate::lab::Lab::sides`].
    pub fn sides(self, values: &[Option<f64>]) -> Row {
        let of = |side| values.get(side).copied().flatten();
        self.ours(of(0)).against(of(1))
    }

    fn verdict(&self) -> &'static str {
        let Some(target) = self.target else { return "" };
        let holds = match (target, self.ours, self.floor) {
            (Target::AtMost(most), Some(ours), _) => ours <= most,
            (Target::AtLeast(least), Some(ours), _) => ours >= least,
            (Target::FloorPlus(more), Some(ours), Some(floor)) => ours <= floor + more,
            (Target::ShareOfFloor(share), Some(ours), Some(floor)) => ours >= floor * share / 100.0,
            _ => return NOT_MEASURED,
        };
        if holds { "holds" } else { MISSED }
    }

    fn target_text(&self) -> String {
        match self.target {
            None => String::new(),
            Some(Target::AtMost(most)) => format!("≤ {}", show(most, self.unit)),
            Some(Target::AtLeast(least)) => format!("≥ {}", show(least, self.unit)),
            Some(Target::FloorPlus(more)) => format!("≤ floor + {}", show(more, self.unit)),
            Some(Target::ShareOfFloor(share)) => {
                format!("≥ {} of the floor", show(share, Unit::Percent))
            }
        }
    }

    /// What was measured, also as the target names it: beside the floor.
    fn ours_text(&self) -> String {
        let Some(ours) = self.ours else { return String::new() };
        let text = show(ours, self.unit);
        match (self.target, self.floor) {
            (Some(Target::ShareOfFloor(_)), Some(floor)) => {
                format!("{text} = {}", show(ours / floor * 100.0, Unit::Percent))
            }
            (Some(Target::FloorPlus(_)), Some(floor)) => {
                let sign = if ours < floor { '-' } else { '+' };
                format!("{text} = floor {sign} {}", show((ours - floor).abs(), self.unit))
            }
            _ => text,
        }
    }

    /// How many times better ours is.
    fn ratio(&self) -> Option<f64> {
        let (ours, against) = (self.ours?, self.against?);
        let (better, worse) = if self.more_is_better { (against, ours) } else { (ours, against) };
        (better > 0.0).then_some(worse / better)
    }

    fn cells(&self) -> [String; 7] {
        let value = |value: Option<f64>| value.map_or(String::new(), |v| show(v, self.unit));
        [
            self.label.clone(),
            self.target_text(),
            self.ours_text(),
            value(self.floor),
            self.verdict().to_string(),
            value(self.against),
            self.ratio().map_or(String::new(), |ratio| format!("{ratio:.2} ×")),
        ]
    }

    fn to_json(&self) -> Value {
        json!({
            "figure": self.label,
            "ours": self.ours,
            "floor": self.floor,
            "against": self.against,
            "ratio": self.ratio(),
            "target": self.target_text(),
            "verdict": self.verdict(),
        })
    }
}

fn show(value: f64, unit: Unit) -> String {
    let text = match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    let name = match unit {
        Unit::Ms => " ms",
        Unit::Seconds => " s",
        Unit::PerSecond => "/s",
        Unit::Mb => " MB",
        Unit::Kb => " kB",
        Unit::Count => "",
        Unit::Percent => " %",
        Unit::Times => " ×",
    };
    format!("{text}{name}")
}

#[derive(Default)]
pub struct Table {
    rows: Vec<Row>,
    /// What ours lost or could not do: the bench has failed.
    pub lost: Vec<String>,
    pub notes: Vec<String>,
}

impl Table {
    pub fn add(&mut self, row: Row) {
        let [label, target, ours, floor, verdict, against, ratio] = row.cells();
        let parts = [("target", target), ("floor", floor), ("against", against), ("", ratio)];
        let more: Vec<String> = parts
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .map(|(name, text)| format!("{name} {text}").trim().to_string())
            .collect();
        let more = if more.is_empty() { String::new() } else { format!(" ({})", more.join(", ")) };
        println!("  {label}: {ours}{more} {verdict}");
        self.rows.push(row);
    }

    pub fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        println!("  note: {note}");
        self.notes.push(note);
    }

    /// The value of one side's measurement. What fails is a loss if it is ours, else a note.
    pub fn value<T>(
        &mut self,
        side: &crate::lab::Side,
        what: &str,
        got: Result<T, String>,
    ) -> Option<T> {
        match got {
            Ok(value) => Some(value),
            Err(e) if side.is_ours() => {
                println!("  *** {what}: {e}");
                self.lost.push(format!("{what}: {e}"));
                None
            }
            Err(e) => {
                self.note(format!("{} could not do {what}: {e}", side.name));
                None
            }
        }
    }

    /// Prints Markdown. What has a target stands last, ready to be pasted.
    pub fn print(&self) {
        let (judged, others): (Vec<&Row>, Vec<&Row>) =
            self.rows.iter().partition(|row| row.target.is_some());
        print_rows("without a target", &others);
        print_rows("targets", &judged);
        let count = |verdict| judged.iter().filter(|row| row.verdict() == verdict).count();
        println!(
            "\n{} of {} targets hold, {} missed, {} not measured, {} losses",
            count("holds"),
            judged.len(),
            count(MISSED),
            count(NOT_MEASURED),
            self.lost.len()
        );
        for lost in &self.lost {
            println!("LOST: {lost}");
        }
    }

    pub fn to_json(&self, machine: &Value, options: &Value) -> Value {
        let rows: Map<String, Value> =
            self.rows.iter().map(|row| (row.key.clone(), row.to_json())).collect();
        json!({
            "machine": machine,
            "options": options,
            "rows": rows,
            "lost": self.lost,
            "notes": self.notes,
        })
    }

    /// Prints what got worse since an earlier run.
    pub fn compare(&self, baseline: &Value, machine: &Value) {
        let then = &baseline["machine"];
        if then["file_system"] != machine["file_system"] {
            println!("\nNOT COMPARED with the baseline, which is of another file system:");
            println!("  {}, now {}", then["file_system"], machine["file_system"]);
            return;
        }
        println!("\ncompared with the baseline:");
        for what in ["cpu", "cores"] {
            if then[what] != machine[what] {
                println!("  *** it is of another machine: {}", then[what]);
            }
        }
        let mut worse = 0;
        for row in &self.rows {
            let then = baseline["rows"][&row.key]["ours"].as_f64();
            let (Some(then), Some(now)) = (then, row.ours) else { continue };
            let factor = if row.more_is_better { then / now } else { now / then };
            if factor > WORSE_BY && (now - then).abs() > noise(row.unit) {
                worse += 1;
                let (then, now) = (show(then, row.unit), show(now, row.unit));
                println!(
                    "  worse by {:.0} %: {}: {then} → {now}",
                    (factor - 1.0) * 100.0,
                    row.label
                );
            }
        }
        println!("  {worse} figures are worse by more than 20 %");
    }
}

fn print_rows(title: &str, rows: &[&Row]) {
    if rows.is_empty() {
        return;
    }
    let head = HEAD.map(String::from);
    let lines: Vec<_> = [head].into_iter().chain(rows.iter().map(|row| row.cells())).collect();
    let is_used = |column: &usize| lines[1..].iter().any(|line| !line[*column].is_empty());
    let columns: Vec<usize> = (0..HEAD.len()).filter(is_used).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<usize> = columns.iter().map(|c| width(*c).unwrap_or(0)).collect();
    println!("\n{title}:\n");
    for (number, line) in lines.iter().enumerate() {
        let pad = |(column, width): (&usize, &usize)| format!("{:<width$}", line[*column]);
        let cells: Vec<String> = columns.iter().zip(&widths).map(pad).collect();
        println!("| {} |", cells.join(" | "));
        if number == 0 {
            let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            println!("| {} |", rule.join(" | "));
        }
    }
}

/// Smaller differences mean nothing.
fn noise(unit: Unit) -> f64 {
    match unit {
        Unit::Ms => 0.05,
        Unit::Seconds | Unit::Mb | Unit::Times => 0.1,
        Unit::Kb => 16.0,
        Unit::Count => 2.0,
        Unit::PerSecond | Unit::Percent => 1.0,
    }
}
