//! `approve` and `deny`: their rows, and what each was asked, as a value. Must not look at any
//! file: whether a dispatch of that id waits is for the command to find out.

use std::ffi::OsStr;

use super::code::Code;
use super::row::{CommandRow, Count, OptionRow, ValueKind, Verb, WordRow};
use super::typed::Typed;

/// How long a reason may be, in characters.
pub const REASON_CHARS_MAX: usize = 200;

pub const APPROVE: &CommandRow = &CommandRow {
    verb: Verb::Approve,
    name: "approve",
    words: &[WordRow::new("ID", ValueKind::Id, Count::One)],
    options: &[
        OptionRow::flag("--yes", "do not ask"),
        OptionRow::with_value(
            "--digest",
            "SHA256",
            ValueKind::Text,
            "approve only the bytes with this digest",
        ),
    ],
    help: "show a dispatch that waits, and let it run",
    more: "What is shown is what is approved: the daemon runs just these bytes. Without --yes or \
           --digest it asks, which needs a terminal.",
    examples: &["approve dispatch-k3f9x2ab7q", "approve k3f --yes"],
    codes: &[
        (Code::Done, "approved"),
        (Code::NotDone, "not approved: it does not wait, or only Clawvisor can let it run"),
        (Code::WrongUsage, "wrong usage, or nobody can be asked"),
        (Code::NoSuchDispatch, "no such dispatch, or several"),
    ],
    takes_settings: false,
};

pub const DENY: &CommandRow = &CommandRow {
    verb: Verb::Deny,
    name: "deny",
    words: &[WordRow::new("ID", ValueKind::Id, Count::One)],
    options: &[OptionRow::with_value(
        "--reason",
        "TEXT",
        ValueKind::Text,
        "why, for the report; one line",
    )],
    help: "answer a dispatch that waits, and never run it",
    more: "Its report is cancelled, with the reason.",
    examples: &["deny dispatch-k3f9x2ab7q --reason 'not on a Friday'"],
    codes: &[
        (Code::Done, "denied"),
        (Code::NotDone, "it does not wait"),
        (Code::WrongUsage, "wrong usage"),
        (Code::NoSuchDispatch, "no such dispatch, or several"),
    ],
    takes_settings: false,
};

/// How a dispatch is let run.
#[derive(Debug, PartialEq, Eq)]
pub struct ApproveCall {
    pub consent: Consent,
}

/// How a person says yes.
#[derive(Debug, PartialEq, Eq)]
pub enum Consent {
    /// They are asked, on a terminal.
    Asked,
    /// Whatever it is that waits.
    Yes,
    /// If the bytes that wait have this digest.
    Digest(String),
}

/// Why a dispatch never runs. The reason may be empty.
#[derive(Debug, PartialEq, Eq)]
pub struct DenyCall {
    pub reason: String,
}

impl ApproveCall {
    pub fn of(typed: &Typed) -> Result<ApproveCall, String> {
        let digest = typed.value("--digest").map(sha256).transpose()?;
        let consent = match digest {
            Some(digest) => Consent::Digest(digest),
            None if typed.has("--yes") => Consent::Yes,
            None => Consent::Asked,
        };
        Ok(ApproveCall { consent })
    }
}

impl DenyCall {
    pub fn of(typed: &Typed) -> Result<DenyCall, String> {
        let reason = typed.text("--reason")?.map(plain_reason).transpose()?;
        Ok(DenyCall { reason: reason.unwrap_or_default() })
    }
}

fn sha256(word: &OsStr) -> Result<String, String> {
    let text = word.to_string_lossy().to_ascii_lowercase();
    let is_digest = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_digest { Ok(text) } else { Err("--digest needs the 64 digits of a sha256".into()) }
}

/// A reason stands in one line of a file.
fn plain_reason(reason: &str) -> Result<String, String> {
    let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    if reason.chars().count() > REASON_CHARS_MAX {
        return Err(format!("--reason: at most {REASON_CHARS_MAX} characters"));
    }
    Ok(reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::command::parse::{Command, parse};

    #[derive(Debug, PartialEq)]
    enum Said {
        Approve(ApproveCall),
        Deny(DenyCall),
        Help(Verb),
    }

    fn typed(words: &[&str]) -> Result<Said, String> {
        match parse(words.iter().map(Into::into))? {
            Command::Other(typed) if typed.verb() == Verb::Approve => {
                ApproveCall::of(&typed).map(Said::Approve)
            }
            Command::Other(typed) => DenyCall::of(&typed).map(Said::Deny),
            Command::Help(Some(row)) => Ok(Said::Help(row.verb)),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn what_a_person_says_is_understood() {
        let approve = |consent| Said::Approve(ApproveCall { consent });
        let deny = |reason: &str| Said::Deny(DenyCall { reason: reason.into() });
        let digest = "0a".repeat(32);
        for (words, want) in [
            (&["approve", "dispatch-a"][..], approve(Consent::Asked)),
            (&["approve", "--yes", "dispatch-a"], approve(Consent::Yes)),
            (
                &["approve", "dispatch-a", "--digest", &digest.to_uppercase()],
                approve(Consent::Digest(digest.clone())),
            ),
            (
                &["approve", "dispatch-a", "--yes", "--digest", &digest],
                approve(Consent::Digest(digest.clone())),
            ),
            (&["deny", "dispatch-a"], deny("")),
            (&["deny", "dispatch-a", "--reason", " not\nhere "], deny("not here")),
            (&["approve", "--help"], Said::Help(Verb::Approve)),
        ] {
            assert_eq!(typed(words), Ok(want), "{words:?}");
        }
        let long = "x".repeat(201);
        for words in [
            &["approve"][..],
            &["approve", "dispatch-a", "dispatch-b"],
            &["approve", "dispatch-a", "--digest", "0a"],
            &["approve", "dispatch-a", "--reason", "x"],
            &["deny"],
            &["deny", "dispatch-a", "--yes"],
            &["deny", "dispatch-a", "--reason", &long],
        ] {
            assert!(typed(words).is_err(), "{words:?}");
        }
    }
}
