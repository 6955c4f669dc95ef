//! The commands that ask the daemon for something by a file: their rows.
//!
//! What they have in common is how long they wait for it.

use super::code::Code;
use super::row::{CommandRow, Count, OptionRow, ValueKind, Verb, WordRow};

/// How long a request waits for the daemon, in seconds.
pub const HEED_SECONDS: u64 = 5;

const TIMEOUT: OptionRow =
    OptionRow::with_value("--timeout", "D", ValueKind::Span, "how long to wait for the daemon; 5s");

const CODES: &[(Code, &str)] = &[
    (Code::Done, "heeded, or so already; or no daemon runs, and the next one heeds it"),
    (Code::NotDone, "a daemon runs and has not answered in time: the request stays"),
    (Code::WrongUsage, "wrong usage"),
];

pub const PAUSE: &CommandRow = &CommandRow {
    verb: Verb::Pause,
    name: "pause",
    words: &[],
    options: &[
        OptionRow::with_value("--for", "D", ValueKind::Span, "end the pause by itself after this"),
        TIMEOUT,
    ],
    help: "start nothing new; what runs goes on",
    more: "A pause holds through restarts of the daemon. It ends with resume, or by itself after \
           --for.",
    examples: &["pause", "pause --for 1h"],
    codes: CODES,
    takes_settings: false,
};

pub const RESUME: &CommandRow = &CommandRow {
    verb: Verb::Resume,
    name: "resume",
    words: &[],
    options: &[TIMEOUT],
    help: "end the pause",
    more: "",
    examples: &["resume"],
    codes: CODES,
    takes_settings: false,
};

pub const RELEASE: &CommandRow = &CommandRow {
    verb: Verb::Release,
    name: "release",
    words: &[WordRow::new("AGENT", ValueKind::Text, Count::AtMostOne)],
    options: &[TIMEOUT],
    help: "let agents that are held start again",
    more: "Ends all holds, or those of one agent, before their time: a usage limit that was \
           lifted, credentials that were renewed. A budget that is used up still holds.",
    examples: &["release", "release claude"],
    codes: CODES,
    takes_settings: false,
};
