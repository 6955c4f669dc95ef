//! `status --watch`: the same picture again and again, drawn over itself, or a line of JSON on each
//! change.
//!
//! A frame is one write, and nothing is cleared before it, so that it does not flicker. The files
//! are looked at four times a second; what has not changed is not written.

use serde_json::Value;

use super::text::{SHOWN_MAX, render};
use super::{Status, read};
use crate::commands::out::{Out, Reply};
use crate::commands::{Place, Refusal};
use crate::effects::clock;
use crate::effects::interrupt::Interrupts;
use crate::effects::terminal::{self, Screen, Size};
use crate::pure::command::code::Code;
use crate::pure::human::look::Look;
use crate::pure::human::width;

/// How long it is between two looks, in milliseconds.
const LOOK_EVERY_MS: u64 = 250;

pub fn screen(place: &Place, out: &mut Out) -> Result<Code, Refusal> {
    let interrupts = Interrupts::listen().map_err(Refusal::not_done)?;
    // The first look may fail, and that should be read on the ordinary screen.
    read(place)?;
    let _screen = Screen::enter().map_err(Refusal::not_done)?;
    let mut last = String::new();
    loop {
        let size = terminal::size();
        let is_resized = interrupts.was_resized();
        out.look.width = Some(size.columns);
        out.look.now_ms = clock::unix_ms();
        let frame = frame(&picture(&read(place)?, &out.look, size.rows), size);
        if frame != last || is_resized {
            out.text(&frame)?;
            last = frame;
        }
        terminal::pause(LOOK_EVERY_MS);
        if interrupts.is_ended() {
            return Ok(Code::Done);
        }
        out.needs_reader()?;
    }
}

/// With as many rows of each part as leave room for all parts.
fn picture(status: &Status, look: &Look, rows: usize) -> String {
    let mut most = SHOWN_MAX;
    loop {
        let text = render(status, most, look);
        if most == 1 || text.lines().count() <= rows {
            return text;
        }
        most -= 1;
    }
}

/// Every line is as wide as the screen, and there are as many as the screen has.
fn frame(text: &str, Size { columns, rows }: Size) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut frame = String::from("\u{1b}[H");
    let shown = if lines.len() > rows { rows.saturating_sub(1) } else { lines.len() };
    let more = format!("… {} more", lines.len() - shown);
    let more = (shown < lines.len()).then(|| width::cut(&more, columns));
    let lines = lines[..shown].iter().copied().chain(more.as_deref());
    for (at, line) in lines.chain(std::iter::repeat("")).take(rows).enumerate() {
        if at > 0 {
            frame += "\r\n";
        }
        frame += line;
        frame += &" ".repeat(columns.saturating_sub(width::of_painted(line)));
    }
    frame
}

pub fn lines(place: &Place, out: &mut Out) -> Result<Code, Refusal> {
    let interrupts = Interrupts::listen().map_err(Refusal::not_done)?;
    let mut last = Value::Null;
    loop {
        let all = read(place)?.json();
        let now = without_times(all.clone());
        if now != last {
            out.json(&all)?;
            last = now;
        }
        terminal::pause(LOOK_EVERY_MS);
        if interrupts.is_ended() {
            return Ok(Code::Done);
        }
        out.needs_reader()?;
    }
}

/// What changes although nothing happens.
fn without_times(mut all: Value) -> Value {
    for key in ["ts", "heartbeat_at"] {
        all[key] = Value::Null;
    }
    for session in all["sessions"].as_array_mut().into_iter().flatten() {
        session["elapsed"] = Value::Null;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_fits_width_and_height_and_covers_the_one_before() {
        let size = Size { columns: 12, rows: 3 };
        assert_eq!(frame("a\nb\n", size), "\u{1b}[Ha           \r\nb           \r\n            ");
        let painted = "\u{1b}[31ma\u{1b}[0m\n";
        assert!(frame(painted, size).starts_with("\u{1b}[H\u{1b}[31ma\u{1b}[0m           \r\n"));
        let cut = frame("a\nb\nc\nd\n", size);
        assert_eq!(cut, "\u{1b}[Ha           \r\nb           \r\n… 2 more    ");
        for (columns, rows) in [(1, 1), (2, 1), (80, 1), (1, 5)] {
            let frame = frame(&"x\n".repeat(7), Size { columns, rows });
            assert_eq!(frame.lines().count(), rows);
        }
    }
}
