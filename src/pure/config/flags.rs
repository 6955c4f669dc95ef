//! The settings as flags of the command line. Must not look at anything but what was typed: the
//! other sources are [`super::apply_config`] and [`super::apply_environment`].

use std::ffi::OsString;

use serde_json::Value;

use super::{SETTINGS, Setting, Settings};
use crate::pure::text::log_line::LogFormat;

/// The settings that were typed, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flags(Vec<(&'static str, Value)>);

impl Flags {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The settings that were typed.
    pub fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|(key, _)| *key)
    }

    pub fn push(&mut self, setting: &Setting, value: Value) {
        self.0.push((setting.key, value));
    }

    /// Applies the flags on top of the other sources. They were checked when they were parsed.
    pub fn apply(&self, settings: &mut Settings) -> Result<(), String> {
        for (key, value) in &self.0 {
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
        let typed = self.0.iter().filter(|(key, _)| *key == row.key);
        let Some(value) = values.chain(typed.map(|(_, value)| value.clone())).last() else {
            return LogFormat::default();
        };
        let mut settings = Settings::default();
        let _ = row.apply(&mut settings, &value);
        settings.log_format
    }
}

/// Both the short form (`--drain-timeout`) and the key itself (`--drain-timeout-seconds`) are
/// understood.
pub fn find(flag: &str) -> Option<&'static Setting> {
    let full = |s: &Setting| format!("--{}", s.key.replace('_', "-"));
    SETTINGS.iter().find(|s| s.flag() == flag || full(s) == flag)
}

/// The value of a setting's flag, checked.
pub fn typed_value(
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

/// What the flags are called, without their dashes.
pub fn names() -> Vec<String> {
    SETTINGS.iter().map(|setting| setting.flag().trim_start_matches('-').to_string()).collect()
}
