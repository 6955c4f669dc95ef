//! JSON Schema of `config.json`, made from the table of settings. It is closed, at each level.
//!
//! What a setting takes is told by its row and asked of its own reader, so that the schema refuses
//! nothing that the daemon takes. A flag's text is legal in the file too, which is why a number
//! may be a text.

use serde_json::{Map, Value, json};

use super::config_fields::help_of;
use super::schema::{plain, whole};
use crate::pure::config::{SETTINGS, Setting, Settings, agents, launcher, projects, template};

/// The text of a number, as the readers take it.
const NUMBER_PATTERN: &str = r"^\s*[-+.0-9eE]+\s*$";
const DIRECTORY_PATTERN: &str = "^(/|~/|~$)";
const NAME_PATTERN: &str = "^[a-z][a-z0-9_-]{0,39}$";
/// The words of all settings that are one of several.
const CHOICES: [&str; 9] =
    ["end", "leave", "report", "retry", "text", "json", "action", "bound", "status"];
const SWITCH_WORDS: [&str; 9] = ["on", "off", "true", "false", "yes", "no", "1", "0", ""];

pub fn of_config() -> Value {
    let mut properties = Map::new();
    for setting in SETTINGS {
        let mut schema = of_setting(setting);
        let default = setting.default;
        schema["description"] = json!(plain(&format!("{} (default: {default})", setting.help)));
        properties.insert(setting.key.into(), schema);
    }
    whole("The settings: $GSTACK_HOME/dispatchd/config.json", closed(properties))
}

fn of_setting(setting: &Setting) -> Value {
    let takes = |value: &Value| setting.apply(&mut Settings::default(), value).is_ok();
    match setting.value {
        "" => any_of([json!({ "type": "boolean" }), json!({ "enum": SWITCH_WORDS })]),
        "[=WHAT]" => {
            let words: Vec<&str> = SWITCH_WORDS.into_iter().chain(["if-possible"]).collect();
            any_of([json!({ "type": "boolean" }), json!({ "enum": words })])
        }
        "WHAT" => json!({ "enum": choices_of(setting) }),
        "N" => number("integer", &takes),
        "S" | "MB" | "DAYS" | "USD" => number("number", &takes),
        "LIST" | "PORTS" => list(&takes),
        "JSON" => any_of([object_of(setting.key), json!({ "type": "string" })]),
        // PATH, NAME
        _ => json!({ "type": "string" }),
    }
}

/// The words of a setting that is one of several; of others there are none.
pub fn choices_of(setting: &Setting) -> Vec<&'static str> {
    let takes = |word: &str| setting.apply(&mut Settings::default(), &json!(word)).is_ok();
    let words = CHOICES.into_iter().filter(|word| setting.value == "WHAT" && takes(word));
    words.collect()
}

/// The bounds are those of the setting's reader.
fn number(kind: &str, takes: &dyn Fn(&Value) -> bool) -> Value {
    let mut schema = json!({ "type": kind });
    if takes(&json!(0)) {
        schema["minimum"] = json!(0);
    } else if takes(&json!(0.001)) {
        schema["exclusiveMinimum"] = json!(0);
    } else {
        schema["minimum"] = if takes(&json!(0.01)) { json!(0.01) } else { json!(1) };
    }
    if !takes(&json!(86_401)) {
        schema["maximum"] = json!(86_400);
    }
    any_of([schema, json!({ "type": "string", "pattern": NUMBER_PATTERN })])
}

/// A list, or a text in which its items are separated.
fn list(takes: &dyn Fn(&Value) -> bool) -> Value {
    let is_of_numbers = takes(&json!([1]));
    let items = if is_of_numbers { json!(["number", "string"]) } else { json!("string") };
    let list = json!({ "type": "array", "items": { "type": items } });
    let other = if takes(&json!(1)) { json!(["number", "string"]) } else { json!("string") };
    any_of([list, json!({ "type": other })])
}

