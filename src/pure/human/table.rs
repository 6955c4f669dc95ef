//! A table whose rows fit the terminal: cells are escaped, padded and, where there is no room, cut;
//! the columns that tell least go first, and the id last.

use super::look::{Look, Style};
use super::width;
use crate::pure::text::escape;

/// Blanks between two columns.
const GAP: usize = 2;

#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    style: Style,
}

/// How a column gives way when there is too little room.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub header: &'static str,
    /// Columns with a lower number are cut first.
    pub keeps: u8,
    /// It is not cut below this before the next ones are.
    pub columns_min: usize,
    /// How wide it is at least, as long as there is room, so that several tables stand in line.
    pub in_line: usize,
}

impl Column {
    pub const fn new(header: &'static str, keeps: u8, columns_min: usize) -> Column {
        Column { header, keeps, columns_min, in_line: 0 }
    }
}

impl Cell {
    pub fn new(text: &str) -> Cell {
        Cell { text: escape::line(text), style: Style::Plain }
    }

    pub fn styled(text: &str, style: Style) -> Cell {
        Cell { style, ..Cell::new(text) }
    }

    pub fn columns(&self) -> usize {
        width::of(&self.text)
    }
}

/// The rows as lines. `has_header`: the first line has the columns' names.
pub fn render(columns: &[Column], rows: &[Vec<Cell>], has_header: bool, look: &Look) -> String {
    let header = || columns.iter().map(|column| Cell::styled(column.header, Style::Dim)).collect();
    let header: Option<Vec<Cell>> = has_header.then(header);
    let widths = fitted(columns, &needed(columns, header.iter().chain(rows)), look.width);
    header.iter().chain(rows).map(|row| line(row, &widths, look)).collect()
}

fn needed<'a>(columns: &[Column], rows: impl Iterator<Item = &'a Vec<Cell>>) -> Vec<usize> {
    let mut widths: Vec<usize> = columns.iter().map(|column| column.in_line).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(width::of(&cell.text));
        }
    }
    widths
}

/// The widths that the terminal has room for. Columns are narrowed first, then left out, and only
/// then the one that is kept longest is cut.
fn fitted(columns: &[Column], needed: &[usize], room: Option<usize>) -> Vec<usize> {
    let mut widths = needed.to_vec();
    let Some(room) = room else { return widths };
    let mut order: Vec<usize> = (0..columns.len()).collect();
    order.sort_by_key(|at| columns[*at].keeps);
    let Some(last) = order.pop() else { return widths };
    for at in &order {
        let too_much = total(&widths).saturating_sub(room);
        let least = columns[*at].columns_min.min(widths[*at]);
        widths[*at] = widths[*at].saturating_sub(too_much).max(least);
    }
    for at in &order {
        if total(&widths) > room {
            widths[*at] = 0;
        }
    }
    widths[last] = widths[last].min(room);
    // What was left out may have made more room than was needed.
    for at in order.iter().rev().filter(|at| widths[**at] > 0).copied().collect::<Vec<_>>() {
        let spare = room.saturating_sub(total(&widths));
        widths[at] = needed[at].min(widths[at] + spare);
    }
    widths
}

fn total(widths: &[usize]) -> usize {
    let shown = widths.iter().filter(|width| **width > 0).count();
    widths.iter().sum::<usize>() + GAP * shown.saturating_sub(1)
}

/// An empty column takes no room at all.
fn line(row: &[Cell], widths: &[usize], look: &Look) -> String {
    let mut line = String::new();
    // Blanks are written only before something, so that no line ends with them.
    let (mut column, mut written) = (0, 0);
    for (cell, cell_width) in row.iter().zip(widths).filter(|(_, width)| **width > 0) {
        let room = look.width.map_or(*cell_width, |room| room.saturating_sub(column));
        let text = width::cut(&cell.text, (*cell_width).min(room));
        if !text.is_empty() {
            line += &" ".repeat(column - written);
            line += &look.paint(cell.style, &text);
            written = column + width::of(&text);
        }
        column += cell_width + GAP;
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::human::zone::Zone;

    fn shown(width: Option<usize>, has_colour: bool) -> String {
        let look = Look { width, has_colour, zone: Zone::utc(), now_ms: 0, home: None };
        let columns =
            [Column::new("ID", 9, 6), Column::new("NONE", 1, 1), Column::new("TASK", 0, 4)];
        let row = |id: &str, task: &str| {
            vec![Cell::new(id), Cell::new(""), Cell::styled(task, Style::Bad)]
        };
        let rows = [row("dispatch-a", "日本語のタスク"), row("b", "x\n\u{1b}[2J")];
        render(&columns, &rows, false, &look)
    }

    #[test]
    fn what_is_no_terminal_gets_everything_and_the_rest_fits() {
        let whole = "dispatch-a  日本語のタスク\nb           x\\u{a}\\u{1b}[2J\n";
        assert_eq!(shown(None, false), whole);
        assert_eq!(shown(Some(18), false), "dispatch-a  日本…\nb           x\\u{a…\n");
        assert_eq!(shown(Some(12), false), "dispatch-a\nb\n");
        for width in 1..40 {
            for line in shown(Some(width), false).lines() {
                assert!(width::of(line) <= width, "{width}: {line}");
            }
        }
        let painted = shown(Some(18), true);
        assert!(painted.contains("\u{1b}[31m日本…\u{1b}[0m\n"), "{painted}");
    }
}
