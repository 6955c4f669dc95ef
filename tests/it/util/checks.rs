//! What is true of every report and of every line of the audit log: the seed's fields and meaning,
//! no nulls, stamps in one form.

use serde_json::Value;

pub(super) fn check_audit_line(line: &str) -> Value {
    let value: Value =
        serde_json::from_str(line).unwrap_or_else(|e| panic!("audit line: {e}: {line:?}"));
    for key in ["ts", "event", "dispatch_id"] {
        assert!(value[key].is_string(), "audit line without {key}: {line}");
    }
    assert!(is_stamp(&value["ts"]), "audit line with a strange ts: {line}");
    value
}

/// As the seed writes it: 2026-04-03T14:30:00.000Z.
pub fn is_stamp(value: &Value) -> bool {
    value.as_str().is_some_and(|s| s.len() == 24 && s.ends_with('Z') && s.as_bytes()[10] == b'T')
}

/// Milliseconds since midnight; enough to compare two stamps of one test (a test over midnight adds
/// a day).
pub fn millis_between(earlier: &Value, later: &Value) -> i64 {
    let of = |v: &Value| {
        let s = v.as_str().expect("a stamp");
        let part = |range: std::ops::Range<usize>| s[range].parse::<i64>().expect("digits");
        ((part(11..13) * 60 + part(14..16)) * 60 + part(17..19)) * 1000 + part(20..23)
    };
    (of(later) - of(earlier)).rem_euclid(86_400_000)
}

/// From the end of the first attempt to the start of the second.
pub fn millis_between_attempts(report: &Value) -> i64 {
    let (one, two) = (&report["attempts"][0], &report["attempts"][1]);
    let seconds = one["duration"].as_f64().unwrap_or_else(|| panic!("two attempts: {report:#}"));
    millis_between(&one["started_at"], &two["started_at"]) - (seconds * 1000.0).round() as i64
}

/// What is true of every report: the seed's fields and meaning, the completion schema, no nulls.
pub fn check_report(report: &Value, id: &str) {
    let fail = |what: &str| -> ! { panic!("the report of {id}: {what}: {report:#}") };
    let status = report["status"].as_str().unwrap_or_default();
    if report["dispatch_id"] != id {
        fail("another dispatch_id");
    }
    if !["completed", "failed", "cancelled", "timeout"].contains(&status) {
        fail("status");
    }
    if !report["duration"].is_u64() {
        fail("duration is no whole number");
    }
    let error = report["error"].as_str();
    if status == "completed" && !(error.is_none() && report.get("error_type").is_none()) {
        fail("completed with an error");
    }
    if status != "completed"
        && (error.is_none_or(str::is_empty) || !report["error_type"].is_string())
    {
        fail("not completed without saying why");
    }
    if error.is_some_and(|e| e.chars().count() > 500) {
        fail("error is too long");
    }
    if has_null(report) {
        fail("a null");
    }
    for key in ["commits", "retry_count", "output_length"] {
        if report.get(key).is_some_and(|n| !n.is_u64()) {
            fail(key);
        }
    }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(entries) => entries.values().any(has_null),
        _ => false,
    }
}