/// A setting that is an object with entries of its own.
fn object_of(key: &str) -> Value {
    match key {
        "agents" => agents_of(agents::KEYS.into_iter().chain(template::KEYS)),
        "projects" => entries(DIRECTORY_PATTERN, of_keys(project_keys(), of_project_key)),
        "verify" => {
            let mut entry = of_keys(projects::VERIFY_KEYS, |key| match key {
                "argv" => json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 }),
                _ => number("number", &|value| value.as_f64().is_some_and(|n| n >= 0.01)),
            });
            entry["required"] = json!(["argv"]);
            entries("", entry)
        }
        // callback_bearer
        _ => entries("", json!({ "type": "string", "pattern": "^(/|~/)" })),
    }
}

fn project_keys() -> impl Iterator<Item = &'static str> {
    projects::PROJECT_KEYS.into_iter().chain(launcher::KEYS)
}

fn of_project_key(key: &str) -> Value {
    match (key, SETTINGS.iter().find(|setting| setting.key == key)) {
        ("agents", _) => agents_of(agents::KEYS_OF_PROJECT.into_iter()),
        (_, Some(setting)) => of_setting(setting),
        // extra_args
        (_, None) => list(&Value::is_string),
    }
}

fn agents_of(keys: impl Iterator<Item = &'static str>) -> Value {
    entries(NAME_PATTERN, of_keys(keys, of_agent_key))
}

fn of_agent_key(key: &str) -> Value {
    let texts = || json!({ "type": "array", "items": { "type": "string" } });
    match key {
        "args" => any_of([texts(), json!({ "type": "string" })]),
        "resume_args" => texts(),
        "env" => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        "output" => json!({ "enum": ["text", "stream"] }),
        "prompt" => any_of([json!({ "enum": ["stdin", "file"] }), json!({ "type": "object" })]),
        "stream" => {
            let mut stream = of_keys(template::RULE_KEYS, |_| rule());
            stream["required"] = json!(["result"]);
            stream
        }
        "failures" => of_keys(template::CLASSES.map(|(name, _)| name), |_| condition()),
        "session_unknown" => condition(),
        // program, model, permission_mode
        _ => json!({ "type": "string" }),
    }
}

/// Where a value stands in an event.
fn rule() -> Value {
    let of_key = |key: &str| match key {
        "path" => json!({ "type": "string" }),
        _ => places(),
    };
    let mut long = of_keys(["path", "where"], of_key);
    long["minProperties"] = json!(1);
    any_of([json!({ "type": "string" }), long])
}

fn condition() -> Value {
    let of_key = |key: &str| match key {
        "where" => places(),
        _ => json!({ "type": "array", "items": { "type": ["integer", "string"] } }),
    };
    let mut condition = of_keys(["where", "exit_codes"], of_key);
    condition["minProperties"] = json!(1);
    condition
}

/// Values by their paths in an event.
fn places() -> Value {
    let one = json!({ "type": ["string", "number", "boolean", "null"] });
    json!({ "type": "object", "additionalProperties": one })
}

fn of_keys<'k>(keys: impl IntoIterator<Item = &'k str>, of_key: fn(&str) -> Value) -> Value {
    let one = |key: &str| {
        let mut schema = of_key(key);
        let setting = || SETTINGS.iter().find(|setting| setting.key == key);
        let help = help_of(key).or_else(|| setting().map(|setting| setting.help));
        schema["description"] = json!(plain(help.unwrap_or_default()));
        (key.to_string(), schema)
    };
    closed(keys.into_iter().map(one).collect())
}

fn closed(properties: Map<String, Value>) -> Value {
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

/// An object with an entry for each name of that form.
fn entries(names: &str, entry: Value) -> Value {
    let mut schema = json!({ "type": "object", "additionalProperties": entry });
    if !names.is_empty() {
        schema["propertyNames"] = json!({ "pattern": names });
    }
    schema
}

fn any_of<const N: usize>(schemas: [Value; N]) -> Value {
    json!({ "anyOf": schemas.to_vec() })
}
