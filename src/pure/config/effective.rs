//! The settings in force, each with its value as `config.json` would have it, and where it is from.
//!
//! What was typed as a flag or stands in a variable is a text, whatever the setting is; here it is
//! put as somebody would write it into the file. A spelling is only shown if the setting's own
//! reader makes the same of it, so that copying what is shown changes nothing.

use std::collections::BTreeSet;

use serde_json::{Number, Value};

use super::flags::Flags;
use super::values::split_list;
use super::{SETTINGS, Setting, Settings, Variable, strict_json};

/// Where a setting's value comes from, the last one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingOrigin {
    Flag,
    Environment,
    File,
    Default,
}

impl SettingOrigin {
    pub fn name(self) -> &'static str {
        match self {
            SettingOrigin::Flag => "flag",
            SettingOrigin::Environment => "environment",
            SettingOrigin::File => "file",
            SettingOrigin::Default => "default",
        }
    }
}

/// One setting as it is in force.
#[derive(Clone, Debug, PartialEq)]
pub struct EffectiveSetting {
    pub key: &'static str,
    /// `None`: it is not set, and has no default that could be written.
    pub value: Option<Value>,
    /// What holds then, in words.
    pub unset: &'static str,
    pub origin: SettingOrigin,
}

/// Where settings may come from besides their defaults.
pub struct Origins<'a> {
    /// What `config.json` holds.
    pub file: &'a Value,
    pub variables: &'a [Variable],
    pub flags: &'a Flags,
}

/// Every setting, in the order of the table.
pub fn effective(settings: &Settings, origins: &Origins) -> Vec<EffectiveSetting> {
    let typed: BTreeSet<&str> = origins.flags.keys().collect();
    let origin = |setting: &Setting| {
        let name = setting.variable();
        match () {
            _ if typed.contains(setting.key) => SettingOrigin::Flag,
            _ if origins.variables.iter().any(|variable| variable.name == name) => {
                SettingOrigin::Environment
            }
            _ if origins.file.get(setting.key).is_some() => SettingOrigin::File,
            _ => SettingOrigin::Default,
        }
    };
    let one = |setting: &Setting| EffectiveSetting {
        key: setting.key,
        value: value(setting, settings),
        unset: setting.default,
        origin: origin(setting),
    };
    SETTINGS.iter().map(one).collect()
}

/// The value as `config.json` would have it.
fn value(setting: &Setting, settings: &Settings) -> Option<Value> {
    let written = match settings.written.get(setting.key) {
        Some(written) => written.clone(),
        None => Value::from(setting.default),
    };
    let spellings = match &written {
        Value::String(text) => spellings(setting, text),
        written => vec![written.clone()],
    };
    let means_the_same = |spelling: &Value| {
        let mut alone = Settings::default();
        setting.apply(&mut alone, spelling).is_ok() && (setting.is_same)(&alone, settings)
    };
    spellings.into_iter().find(means_the_same)
}

/// What that text may be in the file, the likeliest first.
fn spellings(setting: &Setting, text: &str) -> Vec<Value> {
    let string = Value::from(text);
    let switches = [Value::Bool(true), Value::Bool(false)];
    match setting.value {
        "" => Vec::from(switches),
        "JSON" => strict_json::parse(text.as_bytes()).into_iter().collect(),
        "LIST" | "PORTS" => {
            let blanks = text.split_whitespace().map(String::from).collect();
            let lists = [split_list(text), blanks];
            let numbers = lists[0].iter().map(|item| number(item)).collect::<Option<Vec<_>>>();
            let texts = lists.into_iter().map(Value::from);
            numbers.map(Value::from).into_iter().chain(texts).chain([string]).collect()
        }
        kind if kind.starts_with('[') => [&[string][..], &switches].concat(),
        _ => number(text).into_iter().chain([string]).collect(),
    }
}

