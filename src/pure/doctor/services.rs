//! Whether the installed service keeps sessions alive, and starts what is there.

use super::Check;
use crate::pure::service::installed::InstalledService;
use crate::pure::service::{SERVICE_NAME, ServiceKind};

const NAME: &str = "service";

/// What was seen of a service besides its text.
#[derive(Clone, Debug)]
pub struct SeenService {
    pub installed: InstalledService,
    /// Where its text is.
    pub place: String,
    pub has_program: bool,
    /// Whether the user's services outlive a logout. `None`: that is no question here.
    pub lingers: Option<bool>,
    /// The directory that it works on is the one that is looked at.
    pub is_this_directory: bool,
}

/// What is wrong with it, or one line that nothing is.
pub fn service(seen: &SeenService) -> Vec<Check> {
    let SeenService { installed, place, .. } = seen;
    let kind = installed.kind.name();
    let again = format!("{SERVICE_NAME} service {kind} --install");
    let mut found = Vec::new();
    let mut wrong = |is_wrong: bool, text: String, fix: String| {
        found.extend(is_wrong.then(|| Check::warn(NAME, text, fix)));
    };
    let key = match installed.kind {
        ServiceKind::Systemd => "KillMode=process",
        ServiceKind::Launchd => "AbandonProcessGroup",
        ServiceKind::Cron => "",
    };
    let program = installed.argv.first().map(String::as_str).unwrap_or_default();
    wrong(
        !installed.spares_sessions,
        format!("{place} lacks {key}: a stop or a crash of the daemon ends its sessions too"),
        again.clone(),
    );
    wrong(
        !installed.leaves_sessions(),
        format!("{place} lacks --on-shutdown leave: a restart waits for sessions and ends them"),
        again.clone(),
    );
    wrong(
        !seen.has_program,
        format!("{place} starts {program}, which is no program"),
        again.clone(),
    );
    wrong(
        seen.lingers == Some(false),
        format!("{place} ends when you log out: lingering is off"),
        "loginctl enable-linger".into(),
    );
    wrong(
        !seen.is_this_directory,
        format!("{place} works on another $GSTACK_HOME than this one"),
        format!("{again}, with GSTACK_HOME as the service is to have it"),
    );
    if found.is_empty() {
        found.push(Check::ok(NAME, format!("{kind}: {place}")));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::doctor::CheckStatus;
    use std::collections::BTreeMap;

    #[test]
    fn each_flaw_of_a_service_is_found() {
        let fine = || SeenService {
            installed: InstalledService {
                kind: ServiceKind::Systemd,
                argv: ["/d", "--on-shutdown", "leave"].map(String::from).to_vec(),
                variables: BTreeMap::new(),
                spares_sessions: true,
            },
            place: "/unit".into(),
            has_program: true,
            lingers: Some(true),
            is_this_directory: true,
        };
        assert_eq!(service(&fine()), [Check::ok(NAME, "systemd: /unit")]);
        type Flaw = fn(&mut SeenService);
        let flaws: [(Flaw, &str, &str); 5] = [
            (
                |s| s.installed.spares_sessions = false,
                "KillMode=process",
                "service systemd --install",
            ),
            (|s| s.installed.argv.truncate(1), "--on-shutdown leave", "service systemd --install"),
            (|s| s.has_program = false, "/d, which is no program", "service systemd --install"),
            (|s| s.lingers = Some(false), "lingering", "loginctl enable-linger"),
            (|s| s.is_this_directory = false, "another $GSTACK_HOME", "GSTACK_HOME"),
        ];
        for (flaw, text, fix) in flaws {
            let mut seen = fine();
            flaw(&mut seen);
            let found = service(&seen);
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].status, CheckStatus::Warn);
            let said = found[0].fix.as_deref().unwrap_or_default();
            assert!(found[0].text.contains(text) && said.contains(fix), "{found:?}");
        }
    }
}
