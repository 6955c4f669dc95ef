//! One line of the daemon's own log, for people or for a program that collects logs. Must not ask
//! what time it is or hide secrets: the caller brings the parts, and has hidden what is secret.

use serde::Serialize;

use super::escape;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    #[default]
    Text,
    /// One object a line.
    Json,
}

/// What a line says. The names are those of its fields in JSON.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LogLine<'a> {
    /// RFC 3339.
    pub ts: &'a str,
    pub level: &'a str,
    pub thread: &'a str,
    pub message: &'a str,
}

impl LogLine<'_> {
    /// The line without its end. Nothing in it moves a cursor or forges another line.
    pub fn format(&self, format: LogFormat) -> String {
        let LogLine { ts, level, thread, message } = self;
        match format {
            LogFormat::Text => format!("{ts} {level:<5} {thread}: {}", escape::line(message)),
            LogFormat::Json => {
                let line = serde_json::to_string(self);
                escape::json(&line.expect("invariant: four texts are JSON"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_for_people_or_for_programs() {
        let line = LogLine {
            ts: "2026-04-03T14:30:00.000Z",
            level: "WARN",
            thread: "intake",
            message: "it said \"x\"\n\u{1b}[2J\u{202e}\u{9b} é",
        };
        assert_eq!(
            line.format(LogFormat::Text),
            "2026-04-03T14:30:00.000Z WARN  intake: it said \"x\"\\u{a}\\u{1b}[2J\\u{202e}\\u{9b} é"
        );
        assert_eq!(
            line.format(LogFormat::Json),
            "{\"ts\":\"2026-04-03T14:30:00.000Z\",\"level\":\"WARN\",\"thread\":\"intake\",\
             \"message\":\"it said \\\"x\\\"\\n\\u001b[2J\\u202e\\u009b é\"}"
        );
    }
}
