//! A [`Claim`] is the right to work on an accepted dispatch, and [`Contents`] is what was accepted.
//!
//! A claim is made when its folder is accepted or found at start. It moves through the queue and a
//! channel, and it cannot be copied: two threads never work on one dispatch.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::effects::clock;
use crate::effects::store::disk::identity::Stamp;
use crate::pure::attempt::record::{Accepted, AttemptStart, Identity};
use crate::pure::attempt::recovery::Resume;
use crate::pure::dispatch::{self, Agent, Dispatch, DispatchId, Lane};
use crate::pure::gate::signature::Signed;
use crate::pure::schedule::queue::Seq;
use crate::pure::text::digest::Sha256;
use crate::pure::text::hex::name_from_text;
use crate::pure::text::time::parse_rfc3339;

/// Which folder of ours holds an accepted dispatch that is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// `active/`: it is queued, or runs.
    Active,
    /// `pending/`: it waits until somebody allows it, and none of it has run.
    Pending,
}

/// The one right to work on an accepted dispatch. It is not `Clone`.
#[derive(Debug)]
pub struct Claim {
    pub id: DispatchId,
    pub seq: Seq,
    pub lane: Lane,
    pub agent: Agent,
    /// The digest of the exact bytes that were accepted, as long as anything says what they were.
    pub sha256: Option<Sha256>,
    /// The names of its sender's file in the drop zone, as intake knew them when it handed the
    /// claim on. There are none while the claim waits: then intake keeps them.
    pub names: Vec<InboxName>,
    /// The file under its name holds, or may hold, another drop by now: no removal of a file
    /// withdraws the dispatch any more.
    pub is_detached: bool,
    /// What its signature showed when it was accepted.
    pub signed: Option<Box<Signed>>,
    /// The project as the dispatch names it, for people.
    pub project: Box<str>,
    /// Milliseconds since 1970, since a wait may outlast the daemon and the boot.
    pub accepted_at_ms: i64,
    /// Since when it has waited for its first start, in milliseconds since 1970: since its
    /// acceptance, or since it was allowed to run.
    pub waits_since_ms: i64,
    /// The identity of the claim's own folder, once a session of it may have run. Another folder in
    /// that place says nothing.
    pub folder: Option<Identity>,
    pub room: Room,
    /// What this daemon accepted, so that it need not be read back; no attempt can have begun. Many
    /// claims that wait do without.
    pub contents: Option<Box<Contents>>,
    /// How a thread takes the claim up. Only a claim that could not be read when the daemon started
    /// has this.
    pub resume: Option<Resume>,
}

/// An accepted dispatch, read once: how it was accepted, its exact bytes, and what they say.
#[derive(Debug)]
pub struct Contents {
    pub accepted: Accepted,
    pub bytes: Vec<u8>,
    pub dispatch: Dispatch,
}

impl Contents {
    /// `None` if the bytes are no dispatch.
    pub(in crate::effects::store) fn parse(
        accepted: Accepted,
        bytes: Vec<u8>,
        ttl_seconds_min: u64,
        agents: &[Agent],
    ) -> Option<Contents> {
        let dispatch = dispatch::parse(&bytes, ttl_seconds_min, agents).ok()?;
        Some(Contents { accepted, bytes, dispatch })
    }
}

/// A name of a dispatch's file.
#[derive(Clone, Debug)]
pub struct InboxName {
    pub name: OsString,
    /// The stamp when its bytes were last seen to be the dispatch's. `None` if an earlier daemon
    /// saw them.
    pub seen: Option<Stamp>,
}

impl Accepted {
    pub fn inbox_name(&self) -> OsString {
        OsString::from_vec(name_from_text(&self.inbox_name))
    }

    pub fn at_ms(&self) -> i64 {
        parse_rfc3339(&self.accepted_at).unwrap_or_else(clock::unix_ms)
    }
}

impl AttemptStart {
    /// Where the session works.
    pub fn dir(&self) -> PathBuf {
        OsString::from_vec(name_from_text(&self.project_dir)).into()
    }
}
