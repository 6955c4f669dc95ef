//! Codex's own record of a thread, the rollout: where it is, and what its end says.
//!
//! Its stream tells an error in words alone; the record has the kind of the error, the windows of
//! the account's limits with their reset times, and what the last turn itself used. Must not make
//! or unmake a success: that is the stream's to say. A thread's id holds the time at which it
//! began, which names the folder, up to a day, since the folders are named in local time.

use std::path::PathBuf;

use serde_json::Value;

use super::errors;
use super::stream::tokens;
use crate::pure::agent::{Environment, LimitEvent, RecordPlaces, Summary};
use crate::pure::text::time::rfc3339;

const MS_PER_DAY: i64 = 86_400_000;
/// A window at or above this is used up.
const USED_UP_PERCENT: f64 = 100.0;

/// `$CODEX_HOME/sessions/YYYY/MM/DD/rollout-<time>-<thread id>.jsonl`.
pub(super) fn places(summary: &Summary, variable: Environment) -> Option<RecordPlaces> {
    let id = summary.session_id.as_deref()?;
    let began_ms = began_ms(id)?;
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = set("CODEX_HOME").or_else(|| set("HOME").map(|home| home.join(".codex")))?;
    let folder = |days: i64| {
        let date = rfc3339(began_ms.saturating_add(days * MS_PER_DAY));
        home.join("sessions").join(&date[..4]).join(&date[5..7]).join(&date[8..10])
    };
    // The day itself is the likeliest.
    let folders = [0, -1, 1].map(folder).to_vec();
    home.is_absolute().then(|| RecordPlaces { folders, name_end: format!("-{id}.jsonl") })
}

/// A UUID of version 7 begins with its time, in milliseconds since 1970.
fn began_ms(id: &str) -> Option<i64> {
    let hex: String = id.chars().filter(|c| *c != '-').collect();
    let is_timed = hex.get(12..13)? == "7";
    is_timed.then(|| i64::from_str_radix(hex.get(..12)?, 16).ok()).flatten()
}

/// What the record says of its last turn.
#[derive(Debug, Default)]
struct LastTurn {
    /// `task_complete`.
    end: Option<Value>,
    /// `rate_limits` of the last `token_count`.
    limits: Option<Value>,
    /// Of this turn alone.
    usage: Option<Value>,
}

pub(super) fn read(tail: &[u8], summary: &mut Summary) {
    let turn = last_turn(tail);
    // The stream counts the whole thread, with the attempts before this one.
    if let Some(usage) = &turn.usage {
        summary.tokens = tokens(usage);
    }
    let limit = turn.limits.as_ref().and_then(closed_window);
    let Some(result) = &mut summary.result else { return };
    let (Some(_), Some(end)) = (&result.failure, &turn.end) else { return };
    let (error, info) = (&end["error"], &end["error"]["codex_error_info"]);
    let Some(message) = error["message"].as_str().filter(|_| !info.is_null()) else { return };
    result.failure = Some(errors::failure(Some(info), message));
    summary.limit = limit.or(summary.limit.take());
}

fn last_turn(tail: &[u8]) -> LastTurn {
    let mut turn = LastTurn::default();
    for line in tail.split(|byte| *byte == b'\n') {
        // Most of the record is the conversation; the first line may be cut.
        let Ok(entry) = serde_json::from_slice::<Value>(line) else { continue };
        let payload = &entry["payload"];
        match (entry["type"].as_str(), payload["type"].as_str()) {
            (Some("event_msg"), Some("task_started")) => turn = LastTurn::default(),
            (Some("event_msg"), Some("task_complete")) => turn.end = Some(payload.clone()),
            (Some("event_msg"), Some("token_count")) => {
                turn.limits = Some(payload["rate_limits"].clone());
            }
            (Some("token_usage_record"), _) if payload["turn_token_usage"].is_object() => {
                turn.usage = Some(payload["turn_token_usage"].clone());
            }
            _ => {}
        }
    }
    turn
}

/// Of two windows that are used up the one that opens later counts.
fn closed_window(limits: &Value) -> Option<LimitEvent> {
    let window = |name: &str| {
        let window = &limits[name];
        let is_closed = window["used_percent"].as_f64()? >= USED_UP_PERCENT;
        let resets_at = window["resets_at"].as_u64().filter(|_| is_closed)?;
        let kind = Some(name.to_string());
        Some(LimitEvent { is_closed, resets_at: Some(resets_at), kind })
    };
    ["primary", "secondary"].into_iter().filter_map(window).max_by_key(|limit| limit.resets_at)
}

#[cfg(test)]
#[path = "rollout_tests.rs"]
mod tests;
