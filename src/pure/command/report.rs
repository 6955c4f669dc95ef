//! `report`: its row, and what it was asked, as a value.
//!
//! Must not look at any file, nor at the time: when a window begins, the command finds out.

use std::path::PathBuf;

use super::code::Code;
use super::row::{CommandRow, OptionRow, ValueKind, Verb};
use super::typed::Typed;
use crate::pure::human::since::Since;

/// What is asked about unless somebody says more.
const USUAL: Since = Since::Ago(24 * 60 * 60);

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
    pub since: Since,
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
        let since = typed.text("--since")?.map(|text| {
            let wanted = "--since: give a duration (24h), a day (2026-11-20), a time in RFC 3339 \
                          or all";
            Since::parse(text).ok_or_else(|| format!("{wanted}, not {text}"))
        });
        let html = typed.value("--html").map(|file| match file.to_str() {
            Some("-") => PageFile::Stdout,
            Some(_) | None => PageFile::File(file.into()),
        });
        Ok(ReportCall {
            since: since.transpose()?.unwrap_or(USUAL),
            project: typed.text("--project")?.map(String::from),
            html,
        })
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
        let usual = ReportCall { since: USUAL, project: None, html: None };
        assert_eq!(typed(&["report"]), Ok(usual));
        let words = ["report", "--since=all", "--project", "shop", "--html", "-"];
        let all = ReportCall {
            since: Since::All,
            project: Some("shop".into()),
            html: Some(PageFile::Stdout),
        };
        assert_eq!(typed(&words), Ok(all));
        let file = typed(&["report", "--html", "a.html"]).expect("a call").html;
        assert_eq!(file, Some(PageFile::File("a.html".into())));
        let error = typed(&["report", "--since", "yesterday"]).expect_err("refused");
        assert!(error.contains("--since") && error.contains("yesterday"), "{error}");
        assert!(typed(&["report", "x"]).is_err());
    }
}
