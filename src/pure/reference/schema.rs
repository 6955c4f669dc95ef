//! JSON Schema (2020-12) of the documents that others write or read, made from the rows.
//!
//! What the daemon takes, and what it makes, validates. Only the record is closed; a report of a
//! newer daemon may have more fields than are known here.

use serde_json::{Map, Value, json};

use super::dispatch_fields::DISPATCH;
use super::field::{FieldKind, FieldRow};
use super::report_fields::REPORT;
use super::status_fields::{BOTH, RECORD, STATUS};
use crate::pure::dispatch::{ID_CHARS_MAX, TTL_SECONDS_MAX};

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";
const ID_PATTERN: &str = "^dispatch-[A-Za-z0-9._-]*$";

/// A dispatch file, for a daemon that knows these agents and takes time limits from that many
/// seconds on.
pub fn of_dispatch(agents: &[&str], ttl_seconds_min: u64) -> Value {
    let mut schema = object(DISPATCH, true);
    let properties = &mut schema["properties"];
    properties["task"]["minLength"] = json!(1);
    properties["target_agent"]["enum"] = json!(agents);
    let ttl = &mut properties["ttl_seconds"];
    ttl["minimum"] = json!(ttl_seconds_min);
    ttl["maximum"] = json!(TTL_SECONDS_MAX);
    whole("A dispatch: a file dispatch-*.json in the drop zone", schema)
}

/// The answer to a dispatch.
pub fn of_completion() -> Value {
    whole("The report: completed/<id>.json, and what a callback gets", object(REPORT, true))
}

/// What `status --json` prints.
pub fn of_status() -> Value {
    let rows = BOTH.iter().chain(STATUS);
    let mut schema = whole("The daemon and its dispatches, now", object(rows, true));
    let mut record = object(RECORD, false);
    record["description"] = json!("One dispatch. What is not known is absent");
    schema["$defs"] = json!({ "record": record });
    schema
}

pub(super) fn whole(title: &str, mut schema: Value) -> Value {
    schema["$schema"] = json!(DRAFT);
    schema["title"] = json!(title);
    schema
}

fn object<'r>(rows: impl IntoIterator<Item = &'r FieldRow>, is_open: bool) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for row in rows {
        let mut schema = of_kind(row.kind, is_open);
        schema["description"] = json!(plain(row.help));
        properties.insert(row.name.into(), schema);
        if row.is_required {
            required.push(row.name);
        }
    }
    let mut schema = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    if !is_open {
        schema["additionalProperties"] = json!(false);
    }
    schema
}

fn of_kind(kind: FieldKind, is_open: bool) -> Value {
    let list = |items: Value| json!({ "type": "array", "items": items });
    match kind {
        FieldKind::Text => json!({ "type": "string" }),
        FieldKind::Choice(words) => json!({ "type": "string", "enum": words }),
        FieldKind::Id => {
            json!({ "type": "string", "pattern": ID_PATTERN, "maxLength": ID_CHARS_MAX })
        }
        FieldKind::Time => json!({ "type": "string", "format": "date-time" }),
        FieldKind::Flag => json!({ "type": "boolean" }),
        FieldKind::Count => json!({ "type": "integer", "minimum": 0 }),
        FieldKind::Integer => json!({ "type": "integer" }),
        FieldKind::Number => json!({ "type": "number" }),
        FieldKind::Texts => list(of_kind(FieldKind::Text, is_open)),
        FieldKind::Counts => list(of_kind(FieldKind::Count, is_open)),
        FieldKind::Object(rows) => object(rows, is_open),
        FieldKind::Objects(rows) => list(object(rows, is_open)),
        FieldKind::Records => list(json!({ "$ref": "#/$defs/record" })),
        FieldKind::Anything => json!({}),
    }
}

/// Without the marks that set off names in help.
pub(super) fn plain(text: &str) -> String {
    text.replace('`', "")
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
