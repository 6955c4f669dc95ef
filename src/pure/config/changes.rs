//! What has changed between two readings of the settings, in words, and how much of it may be put
//! in force at once.
//!
//! The words show what was written, not what it became, since a person compares them with the file.

use std::fmt;

use serde_json::Value;

use super::{Reload, SETTINGS, Setting, Settings, strict_json};
use crate::pure::text::clip::one_line;
use crate::pure::text::redact::redact;

/// How much of a value is shown, in characters.
const SHOWN_CHARS_MAX: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingChange {
    pub key: &'static str,
    /// The change in words, such as `none → 200`.
    what: String,
    pub reload: Reload,
}

impl fmt::Display for SettingChange {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let SettingChange { key, what, reload } = self;
        let later = match reload {
            Reload::Live => "",
            Reload::Restart => " (needs a restart)",
        };
        write!(f, "{key}: {what}{later}")
    }
}

/// The settings that differ, in the order of the table.
pub fn changes(old: &Settings, new: &Settings) -> Vec<SettingChange> {
    let differing = SETTINGS.iter().filter(|setting| !(setting.is_same)(old, new));
    let change = |setting: &Setting| {
        let what = match (entries(setting, old), entries(setting, new)) {
            (Some(old), Some(new)) => by_entry(&old, &new),
            _ => format!("{} → {}", shown(setting, old), shown(setting, new)),
        };
        SettingChange { key: setting.key, what, reload: setting.reload }
    };
    differing.map(change).collect()
}

/// The new settings, but the old ones where a change needs a restart.
pub fn in_force(old: &Settings, mut new: Settings) -> Settings {
    for setting in SETTINGS.iter().filter(|setting| setting.reload == Reload::Restart) {
        (setting.copy)(&mut new, old);
        match old.written.get(setting.key) {
            Some(value) => new.written.insert(setting.key, value.clone()),
            None => new.written.remove(setting.key),
        };
    }
    new
}

fn shown(setting: &Setting, settings: &Settings) -> String {
    let text = match settings.written.get(setting.key) {
        None => setting.default.to_string(),
        Some(Value::String(text)) if text.is_empty() => "none".to_string(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    one_line(&redact(&text), SHOWN_CHARS_MAX)
}

type Entries = serde_json::Map<String, Value>;

/// The entries of a setting that has one for each project, and would be too long to show whole.
fn entries(setting: &Setting, settings: &Settings) -> Option<Entries> {
    if setting.value != "JSON" {
        return None;
    }
    let written = match settings.written.get(setting.key) {
        Some(Value::String(text)) => strict_json::parse(text.as_bytes()).unwrap_or_default(),
        Some(value) => value.clone(),
        None => Value::Null,
    };
    Some(match written {
        Value::Object(entries) => entries,
        _ => Entries::default(),
    })
}

fn by_entry(old: &Entries, new: &Entries) -> String {
    let mut said = Vec::new();
    let mut say =
        |key: &String, what| said.push(format!("{} {what}", one_line(key, SHOWN_CHARS_MAX)));
    for (key, entry) in new {
        match old.get(key) {
            None => say(key, "added"),
            Some(before) if before != entry => say(key, "changed"),
            Some(_) => {}
        }
    }
    old.keys().filter(|key| !new.contains_key(*key)).for_each(|key| say(key, "removed"));
    said.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::config::apply_config;
    use serde_json::json;

    fn settings(config: Value) -> Settings {
        let mut settings = Settings::default();
        apply_config(&mut settings, &config).expect("config");
        settings
    }

    #[test]
    fn what_changed_is_said_in_the_words_of_the_file() {
        let long = "x".repeat(200);
        for (old, new, want) in [
            (json!({}), json!({}), &[][..]),
            (json!({}), json!({"max_turns": 200}), &["max_turns: none → 200"]),
            (json!({"max_turns": 200}), json!({"max_turns": "200"}), &[]),
            (json!({"model": "opus"}), json!({}), &["model: opus → its own"]),
            (json!({}), json!({"kill_grace_seconds": 5}), &[]),
            (
                json!({"allow_tools": ["Read"]}),
                json!({"allow_tools": ""}),
                &["allow_tools: [\"Read\"] → none"],
            ),
            (
                json!({}),
                json!({"max_concurrent": 4, "strict": true}),
                &["max_concurrent: 2 → 4 (needs a restart)", "strict: off → true"],
            ),
            (
                json!({"projects": {"/a": {}, "/b": {"max_turns": 1}, "/c": {}}}),
                json!({"projects": {"/b": {"max_turns": 2}, "/c": {}, "/d": {}}}),
                &["projects: /b changed, /d added, /a removed"],
            ),
            (
                json!({"claude_args": "--token=abcdefghijklmnop"}),
                json!({}),
                &["claude_args: --token=[redacted] → none"],
            ),
        ] {
            let got = changes(&settings(old), &settings(new));
            let got: Vec<String> = got.iter().map(SettingChange::to_string).collect();
            assert_eq!(got, want);
        }
        let got = changes(&settings(json!({})), &settings(json!({ "model": long })));
        assert!(got[0].to_string().chars().count() < 150, "{}", got[0]);
    }

    #[test]
    fn what_needs_a_restart_stays_until_then_and_is_said_again() {
        let (old, new) =
            (settings(json!({})), settings(json!({"max_concurrent": 4, "strict": true})));
        let live = in_force(&old, new.clone());
        assert!((live.max_concurrent, live.strict) == (2, true));
        let left: Vec<&str> = changes(&live, &new).iter().map(|change| change.key).collect();
        assert_eq!(left, ["max_concurrent"]);
        assert_eq!(changes(&live, &in_force(&live, new)), []);
    }

    #[test]
    fn slots_places_the_lock_and_clawvisor_s_url_need_a_restart_and_nothing_else() {
        let restart = SETTINGS.iter().filter(|setting| setting.reload == Reload::Restart);
        let restart: Vec<&str> = restart.map(|setting| setting.key).collect();
        let wanted = [
            "max_concurrent",
            "lock_wait_seconds",
            "clawvisor_url",
            "clawvisor_plain_http",
            "allow_network_fs",
        ];
        assert_eq!(restart, wanted);
    }
}
