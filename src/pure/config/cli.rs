//! The command line: what was typed, as a value. Must not read anything but its arguments, so that
//! `--help` and `--version` work whatever the state of the machine. A new command begins as a
//! variant of [`Command`].

use std::ffi::OsString;

use serde_json::Value;

use super::verbs::{self, KeygenCall, SignCall, Verb, unknown};
use super::verdict_verbs::{self, ApproveCall, DenyCall, VerdictVerb};
use super::{Reload, SETTINGS, Setting, Settings};
use crate::pure::text::log_line::LogFormat;

#[derive(Debug, PartialEq)]
pub enum Command {
    /// Run the daemon.
    Run(Flags),
    Keygen(KeygenCall),
    Sign(SignCall),
    Approve(ApproveCall),
    Deny(DenyCall),
    Help,
    Version,
}

/// What was typed for the daemon.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flags {
    /// The settings, in order.
    typed: Vec<(&'static str, Value)>,
    /// Work off what is there, and end. It is no setting: a file that says so would end every
    /// daemon.
    pub once: bool,
}

impl Flags {
    /// Applies the flags on top of the other sources. They were checked when they were parsed.
    pub fn apply(&self, settings: &mut Settings) -> Result<(), String> {
        for (key, value) in &self.typed {
            if let Some(setting) = SETTINGS.iter().find(|s| s.key == *key) {
                setting.apply(settings, value)?;
            }
        }
        Ok(())
    }

    /// The form of the log as far as these and the environment say it: they may be wrong in
    /// whatever else they say, and that has to be told in this form.
    pub fn log_format(&self, environment: impl Iterator<Item = (OsString, OsString)>) -> LogFormat {
        let Some(row) = SETTINGS.iter().find(|setting| setting.key == "log_format") else {
            return LogFormat::default();
        };
        let variable = row.variable();
        let ours = environment.filter(|(name, _)| *name == *variable);
        let values = ours.map(|(_, value)| Value::from(value.to_string_lossy()));
        let typed =
            self.typed.iter().filter(|(key, _)| *key == row.key).map(|(_, value)| value.clone());
        let mut settings = Settings::default();
        for value in values.chain(typed) {
            let _ = row.apply(&mut settings, &value);
        }
        settings.log_format
    }
}

const ONCE: &str = "work off what is there, a retry that backs off too, and end";

/// `args` comes without the program's own name. The error is one line for the user.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    use lexopt::Arg::{Long, Short, Value as Word};
    let mut parser = lexopt::Parser::from_args(args);
    let mut flags = Flags::default();
    let mut command = None;
    while let Some(arg) = parser.next().map_err(|e| e.to_string())? {
        match arg {
            Short('h') | Long("help") => return Ok(Command::Help),
            Short('V') | Long("version") => return Ok(Command::Version),
            Long("once") => flags.once = true,
            Long(name) => {
                let name = format!("--{name}");
                let setting = find(&name).ok_or_else(|| unknown(&name))?;
                flags.typed.push((setting.key, typed_value(setting, &name, &mut parser)?));
            }
            Word(word) if command.is_none() && word == "run" => command = Some(word),
            // Another command takes none of the daemon's settings, and comes first.
            Word(word)
                if command.is_none() && flags == Flags::default() && verbs::is_verb(&word) =>
            {
                return Ok(match verbs::parse(&word, &mut parser)? {
                    Verb::Help => Command::Help,
                    Verb::Keygen(call) => Command::Keygen(call),
                    Verb::Sign(call) => Command::Sign(call),
                });
            }
            Word(word)
                if command.is_none()
                    && flags == Flags::default()
                    && verdict_verbs::is_verb(&word) =>
            {
                return Ok(match verdict_verbs::parse(&word, &mut parser)? {
                    VerdictVerb::Help => Command::Help,
                    VerdictVerb::Approve(call) => Command::Approve(call),
                    VerdictVerb::Deny(call) => Command::Deny(call),
                });
            }
            Word(word) => {
                return Err(format!("unknown command: {} (see --help)", word.to_string_lossy()));
            }
            Short(c) => return Err(unknown(&format!("-{c}"))),
        }
    }
    Ok(Command::Run(flags))
}

/// Both the short form (`--drain-timeout`) and the key itself (`--drain-timeout-seconds`) are
/// understood.
fn find(flag: &str) -> Option<&'static Setting> {
    let full = |s: &Setting| format!("--{}", s.key.replace('_', "-"));
    SETTINGS.iter().find(|s| s.flag() == flag || full(s) == flag)
}

