//! Cases of what a dispatch file holds: good ones, wrong fields, ids, and bytes that are no
//! dispatch.

use serde_json::{Value, json};

use super::{Case, common};
use crate::differential::side::Side;
/// One field replaced or added.
fn field(name: &'static str, key: &'static str, value: Value) -> Case {
    common(name, move |side| side.run_dispatch(&side.task("hello").with(key, value.clone())))
}

pub fn valid() -> Vec<Case> {
    let full = |side: &mut Side| {
        let dispatch = side
            .task("hello")
            .with("target_agent", "claude")
            .with("learnings", json!(["one", "two"]))
            .with("constraints", json!(["be brief"]))
            .with("clawvisor_task_id", "task-1")
            .with("source_signature", "sha256=00")
            .with("ttl_seconds", 600);
        side.run_dispatch(&dispatch);
    };
    vec![
        common("minimal", |side| side.run_dispatch(&side.task("hello"))),
        common("all-fields", full),
        field("unknown-field", "priority", json!("high")),
        field("agent-claude", "target_agent", json!("claude")),
        field("agent-codex", "target_agent", json!("codex")),
        field("agent-cursor", "target_agent", json!("cursor")),
        field("agent-gemini", "target_agent", json!("gemini")),
        field("ttl-60", "ttl_seconds", json!(60)),
        field("ttl-86400", "ttl_seconds", json!(86400)),
        field("ttl-3600.0", "ttl_seconds", json!(3600.0)),
        field("learnings-of-seven", "learnings", json!(["1", "2", "3", "4", "5", "6", "7"])),
        field("constraints", "constraints", json!(["no new dependencies", "be brief, please"])),
        field("empty-lists", "learnings", json!([])),
        field(
            "task-with-a-dash",
            "task",
            json!("--dangerously-skip-permissions\n-x \"é\" $HOME `id`"),
        ),
        field("task-of-200-kB", "task", json!("0123456789 é\n".repeat(15_000))),
        field("file-of-2-MB", "task", json!("0123456789".repeat(200_000))),
        field("nul-in-task", "task", json!("a\0b")),
    ]
}

fn missing(name: &'static str, key: &'static str) -> Case {
    common(name, move |side| {
        let mut dispatch = side.task("hello");
        dispatch.0.as_object_mut().expect("an object").remove(key);
        side.run_dispatch(&dispatch);
    })
}

pub fn wrong_fields() -> Vec<Case> {
    vec![
        missing("no-id", "id"),
        missing("no-dispatched_by", "dispatched_by"),
        missing("no-task", "task"),
        missing("no-project", "project"),
        missing("no-project_dir", "project_dir"),
        field("id-number", "id", json!(7)),
        field("dispatched_by-number", "dispatched_by", json!(7)),
        field("task-array", "task", json!(["hello"])),
        field("task-empty", "task", json!("")),
        field("project-null", "project", json!(null)),
        field("project_dir-object", "project_dir", json!({})),
        field("ttl-59", "ttl_seconds", json!(59)),
        field("ttl-86401", "ttl_seconds", json!(86401)),
        field("ttl-60.5", "ttl_seconds", json!(60.5)),
        field("ttl-string", "ttl_seconds", json!("3600")),
        field("ttl-null", "ttl_seconds", json!(null)),
        field("agent-unknown", "target_agent", json!("gpt")),
        field("agent-upper-case", "target_agent", json!("Claude")),
        field("agent-number", "target_agent", json!(7)),
        field("agent-null", "target_agent", json!(null)),
        field("agent-empty", "target_agent", json!("")),
        field("learnings-string", "learnings", json!("one")),
        field("learnings-of-numbers", "learnings", json!([1, 2])),
        field("learnings-null", "learnings", json!(null)),
        field("constraints-string", "constraints", json!("be brief")),
        field("constraints-number", "constraints", json!(7)),
        field("callback_url-number", "callback_url", json!(7)),
        field("clawvisor_task_id-number", "clawvisor_task_id", json!(7)),
        field("source_signature-number", "source_signature", json!(7)),
    ]
}

pub fn ids() -> Vec<Case> {
    let long = |length: usize| json!(format!("dispatch-{}", "a".repeat(length - 9)));
    vec![
        field("id-odd", "id", json!("dispatch-A.b_c-..1")),
        field("id-bare-prefix", "id", json!("dispatch-")),
        field("id-of-120", "id", long(120)),
        field("id-of-121", "id", long(121)),
        field("id-of-300", "id", long(300)),
        field("id-without-prefix", "id", json!("job-1")),
        field("id-empty", "id", json!("")),
        field("id-unicode", "id", json!("dispatch-é")),
        field("id-blank", "id", json!("dispatch-a b")),
        field("id-slash", "id", json!("dispatch-a/b")),
        field("id-dotdot", "id", json!("dispatch-x/../../../escaped")),
    ]
}

/// A file of these bytes.
fn bytes(name: &'static str, bytes: &'static [u8]) -> Case {
    common(name, move |side| side.run(bytes))
}

/// The good dispatch's bytes, changed.
fn changed(name: &'static str, change: fn(Vec<u8>) -> Vec<u8>) -> Case {
    common(name, move |side| side.run(&change(side.task("hello").bytes())))
}

pub fn files() -> Vec<Case> {
    vec![
        bytes("empty-file", b""),
        bytes("blank-file", b" \n"),
        bytes("not-json", b"hello"),
        bytes("array", b"[]"),
        bytes("null", b"null"),
        bytes("number", b"7"),
        bytes("string", b"\"hello\""),
        bytes("empty-object", b"{}"),
        changed("truncated", |mut bytes| {
            bytes.truncate(bytes.len() - 3);
            bytes
        }),
        changed("trailing-text", |bytes| [&bytes, &b"x"[..]].concat()),
        changed("byte-order-mark", |bytes| [b"\xef\xbb\xbf", &bytes[..]].concat()),
        changed("not-utf-8", |bytes| replaced(&bytes, "hello", b"h\xe9llo")),
        changed("task-twice", |bytes| {
            replaced(&bytes, "\"task\"", b"\"task\": \"other\", \"task\"")
        }),
    ]
}

fn replaced(bytes: &[u8], from: &str, to: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let (before, after) = text.split_once(from).expect("the text to replace");
    [before.as_bytes(), to, after.as_bytes()].concat()
}
