//! `logs`: its row, and what it was asked, as a value.
//!
//! Must not look at any file: whether there is such a dispatch is for the command to find out.

use super::code::Code;
use super::row::{CommandRow, Count, OptionRow, ValueKind, Verb, WordRow};
use super::typed::Typed;

pub const ROW: &CommandRow = &CommandRow {
    verb: Verb::Logs,
    name: "logs",
    words: &[WordRow::new("ID", ValueKind::Id, Count::One)],
    options: &[
        OptionRow::flag("--follow", "go on with what comes, until the dispatch has ended")
            .short('f'),
        OptionRow::with_value("--tail", "N", ValueKind::Number, "only the last N lines"),
        OptionRow::with_value("--attempt", "N", ValueKind::Number, "only this attempt"),
        OptionRow::flag("--raw", "the agent's stream as it is, byte for byte"),
        OptionRow::with_value("--timeout", "D", ValueKind::Span, "follow no longer than this"),
    ],
    help: "show what the agent says and does",
    more: "The agent's words stand bare. `> ` is a call of a tool, `  | ` its answer, `  ! ` an \
           answer that is an error, `  2> ` the end of stderr after an attempt that failed, `? ` a \
           line that is no event, and `-- ` says how an attempt or the dispatch began and ended.\n\
           Without -f it returns at once with what is there. With it, it waits for a dispatch \
           that has not started, and goes on through retries, holds and restarts of the daemon.",
    examples: &["logs k3f", "logs -f dispatch-k3f9x2ab7q", "logs k3f --tail 20 --json"],
    codes: &[
        (Code::Done, "shown, whatever came of the dispatch"),
        (Code::NotDone, "its logs were pruned; show tells what is known"),
        (Code::WrongUsage, "wrong usage"),
        (Code::NoSuchDispatch, "no such dispatch, or several"),
        (Code::TimedOut, "--timeout has passed"),
        (Code::Interrupted, "Ctrl-C, which ends the command and never the dispatch"),
    ],
    takes_settings: false,
};

/// What is to be shown, and of which dispatch.
#[derive(Debug, PartialEq, Eq)]
pub struct LogsCall {
    /// An id or its beginning.
    pub id: String,
    pub follow: bool,
    /// Only so many lines of what is there.
    pub tail: Option<u64>,
    pub attempt: Option<u32>,
    pub raw: bool,
    pub timeout_seconds: Option<u64>,
}

impl LogsCall {
    pub fn of(typed: &Typed) -> Result<LogsCall, String> {
        let raw = typed.has("--raw");
        if raw && typed.is_json() {
            return Err("--raw and --json exclude each other".into());
        }
        let attempt = typed.number("--attempt").map(|number| {
            let number = u32::try_from(number).ok().filter(|number| *number > 0);
            number.ok_or("--attempt: the first attempt is 1")
        });
        Ok(LogsCall {
            id: typed.word(0)?.unwrap_or_default().to_string(),
            follow: typed.has("--follow"),
            tail: typed.number("--tail"),
            attempt: attempt.transpose()?,
            raw,
            timeout_seconds: typed.seconds("--timeout"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::command::parse::{Command, parse};

    fn typed(words: &[&str]) -> Result<LogsCall, String> {
        match parse(words.iter().map(Into::into))? {
            Command::Other(typed) => LogsCall::of(&typed),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn what_is_to_be_shown_is_understood() {
        let plain = LogsCall {
            id: "k3f".into(),
            follow: false,
            tail: None,
            attempt: None,
            raw: false,
            timeout_seconds: None,
        };
        let all = LogsCall {
            follow: true,
            tail: Some(0),
            attempt: Some(2),
            raw: true,
            timeout_seconds: Some(60),
            ..typed(&["logs", "k3f"]).expect("a call")
        };
        assert_eq!(typed(&["logs", "k3f"]), Ok(plain));
        let words = ["logs", "-f", "--tail=0", "k3f", "--attempt", "2", "--raw", "--timeout", "1m"];
        assert_eq!(typed(&words), Ok(all));
        for (words, want) in [
            (&["logs", "k3f", "--raw", "--json"][..], "exclude"),
            (&["logs", "k3f", "--attempt", "0"], "the first attempt is 1"),
            (&["logs", "k3f", "--tail", "x"], "--tail"),
            (&["logs"], "needs the id"),
        ] {
            let error = typed(words).expect_err("refused");
            assert!(error.contains(want), "{error}");
        }
    }
}
