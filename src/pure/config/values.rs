//! What a setting's value may look like: readers of numbers, durations, words and lists, each from
//! JSON or from a flag's text.
//!
//! The readers know no setting. An error says what is wrong with the value; the caller adds whose
//! value it is.

use std::time::Duration;

use serde_json::Value;

use crate::pure::gate::trust::TrustedPlace;
use crate::pure::text::log_line::LogFormat;

/// The shortest pause between two tries of a callback.
const DELAY_MIN: Duration = Duration::from_millis(100);
const DAY_SECONDS: f64 = 24.0 * 60.0 * 60.0;
const MEGABYTE: f64 = 1_000_000.0;

pub(super) fn number(value: &Value) -> Result<f64, String> {
    let number = match value {
        Value::Number(n) => n.as_f64(),
        Value::String(s) => s.trim().parse().ok(),
        _ => None,
    };
    number.filter(|n| n.is_finite() && *n >= 0.0).ok_or(format!("{value} is not a number"))
}

pub(super) fn whole(value: &Value) -> Result<u64, String> {
    let number = number(value)?;
    if number.fract() == 0.0 && number < 1e15 {
        Ok(number as u64)
    } else {
        Err(format!("{value} is not a whole number"))
    }
}

pub(super) fn count(value: &Value) -> Result<usize, String> {
    Ok(whole(value)?.min(10_000) as usize)
}

pub(super) fn at_least_one(value: &Value) -> Result<usize, String> {
    match count(value)? {
        0 => Err(format!("must be at least 1, not {value}")),
        n => Ok(n),
    }
}

/// A number of at least one, and few enough to be looked at one by one.
pub(super) fn few(value: &Value) -> Result<u32, String> {
    Ok(at_least_one(value)?.min(1000) as u32)
}

pub(super) fn seconds(value: &Value) -> Result<Duration, String> {
    // A hundred years: enough for anybody, and no sum of such durations overflows.
    Ok(Duration::from_secs_f64(number(value)?.min(3.2e9)))
}

/// Seconds, at most those of a day.
pub(super) fn within_a_day(value: &Value) -> Result<Duration, String> {
    let duration = seconds(value)?;
    if duration > Duration::from_secs_f64(DAY_SECONDS) {
        return Err(format!("must be at most 86400, not {value}"));
    }
    Ok(duration)
}

/// Seconds of something that repeats or limits: zero would mean a busy loop, or no time at all.
pub(super) fn pause(value: &Value) -> Result<Duration, String> {
    let duration = seconds(value)?;
    if duration < Duration::from_millis(10) {
        return Err(format!("must be at least 0.01, not {value}"));
    }
    Ok(duration)
}

pub(super) fn switch(value: &Value) -> Result<bool, String> {
    match value {
        Value::Bool(on) => Ok(*on),
        Value::String(s) if matches!(s.as_str(), "1" | "true" | "yes" | "on") => Ok(true),
        Value::String(s) if matches!(s.as_str(), "" | "0" | "false" | "no" | "off") => Ok(false),
        _ => Err(format!("{value} is neither true nor false")),
    }
}

pub(super) fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("{value} is not a text"))
}

