//! An event written into the middle of another line (claude-code issues 49640, 81843): what can be
//! read of it all the same.
//!
//! Only tried on a line that cannot be mended ([`crate::pure::agent::mend`]). Must not let a
//! *nested* object pass for an event: a tool's input, which the model chooses, can be any object,
//! and a line that a kill cut would lay it open.

use serde_json::Value;

/// At most this many objects are tried in one broken line.
const TRIES_MAX: usize = 64;

/// The whole `result` and `rate_limit_event` objects inside a broken line.
///
/// Such an event stands where the outer line was in a string, or follows something other than `:`,
/// `,` or `[`. A nested object stands in no such place, and the quotes of one that is quoted in a
/// string are escaped.
pub fn embedded_events(line: &[u8], session_id: Option<&str>) -> Vec<Value> {
    let (mut at, mut in_string, mut tries) = (0, false, 0);
    let mut events = Vec::new();
    while at < line.len() && tries < TRIES_MAX {
        let rest = &line[at..];
        let follows = at.checked_sub(1).map(|before| line[before]);
        let is_place = in_string || !matches!(follows, Some(b':' | b',' | b'['));
        if is_place && rest.starts_with(b"{\"") {
            tries += 1;
            if let Some((event, length)) = first_object(rest)
                && is_event(&event, session_id)
            {
                events.push(event);
                at += length;
                continue;
            }
        }
        match rest[0] {
            b'\\' if in_string => at += 1,
            b'"' => in_string = !in_string,
            _ => {}
        }
        at += 1;
    }
    events
}

fn first_object(bytes: &[u8]) -> Option<(Value, usize)> {
    let mut objects = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
    let object = objects.next()?.ok()?;
    Some((object, objects.byte_offset()))
}

fn is_event(event: &Value, session_id: Option<&str>) -> bool {
    let id = event["session_id"].as_str();
    match event["type"].as_str() {
        Some("result") => {
            event["is_error"].is_boolean() && event["subtype"].is_string() && id.is_some() && {
                // Before the first id is known, nothing can be compared.
                session_id.is_none() || id == session_id
            }
        }
        Some("rate_limit_event") => event["rate_limit_info"].is_object(),
        _ => false,
    }
}

#[cfg(test)]
#[path = "repair_tests.rs"]
mod tests;
