//! The topics of the reference, each a text in Markdown beside this file. [`super::markup`] says
//! which marks it may have; tables that come from the code are named in it.

/// One topic.
#[derive(Debug)]
pub struct Topic {
    pub name: &'static str,
    /// What it is about, in at most 48 characters.
    pub help: &'static str,
    pub text: &'static str,
}

pub static TOPICS: &[Topic] = &[
    Topic {
        name: "dispatch",
        help: "the file that is dropped, and signatures",
        text: include_str!("topics/dispatch.md"),
    },
    Topic {
        name: "report",
        help: "the answer, retries, callbacks, acceptance",
        text: include_str!("topics/report.md"),
    },
    Topic {
        name: "settings",
        help: "all settings, limits, agents, engines",
        text: include_str!("topics/settings.md"),
    },
    Topic {
        name: "files",
        help: "what lies where, and how long",
        text: include_str!("topics/files.md"),
    },
    Topic {
        name: "events",
        help: "the heartbeat and the audit log",
        text: include_str!("topics/events.md"),
    },
    Topic {
        name: "exit-codes",
        help: "of each command, and of the daemon",
        text: include_str!("topics/exit-codes.md"),
    },
    Topic {
        name: "permissions",
        help: "what sessions may do, walls, trust, secrets",
        text: include_str!("topics/permissions.md"),
    },
    Topic {
        name: "recovery",
        help: "stops, crashes, full disks",
        text: include_str!("topics/recovery.md"),
    },
];

pub fn find(name: &str) -> Option<&'static Topic> {
    TOPICS.iter().find(|topic| topic.name == name)
}
