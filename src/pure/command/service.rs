//! `service`: its row, and what it was asked, as a value.

use super::code::Code;
use super::row::{CommandRow, Count, OptionRow, ValueKind, Verb, WordRow};
use super::typed::Typed;
use crate::pure::service::ServiceKind;

const PRINT: &str = "--print";
const INSTALL: &str = "--install";
const UNINSTALL: &str = "--uninstall";

pub const SERVICE: &CommandRow = &CommandRow {
    verb: Verb::Service,
    name: "service",
    words: &[
        WordRow::new("KIND", ValueKind::Choice(&["systemd", "launchd", "cron"]), Count::One),
        WordRow::new("-- FLAGS", ValueKind::Text, Count::Any),
    ],
    options: &[
        OptionRow::flag(PRINT, "print the unit, the list or the lines (the default)"),
        OptionRow::flag(INSTALL, "write them where they belong, and start nothing"),
        OptionRow::flag(UNINSTALL, "take them away again"),
    ],
    help: "make the daemon a service of the system",
    more: "KIND is systemd (a user's unit), launchd (a user's agent) or cron (lines of the crontab). \
           All three start the daemon with --on-shutdown leave and FLAGS, keep sessions alive when \
           it is stopped, and have a PATH with the agents' and git's folders.\n\
           What is not ours is never replaced or removed.",
    examples: &[
        "service systemd",
        "service systemd --install -- --max-concurrent 3",
        "service cron --install",
        "service launchd --uninstall",
    ],
    codes: &[
        (Code::Done, "done, or it was so already"),
        (Code::NotDone, "not done: what stands there is not ours, or cannot be written"),
        (Code::WrongUsage, "wrong usage, of the daemon's FLAGS too"),
    ],
    takes_settings: false,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceDeed {
    Print,
    Install,
    Uninstall,
}

#[derive(Debug, PartialEq, Eq)]
pub struct ServiceCall {
    pub kind: ServiceKind,
    pub deed: ServiceDeed,
    /// The daemon's, as they were typed.
    pub flags: Vec<String>,
}

impl ServiceCall {
    pub fn of(typed: &Typed) -> Result<ServiceCall, String> {
        let deeds = [
            (PRINT, ServiceDeed::Print),
            (INSTALL, ServiceDeed::Install),
            (UNINSTALL, ServiceDeed::Uninstall),
        ];
        let mut asked = deeds.into_iter().filter(|(option, _)| typed.has(option));
        let deed = match (asked.next(), asked.next()) {
            (None, _) => ServiceDeed::Print,
            (Some((_, deed)), None) => deed,
            (Some((one, _)), Some((other, _))) => {
                return Err(format!("{one} and {other} do not go together"));
            }
        };
        let kind = typed.word(0)?.and_then(ServiceKind::parse);
        let kind = kind.ok_or("service needs one of systemd, launchd, cron")?;
        let flags = (1..typed.words.len()).map(|at| typed.word(at));
        let flags = flags.map(|flag| Ok(flag?.unwrap_or_default().to_string()));
        Ok(ServiceCall { kind, deed, flags: flags.collect::<Result<_, String>>()? })
    }
}