fn typed_value(
    setting: &Setting,
    name: &str,
    parser: &mut lexopt::Parser,
) -> Result<Value, String> {
    let value = if setting.value.is_empty() {
        Value::Bool(true)
    } else if setting.value.starts_with('[') {
        match parser.optional_value() {
            None => Value::Bool(true),
            Some(text) => Value::String(text.to_string_lossy().into_owned()),
        }
    } else {
        let text =
            parser.value().map_err(|_| format!("{name} needs a value: {}", setting.value))?;
        let text = text.into_string().map_err(|_| format!("{name}: the value is not UTF-8"))?;
        Value::String(text)
    };
    setting.apply(&mut Settings::default(), &value).map_err(|e| format!("{name}: {e}"))?;
    Ok(value)
}

pub fn help() -> String {
    let mut text = String::from(
        "gstack-dispatch-daemon: hands coding dispatches to a headless coding agent\n\n\
         Usage: gstack-dispatch-daemon [run] [OPTIONS]\n       gstack-dispatch-daemon COMMAND …\n\n\
         Watches $GSTACK_HOME/dispatch (default ~/.gstack/dispatch) for dispatch-*.json, runs one\n\
         session of a coding agent (Claude Code, unless target_agent names another one) for each in\n\
         its project, and answers with completed/<id>.json.\n\
         Stays in the foreground; a second daemon on the same directory exits quietly with 0.\n\n\
         Options (each is also a variable GSTACK_DISPATCHD_<KEY> and a key of\n\
         $GSTACK_HOME/dispatchd/config.json; flags come first, then variables, then the file):\n",
    );
    for setting in SETTINGS {
        text += &format!("  {:<28} {}\n", setting.usage(), setting.help);
        let later = match setting.reload {
            Reload::Live => "",
            Reload::Restart => ", needs a restart",
        };
        let (key, default) = (setting.key, setting.default);
        text += &format!("  {:<28} [key: {key}, default: {default}{later}]\n", "");
    }
    text += &format!("  {:<28} {ONCE}\n", "--once");
    text += &format!("  {:<28} this text\n  {:<28} the version\n", "-h, --help", "-V, --version");
    text += verbs::HELP;
    text += verdict_verbs::HELP;
    text += "\nSignals: SIGTERM and SIGINT stop the intake and wait for running sessions; a second one ends them now.\n\
             SIGHUP reads config.json again; what counts only after a restart is marked above.\n\
             Exit codes: 0 done (or already running), 1 failed, 2 wrong usage.\n";
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(words: &[&str]) -> Result<Settings, String> {
        match parse(words.iter().map(OsString::from))? {
            Command::Run(flags) => {
                let mut settings = Settings::default();
                flags.apply(&mut settings)?;
                Ok(settings)
            }
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn the_seeds_flags_work() {
        let s = typed(&["--max-concurrent", "3", "--local-only"]).expect("flags");
        assert!(s.max_concurrent == 3 && s.local_only);
        assert_eq!(typed(&["run", "--max-concurrent=4"]).expect("flags").max_concurrent, 4);
        assert_eq!(typed(&[]).expect("no flags"), Settings::default());
        assert!(matches!(parse(["run".into(), "--once".into()]), Ok(Command::Run(f)) if f.once));
    }

    #[test]
    fn every_setting_has_its_flag_in_the_help() {
        for setting in SETTINGS {
            assert!(help().contains(&setting.flag()), "{}", setting.key);
            assert!(find(&setting.flag()).is_some(), "{}", setting.key);
        }
        assert!(help().lines().all(|line| line.len() <= 120));
    }

    #[test]
    fn wrong_usage_names_what_was_typed() {
        for (words, want) in [
            (&["--max-conc", "3"][..], "unknown option: --max-conc (see --help)"),
            (&["--max-concurrent"], "--max-concurrent needs a value: N"),
            (&["--max-concurrent", "x"], "--max-concurrent: \"x\" is not a number"),
            (&["start"], "unknown command: start (see --help)"),
            (&["-x"], "unknown option: -x (see --help)"),
        ] {
            assert_eq!(typed(words), Err(want.to_string()));
        }
    }

    #[test]
    fn help_and_version_need_nothing_else() {
        assert_eq!(parse(["--help".into()]), Ok(Command::Help));
        assert_eq!(parse(["run".into(), "-V".into()]), Ok(Command::Version));
    }
}
