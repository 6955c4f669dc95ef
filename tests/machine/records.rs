//! What stands in the files of the machine: the records of `pure::attempt::record`, without what only a
//! reader of reports wants.

use gstack_dispatch_daemon::pure::agent::{Failure, LimitEvent, ResultEvent, Summary};
use gstack_dispatch_daemon::pure::attempt::limits::StopCause;
use gstack_dispatch_daemon::pure::attempt::outcome::Exit;
use gstack_dispatch_daemon::pure::attempt::record::{AttemptEnd, AttemptStart};
use gstack_dispatch_daemon::pure::report::{ErrorType, Status};

use crate::disk::Id;

/// A dispatch file's bytes. `uid` is their digest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Body {
    pub uid: u64,
    pub id: u32,
    pub lane: &'static str,
    pub agent: &'static str,
    pub has_learnings: bool,
    pub ttl_ms: i64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    pub seq: u64,
    pub uid: u64,
    pub name: String,
    pub file: Id,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    pub record: AttemptStart,
    pub token: u64,
    pub accepted: Accepted,
    pub body: Body,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub id: u32,
    pub uid: u64,
    pub status: Status,
    pub error_type: Option<ErrorType>,
    pub attempts: Vec<u32>,
    pub retries: u32,
    /// No two that are made are the same.
    pub nonce: u64,
}

/// How a session goes, by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum How {
    Fine,
    LogicError,
    Overflow,
    RateLimit,
    /// Until then, in milliseconds since 1970.
    Usage(i64),
    Auth,
    ToolFailure,
    /// Whom it should resume is not known any more.
    Gone,
    /// It dies without a result.
    Dies,
    Hangs,
    /// It does well, and whoever reads its stream dies.
    Poison,
}

impl How {
    pub fn exit(self) -> Exit {
        match self {
            How::Dies | How::Hangs => Exit { code: None, signal: Some(9) },
            How::Fine | How::Poison => Exit { code: Some(0), signal: None },
            _ => Exit { code: Some(1), signal: None },
        }
    }

    /// What its stream says at its end.
    pub fn summary(self) -> Summary {
        let failed_with = |error_type: ErrorType, message: &str| {
            let failure = Some(Failure { error_type, message: message.to_string() });
            Some(ResultEvent { failure, ..ResultEvent::default() })
        };
        let failed = |error_type| failed_with(error_type, "x");
        let (turns, result) = match self {
            How::Fine | How::Poison => (3, Some(ResultEvent::default())),
            How::LogicError => (1, failed(ErrorType::LogicError)),
            How::Overflow => (0, failed(ErrorType::ContextOverflow)),
            How::RateLimit => (0, failed(ErrorType::RateLimit)),
            How::Usage(_) => (0, failed(ErrorType::UsageLimit)),
            How::Auth => (0, failed(ErrorType::Auth)),
            How::ToolFailure => (1, failed(ErrorType::ToolFailure)),
            How::Gone => {
                let said = "No conversation found with session ID";
                (0, failed_with(ErrorType::ToolFailure, said))
            }
            How::Dies | How::Hangs => (1, None),
        };
        let mut summary = Summary {
            init_seen: true,
            session_id: Some("s".into()),
            assistant_turns: turns,
            lines: turns + 1,
            results: u32::from(result.is_some()),
            result,
            ..Summary::default()
        };
        if let How::Usage(reset_ms) = self {
            let resets_at = Some(reset_ms as u64 / 1000);
            summary.limit = Some(LimitEvent { is_closed: true, resets_at, kind: None });
        }
        summary
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// An inbox file, or our copy of one.
    Dispatch(Body),
    Accepted(Accepted),
    Start(Start),
    /// The session's run token stands for its process.
    Child(u64),
    Stop(StopCause),
    End(AttemptEnd),
    Report(Report),
    /// `holds.json`, as it is written.
    Holds(String),
    /// A person's word about these bytes: a request, or an approval on record.
    Said(u64),
    /// How often it was begun to be read.
    Readings(u64),
    /// A whole stream.
    Stream(How),
    /// A file whose content nobody asks for.
    Plain,
}

impl Record {
    /// What a power cut makes of one that was not synced. Half a record cannot be read; a dispatch
    /// may seem to.
    pub fn torn(&self) -> Option<Record> {
        match self {
            Record::Dispatch(body) => Some(Record::Dispatch(Body { uid: 0, ..*body })),
            _ => None,
        }
    }
}
