//! What is wrong with the daemon itself just now: which of its parts cannot do their work, why, and
//! since when.
//!
//! A trouble is told when it begins and when it ends, not each time that something is tried again;
//! so a table is kept, and only its changes are news. Several threads may be in the same trouble at
//! once: it is over when the last of them is out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Which work is held up, in the order in which a person should be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subsystem {
    /// Whether we are still the one daemon of the directory is not known.
    Lock,
    /// Too little is free on the disk.
    Room,
    /// An answer, or how a session ended, cannot be written.
    Answer,
    /// A session cannot be started.
    Start,
    /// Nothing can be accepted.
    Inbox,
    /// A file of the inbox can be neither read nor put aside.
    File,
    /// Lines of the audit log wait.
    Audit,
    /// Callbacks cannot be kept.
    Outbox,
    /// A file with a secret that a callback needs cannot be used.
    Secrets,
    Heartbeat,
}

impl Subsystem {
    pub fn name(self) -> &'static str {
        match self {
            Subsystem::Lock => "lock",
            Subsystem::Room => "room",
            Subsystem::Answer => "answer",
            Subsystem::Start => "start",
            Subsystem::Inbox => "inbox",
            Subsystem::File => "file",
            Subsystem::Audit => "audit",
            Subsystem::Outbox => "outbox",
            Subsystem::Secrets => "secrets",
            Subsystem::Heartbeat => "heartbeat",
        }
    }
}

/// What an error says of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The disk takes nothing: full, over its quota, read-only, broken.
    Disk,
    /// The machine has no process, descriptor or memory to give.
    Shortage,
    /// A folder that every dispatch goes through cannot be used.
    Folder,
    /// The error concerns this one deed only.
    Other,
}

impl Fault {
    /// Whether anything else that is tried would fail likewise.
    pub fn is_everywhere(self) -> bool {
        self != Fault::Other
    }
}

/// Tells apart those who are in the same trouble.
pub type Holder = u64;

/// All that is wrong just now.
#[derive(Debug, Default)]
pub struct Troubles {
    open: BTreeMap<Subsystem, Trouble>,
}

#[derive(Debug)]
struct Trouble {
    reason: String,
    since_ms: i64,
    /// Who is in it, and whether new work must wait for that.
    holders: BTreeMap<Holder, bool>,
}

/// A trouble that is over.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    pub reason: String,
    pub since_ms: i64,
}

impl Troubles {
    /// Puts a holder into a trouble. True: this is news.
    pub fn begin(
        &mut self,
        place: Subsystem,
        holder: Holder,
        reason: &str,
        stops_work: bool,
        now_ms: i64,
    ) -> bool {
        let is_new = !self.open.contains_key(&place);
        let open = self.open.entry(place).or_insert_with(|| Trouble {
            reason: reason.into(),
            since_ms: now_ms,
            holders: BTreeMap::new(),
        });
        open.holders.insert(holder, stops_work);
        is_new
    }

    /// Takes a holder out of a trouble. `Some`: that was the last of it.
    pub fn end(&mut self, place: Subsystem, holder: Holder) -> Option<Ended> {
        let open = self.open.get_mut(&place)?;
        open.holders.remove(&holder);
        if !open.holders.is_empty() {
            return None;
        }
        let Trouble { reason, since_ms, .. } = self.open.remove(&place)?;
        Some(Ended { reason, since_ms })
    }

    pub fn is_open(&self, place: Subsystem) -> bool {
        self.open.contains_key(&place)
    }

    /// What to tell people: the reason of the gravest trouble.
    pub fn reason(&self) -> Option<&str> {
        self.open.values().next().map(|open| open.reason.as_str())
    }

    /// Whether new work must wait until something that was begun is written.
    pub fn stop_work(&self) -> bool {
        self.open.values().any(|open| open.holders.values().any(|stops| *stops))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_news_once_and_over_when_the_last_is_out_of_it() {
        let mut troubles = Troubles::default();
        assert!(troubles.begin(Subsystem::Answer, 1, "disk full", true, 10));
        assert!(!troubles.begin(Subsystem::Answer, 2, "disk full too", true, 20));
        assert!(!troubles.begin(Subsystem::Answer, 1, "still", true, 30));
        assert_eq!(troubles.end(Subsystem::Answer, 1), None);
        assert!(troubles.is_open(Subsystem::Answer));
        let ended = Ended { reason: "disk full".into(), since_ms: 10 };
        assert_eq!(troubles.end(Subsystem::Answer, 2), Some(ended));
        assert_eq!(troubles.end(Subsystem::Answer, 2), None);
    }

    #[test]
    fn the_gravest_is_told_and_only_some_stop_work() {
        let mut troubles = Troubles::default();
        for (place, stops, told, work_stops) in [
            (Subsystem::Heartbeat, false, "heartbeat", false),
            (Subsystem::Outbox, false, "outbox", false),
            (Subsystem::Audit, true, "audit", true),
            (Subsystem::Room, false, "room", true),
        ] {
            assert!(troubles.begin(place, 0, place.name(), stops, 0));
            assert_eq!((troubles.reason(), troubles.stop_work()), (Some(told), work_stops));
        }
        troubles.end(Subsystem::Audit, 0);
        troubles.end(Subsystem::Room, 0);
        assert_eq!((troubles.reason(), troubles.stop_work()), (Some("outbox"), false));
    }
}
