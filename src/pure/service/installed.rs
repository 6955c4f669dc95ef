//! What an installed unit, property list or line of a crontab says about the daemon that it starts.

use std::collections::BTreeMap;

use super::ServiceKind;

/// One service that starts the daemon, whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstalledService {
    pub kind: ServiceKind,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The variables that it sets, and those of its kind of service that everybody gets.
    pub variables: BTreeMap<String, String>,
    /// A stop of the daemon does not reach its sessions.
    pub spares_sessions: bool,
}

impl InstalledService {
    /// Whether a daemon that is stopped leaves its sessions to the next one.
    pub fn leaves_sessions(&self) -> bool {
        let mut words = self.argv.iter().map(String::as_str).peekable();
        let mut leaves = false;
        while let Some(word) = words.next() {
            match word.strip_prefix("--on-shutdown") {
                Some("") => leaves = words.peek() == Some(&"leave"),
                Some(value) if value.starts_with('=') => leaves = value == "=leave",
                _ => {}
            }
        }
        leaves
    }

    /// The flags of the daemon that it starts.
    pub fn flags(&self) -> &[String] {
        self.argv.get(1..).unwrap_or_default()
    }
}

/// Whether that is a program of ours, by its name.
pub fn is_our_program(word: &str) -> bool {
    word.rsplit('/').next() == Some(super::SERVICE_NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stop_does_is_read_from_the_last_flag() {
        for (flags, want) in [
            (&[][..], false),
            (&["--on-shutdown", "leave"], true),
            (&["--on-shutdown=leave"], true),
            (&["--on-shutdown", "leave", "--on-shutdown", "end"], false),
            (&["--on-shutdown=end", "--on-shutdown", "leave", "--local-only"], true),
            (&["--on-shutdown"], false),
        ] {
            let argv = ["/d"].iter().chain(flags).map(|word| word.to_string()).collect();
            let kind = ServiceKind::Systemd;
            let service =
                InstalledService { kind, argv, variables: BTreeMap::new(), spares_sessions: true };
            assert_eq!(service.leaves_sessions(), want, "{flags:?}");
        }
    }

    #[test]
    fn the_daemon_is_known_by_its_name() {
        assert!(is_our_program("/opt/gstack-dispatch-daemon"));
        assert!(is_our_program("gstack-dispatch-daemon"));
        assert!(!is_our_program("/opt/gstack-dispatch-daemon.old"));
    }
}
