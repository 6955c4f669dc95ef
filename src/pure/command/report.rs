//! `report`: its row, and what it was asked, as a value.
//!
//! Must not look at any file, nor at the time: when a window begins, the command finds out.

use std::path::PathBuf;

use super::code::Code;
use super::row::{CommandRow, OptionRow, ValueKind, Verb};
use super::typed::Typed;
use crate::pure::human::since;
use crate::pure::human::zone::Zone;

/// What is asked about unless somebody says more.
const USUAL: &str = "24h";
/// The word for everything.
const ALL: &str = "all";

pub const ROW: &CommandRow = &CommandRow {
    verb: Verb::Report,
    name: "report",
    words: &[],
    options: &[
        OptionRow::with_value(
            "--since",
            "T",
            ValueKind::Text,
            "24h (as ever), 2026-11-20, a time in RFC 3339, or all",
        ),
        OptionRow::with_value("--project", "P", ValueKind::Text, "only this project"),
        OptionRow::with_value(
            "--html",
            "FILE",
            ValueKind::File,
            "one page for a browser, with a timeline; - is stdout",
        ),
    ],
    help: "what ended: how well, how long, how much",
    more: "The numbers of what ended in the window: in all, by project and by agent, with the \
           holds and the kinds of errors. Rejected files stand apart.\n\
           The page loads nothing and needs nothing; it can be sent to anybody who may read the \
           tasks.",
    examples: &[
        "report",
        "report --since 7d --project shop",
        "report --since all --html page.html",
    ],
    codes: &[
        (Code::Done, "answered"),
        (Code::NotDone, "the page cannot be written"),
        (Code::WrongUsage, "wrong usage"),
    ],
    takes_settings: false,
};

#[derive(Debug, PartialEq, Eq)]
pub struct ReportCall {
    /// As it was typed.
    since: String,
    /// A project's name, or its directory.
    pub project: Option<String>,
    pub html: Option<PageFile>,
}

/// Where the page goes.
#[derive(Debug, PartialEq, Eq)]
pub enum PageFile {
    Stdout,
    File(PathBuf),
}

impl ReportCall {
    pub fn of(typed: &Typed) -> Result<ReportCall, String> {
        let html = typed.value("--html").map(|file| match file.to_str() {
            Some("-") => PageFile::Stdout,
            Some(_) | None => PageFile::File(file.into()),
        });
        Ok(ReportCall {
            since: typed.text("--since")?.unwrap_or(USUAL).to_string(),
            project: typed.text("--project")?.map(String::from),
            html,
        })
    }

    /// When the window begins, in milliseconds since 1970. `None`: it has no beginning.
    pub fn since_ms(&self, zone: &Zone, now_ms: i64) -> Result<Option<i64>, String> {
        if self.since == ALL {
            return Ok(None);
        }
        let since_ms = since::parse(&self.since, zone, now_ms);
        let wrong = || format!("--since {}: {}, or {ALL}", self.since, since::EXPECTED);
        since_ms.map(Some).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::command::parse::{Command, parse};

    fn typed(words: &[&str]) -> Result<ReportCall, String> {
        match parse(words.iter().map(Into::into))? {
            Command::Other(typed) => ReportCall::of(&typed),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn a_window_a_project_and_a_page_are_understood() {
        let usual = ReportCall { since: USUAL.into(), project: None, html: None };
        assert_eq!(typed(&["report"]), Ok(usual));
        let words = ["report", "--since=all", "--project", "shop", "--html", "-"];
        let all = ReportCall {
            since: ALL.into(),
            project: Some("shop".into()),
            html: Some(PageFile::Stdout),
        };
        assert_eq!(typed(&words), Ok(all));
        let file = typed(&["report", "--html", "a.html"]).expect("a call").html;
        assert_eq!(file, Some(PageFile::File("a.html".into())));
        let since = |text: &str| {
            let call = typed(&["report", "--since", text]).expect("a call");
            call.since_ms(&Zone::utc(), 86_400_000)
        };
        assert_eq!((since("24h"), since("all")), (Ok(Some(0)), Ok(None)));
        assert_eq!(since("1970-01-02"), Ok(Some(86_400_000)));
        let error = since("yesterday").expect_err("refused");
        assert!(error.contains("--since yesterday"), "{error}");
        assert!(typed(&["report", "x"]).is_err());
    }
}
