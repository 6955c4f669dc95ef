//! `approve` and `deny`: what each was asked, as a value. Must not look at any file: whether a
//! dispatch of that id waits is for the command to find out.

use std::ffi::{OsStr, OsString};

use lexopt::Arg::{Long, Short, Value as Word};
use lexopt::Parser;

use super::verbs::{stray, value};
use crate::pure::dispatch::DispatchId;

/// How long a reason may be, in characters.
pub const REASON_CHARS_MAX: usize = 200;

/// The part of `--help` about them.
pub const HELP: &str = "\x20 approve ID [--yes | --digest SHA256]\n\
     \x20                            show a dispatch that waits in pending/, and let it run\n\
     \x20 deny ID [--reason TEXT]    answer it, and never run it\n";

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum VerdictVerb {
    Help,
    Approve(ApproveCall),
    Deny(DenyCall),
}

/// Whether that word is one of these commands.
pub fn is_verb(word: &OsStr) -> bool {
    word == "approve" || word == "deny"
}

/// Reads what follows the command's word.
pub fn parse(verb: &OsStr, parser: &mut Parser) -> Result<VerdictVerb, String> {
    let parsed = match verb == "approve" {
        true => approve(parser)?.map(VerdictVerb::Approve),
        false => deny(parser)?.map(VerdictVerb::Deny),
    };
    Ok(parsed.unwrap_or(VerdictVerb::Help))
}

/// Which dispatch may run.
#[derive(Debug, PartialEq, Eq)]
pub struct ApproveCall {
    pub id: DispatchId,
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

/// Which dispatch never runs, and why. The reason may be empty.
#[derive(Debug, PartialEq, Eq)]
pub struct DenyCall {
    pub id: DispatchId,
    pub reason: String,
}

/// Reads what follows `approve`. `None`: help is asked for.
fn approve(parser: &mut Parser) -> Result<Option<ApproveCall>, String> {
    let (mut id, mut is_yes, mut digest) = (None, false, None);
    while let Some(arg) = parser.next().map_err(|e| e.to_string())? {
        match arg {
            Short('h') | Long("help") => return Ok(None),
            Long("yes") => is_yes = true,
            Long("digest") => digest = Some(sha256(&value(parser, "--digest")?)?),
            Word(word) if id.is_none() => id = Some(dispatch_id(&word)?),
            Long(_) | Short(_) | Word(_) => return Err(stray("approve", arg)),
        }
    }
    let consent = match digest {
        Some(digest) => Consent::Digest(digest),
        None if is_yes => Consent::Yes,
        None => Consent::Asked,
    };
    Ok(Some(ApproveCall { id: id.ok_or("approve needs the id of a dispatch")?, consent }))
}

/// Reads what follows `deny`. `None`: help is asked for.
fn deny(parser: &mut Parser) -> Result<Option<DenyCall>, String> {
    let (mut id, mut reason) = (None, String::new());
    while let Some(arg) = parser.next().map_err(|e| e.to_string())? {
        match arg {
            Short('h') | Long("help") => return Ok(None),
            Long("reason") => reason = plain_reason(&value(parser, "--reason")?)?,
            Word(word) if id.is_none() => id = Some(dispatch_id(&word)?),
            Long(_) | Short(_) | Word(_) => return Err(stray("deny", arg)),
        }
    }
    Ok(Some(DenyCall { id: id.ok_or("deny needs the id of a dispatch")?, reason }))
}

fn dispatch_id(word: &OsString) -> Result<DispatchId, String> {
    let id = word.to_str().and_then(DispatchId::parse);
    id.ok_or_else(|| format!("{} is no id of a dispatch", word.to_string_lossy()))
}

fn sha256(word: &OsString) -> Result<String, String> {
    let text = word.to_string_lossy().to_ascii_lowercase();
    let is_digest = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_digest { Ok(text) } else { Err("--digest needs the 64 digits of a sha256".into()) }
}

/// A reason stands in one line of a file.
fn plain_reason(word: &OsString) -> Result<String, String> {
    let reason = word.to_str().ok_or("--reason: the value is not UTF-8")?;
    let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    if reason.chars().count() > REASON_CHARS_MAX {
        return Err(format!("--reason: at most {REASON_CHARS_MAX} characters"));
    }
    Ok(reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::config::cli::{self, Command};

    fn typed(words: &[&str]) -> Result<Command, String> {
        cli::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn what_a_person_says_is_understood() {
        let id = || DispatchId::parse("dispatch-a").expect("an id");
        let approve = |consent| Command::Approve(ApproveCall { id: id(), consent });
        let deny = |reason: &str| Command::Deny(DenyCall { id: id(), reason: reason.into() });
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
            (&["approve", "--help"], Command::Help),
        ] {
            assert_eq!(typed(words), Ok(want), "{words:?}");
        }
        let long = "x".repeat(201);
        for words in [
            &["approve"][..],
            &["approve", "a"],
            &["approve", "dispatch-../a"],
            &["approve", "dispatch-a", "dispatch-b"],
            &["approve", "dispatch-a", "--digest", "0a"],
            &["approve", "dispatch-a", "--reason", "x"],
            &["deny"],
            &["deny", "dispatch-a b"],
            &["deny", "dispatch-a", "--yes"],
            &["deny", "dispatch-a", "--reason", &long],
        ] {
            assert!(typed(words).is_err(), "{words:?}");
        }
    }
}
