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
}

impl Cell {
    pub fn new(text: &str) -> Cell {
        Cell { text: escape::line(text), style: Style::Plain }
    }

    pub fn styled(text: &str, style: Style) -> Cell {
        Cell { style, ..Cell::new(text) }
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
    let mut widths = vec![0; columns.len()];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(width::of(&cell.text));
        }
    }
    widths
}

/// The widths that the terminal has room for.
fn fitted(columns: &[Column], needed: &[usize], room: Option<usize>) -> Vec<usize> {
    let mut widths = needed.to_vec();
    let Some(room) = room else { return widths };
    let mut order: Vec<usize> = (0..columns.len()).collect();
    order.sort_by_key(|at| columns[*at].keeps);
    for is_last_resort in [false, true] {
        for at in &order {
            let used = total(&widths);
            let least = if is_last_resort { 1 } else { columns[*at].columns_min };
            let least = least.min(widths[*at]);
            widths[*at] = widths[*at].saturating_sub(used.saturating_sub(room)).max(least);
        }
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
        let columns = [
            Column { header: "ID", keeps: 9, columns_min: 6 },
            Column { header: "NONE", keeps: 1, columns_min: 1 },
            Column { header: "TASK", keeps: 0, columns_min: 4 },
        ];
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
        assert_eq!(shown(Some(12), false), "dispa…  日…\nb       x\\u…\n");
        for width in 1..40 {
            for line in shown(Some(width), false).lines() {
                assert!(width::of(line) <= width, "{width}: {line}");
            }
        }
        let painted = shown(Some(18), true);
        assert!(painted.contains("\u{1b}[31m日本…\u{1b}[0m\n"), "{painted}");
    }
}
