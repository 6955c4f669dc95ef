//! What must hold of documents that are written again by their spelling: a retry is the same
//! dispatch, and a mistake in `config.json` is told in one short line that begins with its place.

use gstack_dispatch_daemon::pure::config::{Settings, apply_config_file};
use gstack_dispatch_daemon::pure::dispatch::draft::{first_run, retry, retry_ids};
use gstack_dispatch_daemon::pure::dispatch::{AGENTS, Dispatch, RETRY_OF, SIGNATURE_FIELD, parse};
use serde_json::{Map, Value};

/// `dispatch` is what `data` was parsed into.
pub fn retried(data: &[u8], dispatch: &Dispatch, ttl_seconds_min: u64) {
    let text = std::str::from_utf8(data).expect("a dispatch is UTF-8");
    let new = retry_ids(&dispatch.id).next().expect("an id");
    let again = retry(text, &dispatch.id, &new);
    let read = parse(again.as_bytes(), ttl_seconds_min, &AGENTS).expect("a dispatch again");
    let expected = Dispatch {
        id: new.clone(),
        retry_of: Some(dispatch.id.clone()),
        source_signature: None,
        unknown_fields: read.unknown_fields.clone(),
        ..dispatch.clone()
    };
    assert_eq!(read, expected, "{again}");
    assert_eq!(others(text), others(&again), "{again}");
    assert!(first_run(new.as_str()).starts_with("dispatch-"));
}

/// The fields that a retry does not touch.
fn others(text: &str) -> Map<String, Value> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut fields: Map<String, Value> = serde_json::from_str(text).expect("JSON");
    fields.retain(|key, _| !["id", RETRY_OF, SIGNATURE_FIELD].contains(&key.as_str()));
    fields
}

/// `error`: what is wrong with the value in that file.
pub fn told_with_its_line(data: &[u8], error: &str) {
    let told = apply_config_file(&mut Settings::default(), data).expect_err("a mistake");
    assert!(told.chars().count() <= 500 && !told.contains(char::is_control), "{told:?}");
    let (place, what) = told.split_once(": ").expect("a place");
    let lines = 1 + data.iter().filter(|byte| **byte == b'\n').count();
    let line: usize = place.strip_prefix("line ").expect("a line").parse().expect("a number");
    assert!((1..=lines).contains(&line), "{told}");
    assert!(!what.is_empty() && !error.is_empty(), "{told}");
}