pub(super) fn optional_text(value: &Value) -> Result<Option<String>, String> {
    let text = text(value)?;
    Ok((!text.is_empty()).then(|| text.to_string()))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnShutdown {
    /// Wait for running sessions, end them at the drain timeout.
    End,
    /// Leave them running for the next daemon.
    Leave,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnInterrupt {
    Report,
    Retry,
}

pub(super) fn log_format(value: &Value) -> Result<LogFormat, String> {
    match text(value)? {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        other => Err(format!("{other} is neither text nor json")),
    }
}

pub(super) fn on_shutdown(value: &Value) -> Result<OnShutdown, String> {
    match text(value)? {
        "end" => Ok(OnShutdown::End),
        "leave" => Ok(OnShutdown::Leave),
        other => Err(format!("{other} is neither end nor leave")),
    }
}

pub(super) fn on_interrupt(value: &Value) -> Result<OnInterrupt, String> {
    match text(value)? {
        "report" => Ok(OnInterrupt::Report),
        "retry" => Ok(OnInterrupt::Retry),
        other => Err(format!("{other} is neither report nor retry")),
    }
}

pub(super) fn list(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::Array(items) => items.iter().map(|i| text(i).map(str::to_string)).collect(),
        other => Ok(split_list(text(other)?)),
    }
}

/// Numbers of users.
pub(super) fn uids(value: &Value) -> Result<Vec<u32>, String> {
    let items = match value {
        Value::Array(items) => items.clone(),
        Value::Number(_) => vec![value.clone()],
        other => list(other)?.into_iter().map(Value::String).collect(),
    };
    let uid = |item: &Value| {
        let number = whole(item)?;
        u32::try_from(number).map_err(|_| format!("{item} is no number of a user"))
    };
    items.iter().map(uid).collect()
}

/// The entries of `trusted_projects`. None at all means that nothing is trusted.
pub(super) fn trusted_projects(value: &Value) -> Result<Option<Vec<TrustedPlace>>, String> {
    let entries = list(value)?;
    entries.iter().map(|entry| TrustedPlace::parse(entry)).collect::<Result<_, _>>().map(Some)
}

pub(super) fn tool_list(value: &Value) -> Result<Vec<String>, String> {
    let tools = list(value)?;
    match tools.iter().find(|tool| tool.starts_with('-')) {
        Some(tool) => Err(format!("{tool} is not a tool")),
        None => Ok(tools),
    }
}

pub(super) fn delays(value: &Value) -> Result<Vec<Duration>, String> {
    let items: Vec<Value> = match value {
        Value::Array(items) => items.clone(),
        Value::String(s) => split_list(s).into_iter().map(Value::String).collect(),
        other => vec![other.clone()],
    };
    let delays: Vec<Duration> = items.iter().map(seconds).collect::<Result<_, _>>()?;
    match delays.last() {
        None => Err("at least one delay is needed".into()),
        // The last delay repeats: without a pause it would hammer the receiver.
        Some(last) if *last < DELAY_MIN => {
            Err(format!("the last delay must be at least 0.1, not {}", last.as_secs_f64()))
        }
        Some(_) => Ok(delays),
    }
}

/// Splits at commas, but not inside parentheses: `Bash(git a,b),Read` is two.
pub(super) fn split_list(text: &str) -> Vec<String> {
    let (mut items, mut depth, mut from) = (Vec::new(), 0i32, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth <= 0 => {
                items.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    items.push(&text[from..]);
    items.into_iter().map(str::trim).filter(|s| !s.is_empty()).map(String::from).collect()
}

/// Megabytes, as bytes. Fractions are allowed.
pub(super) fn megabytes(value: &Value) -> Result<u64, String> {
    Ok((number(value)? * MEGABYTE).min(1e18) as u64)
}

/// Days. Fractions are allowed.
pub(super) fn days(value: &Value) -> Result<Duration, String> {
    Ok(Duration::from_secs_f64((number(value)? * DAY_SECONDS).min(3.2e9)))
}

/// Seconds until something is given up; 0 = never.
pub(super) fn limit(value: &Value) -> Result<Option<Duration>, String> {
    Ok(Some(seconds(value)?).filter(|limit| !limit.is_zero()))
}

/// Megabytes, as bytes; 0 = no limit.
pub(super) fn cap(value: &Value) -> Result<Option<u64>, String> {
    Ok(Some(megabytes(value)?).filter(|bytes| *bytes > 0))
}

pub(super) fn strings(value: &Value) -> Result<Vec<String>, String> {
    let items = value.as_array().ok_or_else(|| format!("{value} is not a list"))?;
    items.iter().map(|item| text(item).map(str::to_string)).collect()
}

/// A text that becomes the value of an argument and cannot be taken for another argument. An empty
/// text is none.
pub(super) fn word(value: &Value) -> Result<Option<String>, String> {
    let word = optional_text(value)?;
    match word.as_deref().filter(|word| word.starts_with('-')) {
        Some(option) => Err(format!("{option} is an option")),
        None => Ok(word),
    }
}

pub(super) fn positive(value: &Value) -> Result<Option<u64>, String> {
    match whole(value)? {
        0 => Err(format!("must be at least 1, not {value}")),
        n => Ok(Some(n)),
    }
}

pub(super) fn budget(value: &Value) -> Result<Option<f64>, String> {
    match number(value)? {
        0.0 => Err(format!("must be more than 0, not {value}")),
        usd => Ok(Some(usd)),
    }
}

/// Where Claude Code may take its settings from.
pub(super) fn sources(value: &Value) -> Result<Vec<String>, String> {
    let sources = list(value)?;
    match sources.iter().find(|name| !["user", "project", "local"].contains(&name.as_str())) {
        Some(other) => Err(format!("{other} is none of user, project, local")),
        None => Ok(sources),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_are_split_outside_of_parentheses() {
        assert_eq!(split_list("Bash(git a,b), Read,,"), ["Bash(git a,b)", "Read"]);
        assert!(split_list("").is_empty());
    }

    #[test]
    fn sizes_and_days_may_be_fractions() {
        assert_eq!(megabytes(&json!("0.5")), Ok(500_000));
        assert_eq!(megabytes(&json!(64)), Ok(64_000_000));
        assert_eq!(days(&json!(0.5)), Ok(Duration::from_secs(43_200)));
        assert!(megabytes(&json!(-1)).is_err());
    }
}
