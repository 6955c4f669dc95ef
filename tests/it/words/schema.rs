//! The schemas, with a validator of others (python3's `jsonschema`): what the daemon takes and what
//! we make is valid, what it refuses mostly is not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::{answer, said};
use crate::util::*;

const VALIDATOR: &str = r#"
import json, sys
from jsonschema import Draft202012Validator
asked = json.load(sys.stdin)
Draft202012Validator.check_schema(asked["schema"])
validator = Draft202012Validator(asked["schema"])
for name, document in asked["documents"]:
    errors = [e.json_path + ": " + e.message[:300] for e in validator.iter_errors(document)]
    print(json.dumps([name, errors]))
"#;

/// A Python with the validator: that of the system, or one in a scratch environment.
fn python() -> Option<PathBuf> {
    let has = |python: &Path| {
        let asked = Command::new(python).args(["-c", "import jsonschema.validators"]).output();
        asked.is_ok_and(|asked| asked.status.success())
    };
    let system = PathBuf::from("python3");
    if has(&system) {
        return Some(system);
    }
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("jsonschema");
    let own = scratch.join("bin/python");
    if !has(&own) {
        let _ = Command::new("python3").args(["-m", "venv"]).arg(&scratch).output();
        let _ = Command::new(&own).args(["-m", "pip", "install", "-q", "jsonschema"]).output();
    }
    if has(&own) {
        return Some(own);
    }
    skipped("python3 has no jsonschema, and none can be installed");
    None
}

/// What is wrong with each document, by its name.
fn errors(schema: &str, documents: &[(String, Value)]) -> Option<Vec<(String, Vec<String>)>> {
    let python = python()?;
    let schema: Value = serde_json::from_str(schema).expect("a schema");
    let asked = json!({ "schema": schema, "documents": documents }).to_string();
    let output = answer(Command::new(python).args(["-c", VALIDATOR]), &asked);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{err}");
    let out = String::from_utf8(output.stdout).expect("UTF-8");
    let found: Vec<_> =
        out.lines().map(|line| serde_json::from_str(line).expect("an answer")).collect();
    assert_eq!(found.len(), documents.len());
    Some(found)
}

fn all_valid(schema: &str, documents: &[(String, Value)]) {
    for (name, errors) in errors(schema, documents).into_iter().flatten() {
        assert!(errors.is_empty(), "{name}: {errors:?}");
    }
}

#[test]
fn every_dispatch_that_is_accepted_is_valid_and_what_is_refused_for_its_form_is_not() {
    let lab = Lab::new();
    let schema = said(&lab, &["schema", "dispatch"]);
    // What a schema cannot see: a key that stands twice, and a NUL.
    let unseen = |name: &str| name.contains("-twice") || name.starts_with("nul--");
    let mut documents = Vec::new();
    for entry in fs::read_dir(format!("{FIXTURES}/dispatch")).expect("the fixtures") {
        let entry = entry.expect("a fixture");
        let name = entry.file_name().to_string_lossy().into_owned();
        let text = fs::read(entry.path()).expect("a fixture");
        if let Ok(document) = serde_json::from_slice(&text)
            && !unseen(&name)
        {
            documents.push((name, document));
        }
    }
    for (name, errors) in errors(&schema, &documents).into_iter().flatten() {
        let is_refused = ["schema--", "unsafe_id--", "not_an_object--"];
        let is_refused = is_refused.iter().any(|word| name.starts_with(word));
        assert_eq!(!errors.is_empty(), is_refused, "{name}: {errors:?}");
    }
}

#[test]
fn the_schema_of_a_dispatch_knows_the_agents_and_the_limit_that_are_set() {
    let lab = Lab::new();
    let schema = |lab: &Lab| -> Value {
        serde_json::from_str(&said(lab, &["schema", "dispatch", "--json"])).expect("a schema")
    };
    let usual = schema(&lab);
    assert_eq!(usual["properties"]["ttl_seconds"]["minimum"], 60);
    fs::create_dir_all(lab.ours()).expect("create dispatchd");
    let config = json!({"min_ttl_seconds": 5, "agents": {"mine": {"output": "text"}}});
    fs::write(lab.ours().join("config.json"), config.to_string()).expect("write config.json");
    let own = schema(&lab);
    assert_eq!(own["properties"]["ttl_seconds"]["minimum"], 5);
    let agents = &own["properties"]["target_agent"]["enum"];
    assert!(agents.as_array().expect("agents").contains(&json!("mine")), "{agents}");
    // What is wrong with the settings is not for a schema to tell.
    fs::write(lab.ours().join("config.json"), "{").expect("write config.json");
    assert_eq!(schema(&lab), usual);
}

#[test]
fn the_reports_of_real_sessions_are_valid() {
    let lab = Lab::new();
    let project = lab.repository("project");
    let daemon = lab.daemon().start();
    let orders = "fake: deny Bash\nfake: write new x\nfake: commit it";
    lab.send(&lab.task("done", orders).in_dir(&project));
    lab.send(&lab.task("died", "fake: exit 3"));
    lab.send(&lab.task("again", "fake: once a exit 3"));
    lab.place("dispatch-bad.json", b"{\"id\": \"dispatch-bad\"}");
    let mut documents = Vec::new();
    for name in ["done", "died", "again", "bad"] {
        documents.push((name.to_string(), lab.report(name)));
    }
    all_valid(&said(&lab, &["schema", "completion"]), &documents);
    drop(daemon);
}

#[test]
fn the_settings_that_are_shown_are_valid_and_a_mistake_is_not() {
    let lab = Lab::new();
    let schema = said(&lab, &["schema", "config"]);
    let mut shown = Vec::new();
    for text in [
        include_str!("../../../README.md"),
        include_str!("../../../src/pure/reference/topics/permissions.md"),
        include_str!("../../../src/pure/reference/topics/report.md"),
        include_str!("../../../src/pure/reference/topics/settings.md"),
    ] {
        for block in text.split("```json\n").skip(1) {
            let block = block.split("```").next().unwrap_or_default();
            let document: Value = serde_json::from_str(block).expect("JSON");
            if document["id"].is_null() {
                shown.push((block.to_string(), document));
            }
        }
    }
    assert!(shown.len() > 5);
    all_valid(&schema, &shown);
    let wrong = [
        json!({"max_concurrnet": 1}),
        json!({"max_concurrent": 0}),
        json!({"local_only": 3}),
        json!({"projects": {"shop": {}}}),
        json!({"agents": {"Mine": {}}}),
    ];
    let wrong: Vec<_> = wrong.into_iter().map(|config| (config.to_string(), config)).collect();
    for (name, errors) in errors(&schema, &wrong).into_iter().flatten() {
        assert!(!errors.is_empty(), "{name}");
    }
}
