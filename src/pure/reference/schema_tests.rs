//! The rows are held to the types by what serde itself knows of them, and the schemas to what is
//! written and taken. tests/it/schema.rs has a validator of others' look at them, too.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Value, json};

use super::*;
use crate::pure::config::{SETTINGS, Settings, apply_config};
use crate::pure::dispatch::{self, AGENTS, KNOWN_FIELDS};
use crate::pure::heartbeat::Heartbeat;
use crate::pure::reference::schema_of_config::of_config;
use crate::pure::reference::status_fields::HEARTBEAT;
use crate::pure::reference::words;
use crate::pure::report::{ApprovedBy, AttemptReport, ErrorType, Report, SignatureForm, Status};
use crate::pure::schedule::hold::HoldKind;

/// The names that a type asks for: a struct's fields, or an enum's words.
fn names_of<'de, T: Deserialize<'de>>() -> Vec<&'static str> {
    T::deserialize(Asked).err().map(|asked| asked.0).unwrap_or_default()
}

struct Asked;

#[derive(Debug)]
struct Names(Vec<&'static str>);

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl std::error::Error for Names {}

impl de::Error for Names {
    fn custom<T: fmt::Display>(_: T) -> Names {
        Names(Vec::new())
    }
}

impl<'de> Deserializer<'de> for Asked {
    type Error = Names;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Names> {
        Err(Names(Vec::new()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Names> {
        Err(Names(fields.to_vec()))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Names> {
        Err(Names(words.to_vec()))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map identifier ignored_any
    }
}

fn sorted<'n>(names: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
    let mut names: Vec<&str> = names.into_iter().collect();
    names.sort_unstable();
    names
}

fn of_rows<'r>(rows: impl IntoIterator<Item = &'r FieldRow>) -> Vec<&'static str> {
    let mut names: Vec<&str> = rows.into_iter().map(|row| row.name).collect();
    names.sort_unstable();
    names
}

fn inner(rows: &'static [FieldRow], name: &str) -> &'static [FieldRow] {
    rows.iter().find(|row| row.name == name).expect(name).inner()
}

#[test]
fn each_field_of_a_document_has_its_row_and_each_row_its_field() {
    use crate::pure::report::{Approval, Confined, Denial, GitFacts, Leftover, VerifyReport};
    for (rows, names) in [
        (DISPATCH, KNOWN_FIELDS.to_vec()),
        (REPORT, names_of::<Report>()),
        (inner(REPORT, "attempts"), names_of::<AttemptReport>()),
        (inner(REPORT, "approval"), names_of::<Approval>()),
        (inner(REPORT, "permission_denials"), names_of::<Denial>()),
        (inner(REPORT, "confined"), names_of::<Confined>()),
        (inner(REPORT, "git"), names_of::<GitFacts>()),
        (inner(REPORT, "verify"), names_of::<VerifyReport>()),
        (inner(REPORT, "leftover_processes"), names_of::<Leftover>()),
    ] {
        assert!(!names.is_empty());
        assert_eq!(of_rows(rows), sorted(names));
    }
}

#[test]
fn each_field_of_the_heartbeat_has_its_row_and_each_row_its_field() {
    use crate::pure::heartbeat::{
        HeartbeatHold, HeartbeatParked, HeartbeatPending, HeartbeatSession,
    };
    for (rows, names) in [
        (inner(BOTH, "holds"), names_of::<HeartbeatHold>()),
        (inner(BOTH, "parked"), names_of::<HeartbeatParked>()),
        (inner(HEARTBEAT, "sessions"), names_of::<HeartbeatSession>()),
        (inner(HEARTBEAT, "pending"), names_of::<HeartbeatPending>()),
    ] {
        assert_eq!(of_rows(rows), sorted(names));
    }
    assert_eq!(of_rows(BOTH.iter().chain(HEARTBEAT)), sorted(names_of::<Heartbeat>()));
}

#[test]
fn each_field_of_a_record_has_its_row_and_each_row_its_field() {
    use crate::pure::record::{Record, waits::WaitsFor};
    assert_eq!(of_rows(RECORD), sorted(names_of::<Record>()));
    assert_eq!(of_rows(inner(RECORD, "waits_for")), sorted(names_of::<WaitsFor>()));
}

#[test]
fn the_words_of_a_field_are_those_of_its_type() {
    use crate::pure::record::{DispatchState, waits::WaitReason};
    for (words, names) in [
        (words::STATUSES, names_of::<Status>()),
        (words::ERROR_TYPES, names_of::<ErrorType>()),
        (words::APPROVED_BY, names_of::<ApprovedBy>()),
        (words::SIGNATURE_FORMS, names_of::<SignatureForm>()),
        (words::HOLD_KINDS, names_of::<HoldKind>()),
        (words::STATES, names_of::<DispatchState>()),
        (words::WAIT_REASONS, names_of::<WaitReason>()),
    ] {
        assert_eq!(words, names);
    }
}

/// Each schema, with every object in it.
fn all_objects() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (name, schema) in [
        ("dispatch", of_dispatch(&AGENTS, 60)),
        ("completion", of_completion()),
        ("config", of_config()),
        ("status", of_status()),
    ] {
        assert!(schema["$schema"] == DRAFT && schema["title"].is_string(), "{name}");
        collect(name, &schema, &mut found);
    }
    found
}

fn collect(at: &str, schema: &Value, found: &mut Vec<(String, Value)>) {
    match schema {
        Value::Object(entries) => {
            if schema["properties"].is_object() {
                found.push((at.into(), schema.clone()));
            }
            for (key, value) in entries {
                collect(&format!("{at}.{key}"), value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(at, item, found)),
        _ => {}
    }
}

#[test]
fn every_field_of_every_schema_says_what_it_is() {
    for (at, object) in all_objects() {
        for (name, field) in object["properties"].as_object().expect("properties") {
            let told = field["description"].as_str().unwrap_or_default();
            assert!(!told.is_empty() && !told.contains('`'), "{at}.{name}: {told:?}");
        }
    }
}

#[test]
fn the_settings_and_the_record_are_closed() {
    let all = all_objects();
    let closed = |at: &str| at.starts_with("config") || at.starts_with("status.$defs");
    assert!(all.iter().filter(|(at, _)| closed(at)).count() > 8);
    for (at, object) in &all {
        assert_eq!(object["additionalProperties"] == false, closed(at), "{at}");
    }
}

#[test]
fn the_schema_of_the_settings_has_each_of_them_and_nothing_else() {
    let schema = of_config();
    let keys = schema["properties"].as_object().expect("properties").keys();
    let settings = sorted(SETTINGS.iter().map(|setting| setting.key));
    assert_eq!(keys.map(String::as_str).collect::<Vec<_>>(), settings);
    for (name, setting) in schema["properties"].as_object().expect("properties") {
        let has_words = |words: &Value| words.as_array().is_some_and(|words| words.len() > 1);
        assert!(setting.get("enum").is_none_or(has_words), "{name}: {setting}");
    }
    // The bounds were asked of the readers.
    let bound = |key: &str, name: &str| schema["properties"][key]["anyOf"][0][name].clone();
    assert_eq!(bound("max_concurrent", "minimum"), json!(1));
    assert_eq!(bound("max_per_project", "minimum"), json!(0));
    assert_eq!(bound("heartbeat_seconds", "minimum"), json!(0.01));
    assert_eq!(bound("max_budget_usd", "exclusiveMinimum"), json!(0));
    assert_eq!(bound("signature_skew_seconds", "maximum"), json!(86_400));
    assert_eq!(schema["properties"]["on_shutdown"]["enum"], json!(["end", "leave"]));
    assert_eq!(schema["properties"]["on_interrupt"]["enum"], json!(["report", "retry"]));
}

/// What of a schema can be held against a value in a few lines: types, words, bounds, required and
/// unknown fields. `None`: it fits.
fn misfit(schema: &Value, value: &Value, root: &Value) -> Option<String> {
    if let Some(path) = schema["$ref"].as_str() {
        let target = root.pointer(path.trim_start_matches('#')).expect("the target");
        return misfit(target, value, root);
    }
    if let Some(all) = schema["anyOf"].as_array() {
        let wrong: Option<Vec<_>> = all.iter().map(|one| misfit(one, value, root)).collect();
        return wrong.map(|wrong| wrong.join(" and "));
    }
    let is_of = |name: &str| match name {
        "string" => value.is_string(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => value.is_null(),
    };
    let is_typed = match &schema["type"] {
        Value::String(name) => is_of(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(is_of),
        _ => true,
    };
    let has_word = schema["enum"].as_array().is_none_or(|words| words.contains(value));
    let is_least = |least: &Value| least.as_f64() <= value.as_f64();
    let is_bounded = schema.get("minimum").is_none_or(is_least)
        && schema.get("maximum").is_none_or(|most| most.as_f64() >= value.as_f64());
    if !is_typed || !has_word || !is_bounded {
        return Some(format!("{value} is not {schema}"));
    }
    let mut items = value.as_array().into_iter().flatten();
    let wrong = items.find_map(|item| misfit(&schema["items"], item, root));
    wrong.or_else(|| of_object(schema, value, root))
}

fn of_object(schema: &Value, value: &Value, root: &Value) -> Option<String> {
    let entries = value.as_object()?;
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !entries.contains_key(name) {
            return Some(format!("{name} is missing"));
        }
    }
    for (name, value) in entries {
        let wrong = match (&schema["properties"][name], &schema["additionalProperties"]) {
            (Value::Null, Value::Bool(false)) => Some(format!("{name} is unknown")),
            (Value::Null, Value::Null) => None,
            (Value::Null, others) => misfit(others, value, root),
            (known, _) => misfit(known, value, root),
        };
        if wrong.is_some() {
            return wrong;
        }
    }
    None
}

fn fits(schema: &Value, value: &Value) -> Result<(), String> {
    misfit(schema, value, schema).map_or(Ok(()), Err)
}

#[test]
fn what_the_daemon_takes_as_settings_fits() {
    let schema = of_config();
    for config in [
        json!({}),
        json!({"max_concurrent": 3, "max_per_project": "0", "strict": "yes", "confine": true}),
        json!({"allow_tools": ["Bash(git:*)"], "claude_args": "--a,b", "confine": "if-possible"}),
        json!({"callback_delays_seconds": [0, "5", 30.5], "confine_connect": 443, "spare": ""}),
        json!({"allowed_uids": [1000, "1001"], "launcher_fail_codes": [125, 255]}),
        json!({"heartbeat_seconds": 0.5, "on_shutdown": "leave", "logs_keep_days": 0.25}),
        json!({"verify": {"~/git/shop": {"argv": ["make"], "timeout_seconds": 900}}}),
        json!({"projects": {"~/x": {"strict": true, "model": "opus", "launcher": [],
            "agents": {"claude": {"permission_mode": "plan"}}, "extra_args": ["-x"]}}}),
        json!({"projects": "{}", "callback_bearer": {"http://127.0.0.1:1": "~/.token"}}),
        json!({"agents": {"agy": {"args": ["--a"], "output": "stream", "prompt": {"a": "{prompt}"},
            "stream": {"result": {"path": "a.0", "where": {"b": 1}}, "text": "t"},
            "failures": {"auth": {"exit_codes": [3]}}}}}),
    ] {
        apply_config(&mut Settings::default(), &config).expect("settings");
        assert_eq!(fits(&schema, &config), Ok(()), "{config}");
    }
    for wrong in [
        json!({"max_concurent": 3}),
        json!({"max_concurrent": 0}),
        json!({"strict": 1}),
        json!({"on_shutdown": "stop"}),
        json!({"verify": {"~/x": {"argv": "make"}}}),
        json!({"projects": {"~/x": {"modle": "x"}}}),
        json!({"agents": {"a": {"ouput": "text"}}}),
        json!({"agents": {"a": {"output": "stream", "stream": {"text": "t"}}}}),
        json!([]),
    ] {
        assert!(apply_config(&mut Settings::default(), &wrong).is_err(), "{wrong}");
        assert!(fits(&schema, &wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_the_daemon_takes_as_a_dispatch_fits_and_what_it_makes_too() {
    let schema = of_dispatch(&AGENTS, 60);
    let least = json!({"id": "dispatch-a", "dispatched_by": "me", "task": "t", "project": "p",
        "project_dir": "~/p"});
    let with = |key: &str, value: Value| {
        let mut dispatch = least.clone();
        dispatch[key] = value;
        dispatch
    };
    let takes = |value: &Value| dispatch::parse(value.to_string().as_bytes(), 60, &AGENTS).is_ok();
    for dispatch in [
        least.clone(),
        with("ttl_seconds", json!(60.0)),
        with("ttl_seconds", json!(86_400)),
        with("target_agent", json!("codex")),
        with("learnings", json!(["a"])),
        with("retry_of", json!(5)),
        with("moon", json!({"phase": "full"})),
    ] {
        assert!(takes(&dispatch), "{dispatch}");
        assert_eq!(fits(&schema, &dispatch), Ok(()), "{dispatch}");
    }
    for wrong in [
        with("ttl_seconds", json!(59)),
        with("ttl_seconds", json!(60.5)),
        with("target_agent", json!("gpt")),
        with("learnings", json!("a")),
        with("callback_url", Value::Null),
        json!({"id": "dispatch-a"}),
    ] {
        assert!(!takes(&wrong) && fits(&schema, &wrong).is_err(), "{wrong}");
    }
    let mut report = Report::empty(Status::Failed);
    report.error_type = Some(ErrorType::StartTimeout);
    report.attempts = vec![AttemptReport { attempt: 1, ..AttemptReport::default() }];
    let report = serde_json::to_value(report).expect("a report");
    assert_eq!(fits(&of_completion(), &report), Ok(()));
    assert!(fits(&of_completion(), &json!({"dispatch_id": "dispatch-a"})).is_err());
}