fn number(text: &str) -> Option<Value> {
    let text = text.trim();
    let whole = text.parse::<u64>().ok().map(Value::from);
    whole.or_else(|| Number::from_f64(text.parse().ok()?).map(Value::Number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::config::{apply_config, apply_environment, flags};
    use serde_json::json;

    fn shown(
        file: &Value,
        variables: &[(&str, &str)],
        typed: &[(&str, Value)],
    ) -> Vec<EffectiveSetting> {
        let variable = |(name, value): &(&str, &str)| Variable {
            name: format!("GSTACK_DISPATCHD_{name}"),
            value: Some(value.to_string()),
        };
        let variables: Vec<Variable> = variables.iter().map(variable).collect();
        let mut flags = Flags::default();
        for (flag, value) in typed {
            flags.push(flags::find(flag).expect(flag), value.clone());
        }
        let mut settings = Settings::default();
        apply_config(&mut settings, file).expect("a file");
        apply_environment(&mut settings, &variables).expect("variables");
        flags.apply(&mut settings).expect("flags");
        effective(&settings, &Origins { file, variables: &variables, flags: &flags })
    }

    fn of<'s>(shown: &'s [EffectiveSetting], key: &str) -> &'s EffectiveSetting {
        shown.iter().find(|setting| setting.key == key).expect(key)
    }

    #[test]
    fn a_value_is_shown_as_the_file_would_have_it_and_where_it_is_from() {
        let file = json!({"max_turns": 5, "model": "m", "trusted_projects": [], "poll_seconds": "3",
            "strict": "on"});
        let variables = [
            ("MAX_CONCURRENT", "4"),
            ("MODEL", "n"),
            ("PROJECTS", "{\"/a\":{\"max_turns\":1}}"),
            ("LAUNCHER", "srun -Q --job-name={id}"),
            ("CALLBACK_DELAYS_SECONDS", "0,2.5"),
            ("CONFINE", "if-possible"),
            ("LAUNCHER_KILL", ""),
        ];
        let typed = [
            ("--max-concurrent", json!("6")),
            ("--local-only", json!(true)),
            ("--allow-tools", json!("Bash(a,b),Read")),
        ];
        let shown = shown(&file, &variables, &typed);
        for (key, value, origin) in [
            ("max_concurrent", json!(6), SettingOrigin::Flag),
            ("local_only", json!(true), SettingOrigin::Flag),
            ("allow_tools", json!(["Bash(a,b)", "Read"]), SettingOrigin::Flag),
            ("model", json!("n"), SettingOrigin::Environment),
            ("projects", json!({"/a": {"max_turns": 1}}), SettingOrigin::Environment),
            ("launcher", json!(["srun", "-Q", "--job-name={id}"]), SettingOrigin::Environment),
            ("launcher_kill", json!([]), SettingOrigin::Environment),
            ("callback_delays_seconds", json!([0, 2.5]), SettingOrigin::Environment),
            ("confine", json!("if-possible"), SettingOrigin::Environment),
            ("max_turns", json!(5), SettingOrigin::File),
            ("trusted_projects", json!([]), SettingOrigin::File),
            ("poll_seconds", json!(3), SettingOrigin::File),
            ("strict", json!(true), SettingOrigin::File),
            ("heartbeat_seconds", json!(30), SettingOrigin::Default),
            ("spare", json!(["gpg-agent", "ssh-agent"]), SettingOrigin::Default),
            ("on_shutdown", json!("end"), SettingOrigin::Default),
            ("require_signature", json!(false), SettingOrigin::Default),
        ] {
            let got = of(&shown, key);
            assert_eq!((got.value.as_ref(), got.origin), (Some(&value), origin), "{key}");
        }
    }

    #[test]
    fn a_setting_without_a_value_is_in_words_and_every_other_one_can_be_copied_into_the_file() {
        let shown = shown(&json!({}), &[], &[]);
        assert_eq!(shown.len(), SETTINGS.len());
        let mut file = serde_json::Map::new();
        for setting in &shown {
            assert_eq!(setting.origin, SettingOrigin::Default, "{}", setting.key);
            if let Some(value) = &setting.value {
                file.insert(setting.key.into(), value.clone());
            }
        }
        let unset: Vec<&str> =
            shown.iter().filter(|one| one.value.is_none()).map(|one| one.unset).collect();
        assert!(unset.contains(&"its own") && unset.contains(&"none"), "{unset:?}");
        let mut settings = Settings::default();
        apply_config(&mut settings, &Value::Object(file)).expect("what was shown");
        let is_same = |setting: &&Setting| (setting.is_same)(&settings, &Settings::default());
        assert_eq!(SETTINGS.iter().filter(is_same).count(), SETTINGS.len());
    }
}
