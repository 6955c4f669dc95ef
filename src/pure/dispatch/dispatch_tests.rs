//! Tests of what is a dispatch and what is refused, row by row. Must not read files: how the inbox
//! is looked at is tested elsewhere. Most rows are one good dispatch with one field changed, so
//! that a refusal can only come from that field.

use super::*;

const GOOD: &str =
    r#"{"id":"dispatch-a","dispatched_by":"o","task":"t","project":"p","project_dir":"~/p"}"#;

/// `GOOD` with one field replaced or added.
fn with(key: &str, value: &str) -> String {
    let mut fields: serde_json::Map<String, Value> = serde_json::from_str(GOOD).expect("GOOD");
    fields.insert(key.into(), serde_json::from_str(value).expect("a JSON value"));
    serde_json::to_string(&fields).expect("JSON")
}

fn verdict(text: &str) -> Result<Dispatch, Reason> {
    parse(text.as_bytes(), 60, &AGENTS).map_err(|r| r.reason)
}

#[test]
fn defaults_are_the_seeds() {
    let d = verdict(GOOD).expect("valid");
    assert_eq!((d.ttl_seconds, d.target_agent), (3600, "claude"));
    assert!(d.learnings.is_empty() && d.unknown_fields.is_empty());
}

#[test]
fn each_field_is_checked() {
    use Reason::*;
    let long = format!("\"dispatch-{}\"", "a".repeat(ID_CHARS_MAX - 8));
    for (key, value, want) in [
        ("id", "7", Some(Schema)),
        ("id", r#""job-1""#, Some(UnsafeId)),
        ("id", r#""dispatch-/../../x""#, Some(UnsafeId)),
        ("id", r#""dispatch-é""#, Some(UnsafeId)),
        ("id", r#""dispatch-a\u0000""#, Some(UnsafeId)),
        ("id", &long, Some(UnsafeId)),
        ("id", r#""dispatch-A.b_c-1""#, None),
        ("task", r#""""#, Some(Schema)),
        ("task", "null", Some(Schema)),
        ("task", r#""a\u0000b""#, Some(Nul)),
        ("project", "[]", Some(Schema)),
        ("target_agent", r#""gpt""#, Some(Schema)),
        ("target_agent", "null", Some(Schema)),
        ("target_agent", r#""codex""#, None),
        ("learnings", "null", Some(Schema)),
        ("learnings", "[1]", Some(Schema)),
        ("learnings", r#"["a","b"]"#, None),
        ("constraints", r#""a""#, Some(Schema)),
        ("callback_url", "{}", Some(Schema)),
        ("source_signature", "1", Some(Schema)),
        ("clawvisor_task_id", "false", Some(Schema)),
        ("ttl_seconds", "59", Some(Schema)),
        ("ttl_seconds", "60", None),
        ("ttl_seconds", "3600.0", None),
        ("ttl_seconds", "3600.5", Some(Schema)),
        ("ttl_seconds", "86400", None),
        ("ttl_seconds", "86401", Some(Schema)),
        ("ttl_seconds", "1e300", Some(Schema)),
        ("ttl_seconds", "-60", Some(Schema)),
        ("ttl_seconds", r#""60""#, Some(Schema)),
        ("ttl_seconds", "null", Some(Schema)),
    ] {
        assert_eq!(verdict(&with(key, value)).err(), want, "{key}: {value}");
    }
}

#[test]
fn a_retry_names_the_id_that_it_runs_again_and_anything_else_there_is_an_unknown_field() {
    for (value, want) in [
        (r#""dispatch-b""#, Some("dispatch-b")),
        (r#""dispatch-""#, Some("dispatch-")),
        (r#""b""#, None),
        (r#""dispatch-/x""#, None),
        (r#""""#, None),
        ("null", None),
        ("7", None),
        (r#"["dispatch-b"]"#, None),
    ] {
        let d = verdict(&with(RETRY_OF, value)).expect(value);
        assert_eq!(d.retry_of.as_ref().map(DispatchId::as_str), want, "{value}");
        let unknown: &[&str] = if want.is_some() { &[] } else { &[RETRY_OF] };
        assert_eq!(d.unknown_fields, unknown, "{value}");
    }
}

#[test]
fn what_is_no_object_is_told_apart() {
    let deep = "[".repeat(100_000);
    for (text, want) in [
        ("", Reason::NotJson),
        ("  \n", Reason::NotJson),
        ("{\"id\":", Reason::NotJson),
        ("{} x", Reason::NotJson),
        (deep.as_str(), Reason::NotJson),
        ("null", Reason::NotAnObject),
        ("[1]", Reason::NotAnObject),
        ("\"x\"", Reason::NotAnObject),
        ("-1.5", Reason::NotAnObject),
        ("{}", Reason::Schema),
    ] {
        assert_eq!(verdict(text).err(), Some(want), "{:.20}", text);
    }
    let latin1 = parse(b"{\"id\":\"\xe9\"}", 60, &AGENTS).map_err(|r| r.reason);
    assert_eq!(latin1.err(), Some(Reason::NotJson));
}

#[test]
fn a_key_that_stands_twice_is_refused_with_the_id() {
    let twice = GOOD.replacen("\"task\"", "\"task\":\"other\",\"task\"", 1);
    let rejection = parse(twice.as_bytes(), 60, &AGENTS).expect_err("duplicate key");
    assert_eq!(rejection.reason, Reason::Schema);
    assert_eq!(rejection.id, DispatchId::parse("dispatch-a"));
}

#[test]
fn what_an_error_shows_of_the_file_is_one_short_line() {
    let long = "x".repeat(100_000);
    for bad in [
        with("ttl_seconds", &format!("[\"{long}\"]")),
        GOOD.replacen("{", &format!("{{\"{long}\":1,\"{long}\":2,"), 1),
        GOOD.replacen("{", r#"{"\u001b[2J\n":1,"\u001b[2J\n":2,"#, 1),
    ] {
        let error = parse(bad.as_bytes(), 60, &AGENTS).expect_err("refused").error;
        assert!(error.len() < 200 && !error.contains(char::is_control), "{error:.300}");
    }
}

#[test]
fn a_field_that_is_missing_may_be_there_under_another_name() {
    for (from, to, want) in [
        ("\"task\"", "\"taks\"", "task is missing: is it what taks is meant to be?"),
        ("\"id\"", "\"ID\"", "id is missing: is it what ID is meant to be?"),
        ("\"task\"", "\"what\"", "task is missing"),
    ] {
        let error =
            parse(GOOD.replacen(from, to, 1).as_bytes(), 60, &AGENTS).expect_err("refused").error;
        assert_eq!(error, want);
    }
    let empty = verdict(&with("callback_url", "\"\"")).expect("valid");
    assert_eq!(empty.callback_url, None);
}

#[test]
fn unknown_fields_are_named() {
    let d = verdict(&with("priority", "1")).expect("valid");
    assert_eq!(d.unknown_fields, ["priority"]);
    let many: String = (0..1000).map(|n| format!("\"{n}{}\":0,", "x".repeat(1000))).collect();
    let d = verdict(&GOOD.replacen('{', &format!("{{{many}"), 1)).expect("valid");
    assert_eq!(d.unknown_fields.len(), SHOWN_FIELDS_MAX);
    assert!(d.unknown_fields.iter().all(|name| name.len() < 200));
}

#[test]
fn who_names_no_id_is_answered_under_the_files_name() {
    let id = |text: &str| DispatchId::parse(text).expect("an id");
    for (reason, named, file, want) in [
        (Reason::NotJson, None, "dispatch-a.json", Some("dispatch-a")),
        (Reason::NotAnObject, None, "dispatch-a.json", Some("dispatch-a")),
        (Reason::TooLarge, None, "dispatch-a.json", Some("dispatch-a")),
        (Reason::Schema, None, "dispatch-a.json", Some("dispatch-a")),
        (Reason::Schema, Some("dispatch-b"), "dispatch-a.json", Some("dispatch-b")),
        (Reason::Nul, Some("dispatch-b"), "dispatch-a.json", Some("dispatch-b")),
        (Reason::NotJson, None, "dispatch-a b.json", None),
        (Reason::NotJson, None, "dispatch-\u{fffd}.json", None),
        (Reason::NotJson, None, "dispatch-a", None),
        // The file names an id that is not legal; its sender does not wait for the file's own name.
        (Reason::UnsafeId, None, "dispatch-a.json", None),
        (Reason::DuplicateId, Some("dispatch-b"), "dispatch-a.json", None),
        (Reason::ForeignOwner, None, "dispatch-a.json", None),
        (Reason::WritableByOthers, None, "dispatch-a.json", None),
        (Reason::Unreadable, None, "dispatch-a.json", None),
        (Reason::Symlink, None, "dispatch-a.json", None),
        (Reason::NotAFile, None, "dispatch-a.json", None),
    ] {
        let rejection = Rejection { id: named.map(id), ..Rejection::new(reason, "no") };
        let got = rejection.answered_id(file);
        assert_eq!(got, want.map(id), "{reason:?} {named:?} {file}");
    }
}
