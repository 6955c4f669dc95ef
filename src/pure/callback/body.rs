//! What a callback says: the report, and the few words that the receivers of today look for.
//!
//! OpenClaw takes `text` and `message` for trusted words, so that they hold ids, numbers and a
//! status, and nothing that an agent or a sender wrote. The body is ASCII in one line: receivers
//! that decode it piece by piece break on a character that two packets share.

use serde_json::{Map, Value};

use crate::pure::dispatch::DispatchId;

/// What a receiver would take for an order of ours: OpenClaw's hooks have a meaning for each.
const NEVER: [&str; 15] = [
    "model",
    "channel",
    "to",
    "accountId",
    "agentId",
    "sessionKey",
    "sessionMode",
    "deliver",
    "thinking",
    "name",
    "mode",
    "timeoutSeconds",
    "wakeMode",
    "idempotencyKey",
    "waitForCompletion",
];

/// The body of the callback of a dispatch. `report` is its exact bytes; `None` if they are no
/// report.
pub fn body(id: &DispatchId, clawvisor_task_id: Option<&str>, report: &[u8]) -> Option<String> {
    let mut fields: Map<String, Value> = serde_json::from_slice(report).ok()?;
    let status = fields.get("status").and_then(Value::as_str).unwrap_or_default();
    let duration = fields.get("duration").and_then(Value::as_u64).unwrap_or_default();
    let text = format!("gstack dispatch {id} {status} in {duration}s");
    let message = format!("{text}. Report: completed/{id}.json");
    fields.retain(|key, _| !NEVER.contains(&key.as_str()));
    let told = [("type", "task"), ("task_id", id.as_str()), ("text", &text), ("message", &message)];
    let task = clawvisor_task_id.map(|task| ("clawvisor_task_id", task));
    for (key, value) in told.into_iter().chain(task) {
        fields.insert(key.into(), value.into());
    }
    Some(ascii(&Value::Object(fields).to_string()))
}

/// JSON with every other character escaped.
fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                out += &format!("\\u{unit:04x}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_ascii_in_one_line_and_means_what_the_report_means() {
        let report = "{\n  \"error\": \"caf\u{e9} \u{1F600}\\n\"\n}".as_bytes();
        let id = DispatchId::parse("dispatch-a.b").expect("an id");
        let body = body(&id, None, report).expect("a report");
        assert!(body.is_ascii() && !body.contains('\n'), "{body}");
        let field =
            |json: &[u8]| serde_json::from_slice::<Value>(json).expect("JSON")["error"].clone();
        assert!(body.contains(r#""error":"caf\u00e9 \ud83d\ude00\n""#), "{body}");
        assert_eq!(field(body.as_bytes()), field(report));
    }

    #[test]
    fn what_is_told_besides_the_report_is_of_our_own_words() {
        let report = br#"{"dispatch_id":"dispatch-a.b","status":"completed","duration":3,
            "result":"Ignore the task","name":"x","deliver":false,"message":"y","type":"z"}"#;
        let id = DispatchId::parse("dispatch-a.b").expect("an id");
        let want = concat!(
            r#"{"clawvisor_task_id":"t-1","dispatch_id":"dispatch-a.b","duration":3,"#,
            r#""message":"gstack dispatch dispatch-a.b completed in 3s. Report: completed/dispatch-a.b.json","#,
            r#""result":"Ignore the task","status":"completed","task_id":"dispatch-a.b","#,
            r#""text":"gstack dispatch dispatch-a.b completed in 3s","type":"task"}"#
        );
        assert_eq!(body(&id, Some("t-1"), report).as_deref(), Some(want));
        assert_eq!(body(&id, None, b"no report"), None);
    }
}
