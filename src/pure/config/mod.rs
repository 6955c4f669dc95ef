//! Every setting: one row each in [`SETTINGS`], which gives its flag, its environment variable, its
//! key in `config.json`, its default and its line in `--help`. Precedence: flags, then environment,
//! then `config.json`, then the defaults.
//!
//! All durations and limits that a user may need to change live in [`Settings`]; what can never
//! sensibly change is a constant beside the code that it protects. Values come in as JSON (a flag
//! is a JSON string), so that one setter serves all three sources.

pub mod agents;
pub mod budget;
pub mod callbacks;
pub mod changes;
mod clawvisor;
mod config_file;
pub mod confine;
pub mod dialect;
pub mod effective;
pub mod flags;
pub mod launcher;
pub mod needs;
pub mod placeholder;
pub mod projects;
mod settings;
mod sources;
pub mod strict_json;
mod table;
pub mod template;
pub mod terms;
mod values;

use serde_json::Value;

pub use config_file::{apply_config_file, mistake_in, with_line};
pub use settings::Settings;
pub use sources::{Variable, apply_config, apply_environment};
pub use table::SETTINGS;
pub use values::{OnInterrupt, OnShutdown};

use super::text::nearest::nearest;

/// One setting. `key` is its name in `config.json`; see [`Setting::flag`] and [`Setting::variable`]
/// for the other two.
pub struct Setting {
    pub key: &'static str,
    /// What `--help` shows for the value. It is empty if the flag takes none, and in brackets if
    /// the flag can stand without it.
    pub value: &'static str,
    pub help: &'static str,
    /// The default as somebody would write it, or, if there is none, the words that say so.
    pub default: &'static str,
    pub reload: Reload,
    set: fn(&mut Settings, &Value) -> Result<(), String>,
    is_same: fn(&Settings, &Settings) -> bool,
    copy: fn(&mut Settings, &Settings),
}

/// What becomes of a setting that is changed while the daemon runs (SIGHUP).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    Live,
    /// The change waits: slots, folders and the lock are made once, at the start.
    Restart,
}

impl Setting {
    /// `max_concurrent` → `--max-concurrent`; the unit is left out: `drain_timeout_seconds` →
    /// `--drain-timeout`.
    pub fn flag(&self) -> String {
        let short = self.key.strip_suffix("_seconds").unwrap_or(self.key);
        format!("--{}", short.replace('_', "-"))
    }

    /// The flag with its value, as `--help` shows it.
    pub fn usage(&self) -> String {
        let gap = if self.value.is_empty() || self.value.starts_with('[') { "" } else { " " };
        format!("{}{gap}{}", self.flag(), self.value)
    }

    /// The variable's name, such as `GSTACK_DISPATCHD_MAX_CONCURRENT`.
    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.key.to_uppercase())
    }

    pub fn apply(&self, settings: &mut Settings, value: &Value) -> Result<(), String> {
        (self.set)(settings, value)?;
        settings.written.insert(self.key, value.clone());
        Ok(())
    }
}

pub const VARIABLE_PREFIX: &str = "GSTACK_DISPATCHD_";

/// What the error for a key that nobody knows begins with.
const UNKNOWN_SETTING: &str = "unknown setting ";

/// The error for a key that nobody knows.
fn unknown<'k>(key: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    let meant = nearest(key, known).map(|name| format!(" (did you mean {name}?)"));
    format!("{UNKNOWN_SETTING}{key}{}", meant.unwrap_or_default())
}

fn keys() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(|setting| setting.key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_variables_follow_from_the_key() {
        let row = SETTINGS.iter().find(|s| s.key == "drain_timeout_seconds").expect("row");
        assert_eq!(row.flag(), "--drain-timeout");
        assert_eq!(row.variable(), "GSTACK_DISPATCHD_DRAIN_TIMEOUT_SECONDS");
    }
}
