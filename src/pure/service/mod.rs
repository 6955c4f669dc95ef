//! The daemon as a service of systemd, launchd or cron: the texts that make it one, and what an
//! installed text says.
//!
//! Must not read or write a file: whoever installs brings the paths and what stands there. All
//! three texts keep sessions alive across a restart, since a session outlives a daemon that leaves
//! it, and the next daemon adopts it.

pub mod cron;
pub mod installed;
pub mod launchd;
pub mod systemd;

use std::time::Duration;

/// The name of the unit, of the label and of the program.
pub const SERVICE_NAME: &str = "gstack-dispatch-daemon";
/// The label of the unit that gstack's own installer makes. It runs another daemon on the same
/// directory.
pub const LABEL_OF_GSTACK: &str = "com.gstack.dispatch-daemon";
/// Stands in every text of ours, so that it is known again.
const MARK: &str = "Written by gstack-dispatch-daemon service";
/// So long after the last session was given up a stop may take, whatever else there is to write.
const STOP_MARGIN: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceKind {
    Systemd,
    Launchd,
    Cron,
}

impl ServiceKind {
    pub fn parse(word: &str) -> Option<ServiceKind> {
        let all = [ServiceKind::Systemd, ServiceKind::Launchd, ServiceKind::Cron];
        all.into_iter().find(|kind| kind.name() == word)
    }

    pub fn name(self) -> &'static str {
        match self {
            ServiceKind::Systemd => "systemd",
            ServiceKind::Launchd => "launchd",
            ServiceKind::Cron => "cron",
        }
    }
}

/// What is to run, and with what around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// An absolute path.
    pub program: String,
    /// The daemon's flags, after `--on-shutdown leave`.
    pub flags: Vec<String>,
    /// `$PATH`.
    pub path: String,
    pub gstack_home: Option<String>,
    /// The user's home directory, for logs.
    pub home: String,
    pub user: Option<String>,
    /// How long a stop may wait for sessions, and then end them.
    pub stops_within: Duration,
}

impl Service {
    /// The daemon's arguments: sessions are left to the next one, unless a flag says otherwise.
    fn arguments(&self) -> impl Iterator<Item = &str> {
        ["--on-shutdown", "leave"].into_iter().chain(self.flags.iter().map(String::as_str))
    }

    fn stop_seconds(&self) -> u64 {
        (self.stops_within + STOP_MARGIN).as_secs()
    }

    /// No service takes a text with a control character in it.
    fn check(&self) -> Result<(), String> {
        let texts = [&self.program, &self.path, &self.home].into_iter();
        let more = self.flags.iter().chain(&self.gstack_home).chain(&self.user);
        match texts.chain(more).find(|text| text.chars().any(char::is_control)) {
            Some(text) => Err(format!("{text:?} has a control character, which no service takes")),
            None => Ok(()),
        }
    }
}

/// Whether a unit, or the lines of a crontab, are one of our texts.
pub fn is_ours(text: &str) -> bool {
    text.lines().any(|line| line.contains(MARK))
}

/// A `$PATH` of these folders and the usual ones, each once and in this order.
pub fn search_path<'a>(folders: impl IntoIterator<Item = &'a str>) -> String {
    let mut path: Vec<&str> = Vec::new();
    for folder in folders.into_iter().chain(["/usr/local/bin", "/usr/bin", "/bin"]) {
        // A colon cannot be written there.
        if folder.starts_with('/') && !folder.contains(':') && !path.contains(&folder) {
            path.push(folder);
        }
    }
    path.join(":")
}

#[cfg(test)]
pub(super) mod samples {
    use super::Service;
    use std::time::Duration;

    pub fn plain() -> Service {
        Service {
            program: "/opt/bin/gstack-dispatch-daemon".into(),
            flags: Vec::new(),
            path: "/opt/agent/bin:/usr/bin".into(),
            gstack_home: None,
            home: "/home/u".into(),
            user: Some("u".into()),
            stops_within: Duration::from_secs(65),
        }
    }

    /// What is hard to write anywhere.
    pub const HARD: &str = "/a b/%h $HOME ${x}\\\\n'q'\"d\"`c`/é<&>;#!~*/日本";

    pub fn hard() -> Service {
        Service {
            program: format!("{HARD}/bin"),
            flags: [HARD, "", "-x", "100%", "\\", "a\\%", "$$"].map(String::from).to_vec(),
            path: format!("{HARD}:/usr/bin"),
            gstack_home: Some(HARD.into()),
            home: HARD.into(),
            user: Some("it's".into()),
            ..plain()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::samples::plain;
    use super::*;

    #[test]
    fn the_path_has_each_folder_once_and_the_usual_ones() {
        let path = search_path(["/home/u/.local/bin", "/usr/bin", "relative", "/a:b", "/usr/bin"]);
        assert_eq!(path, "/home/u/.local/bin:/usr/bin:/usr/local/bin:/bin");
    }

    #[test]
    fn no_text_has_a_control_character_in_it() {
        for (at, broken) in [
            Service { program: "/a\nb".into(), ..plain() },
            Service { flags: vec!["a\u{1b}".into()], ..plain() },
            Service { gstack_home: Some("/a\t".into()), ..plain() },
        ]
        .iter()
        .enumerate()
        {
            for text in [systemd::unit(broken), launchd::plist(broken), cron::block(broken)] {
                assert!(text.is_err_and(|e| e.contains("control character")), "{at}");
            }
        }
    }

    #[test]
    fn each_text_is_known_again() {
        let service = plain();
        for text in [systemd::unit(&service), launchd::plist(&service), cron::block(&service)] {
            assert!(is_ours(&text.expect("a text")));
        }
        assert!(!is_ours("[Service]\nExecStart=/opt/bin/gstack-dispatch-daemon\n"));
    }
}
