//! A dispatch file's content: parsed once, from the bytes that were read once, into types that need
//! no second check.
//!
//! The rules are the seed's and the published schema's together. Where they differ the stricter one
//! holds, except that unknown fields are accepted (and named), as the protocol's compatibility
//! policy asks. Duplicate keys are refused: a checker that takes the first and a runner that takes
//! the last would see two different dispatches.

pub mod draft;
mod id;
pub mod prompt;
mod rejection;

use std::fmt;
use std::sync::Arc;

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::text::clip::one_line;
use super::text::nearest::nearest;

pub use id::{DispatchId, ID_CHARS_MAX};
pub use rejection::{Reason, Rejection};

/// Largest dispatch file, in bytes.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// TTL of a dispatch that names none, in seconds (the seed's).
pub const TTL_SECONDS_DEFAULT: u64 = 3600;
/// Largest `ttl_seconds` (the schema's).
pub const TTL_SECONDS_MAX: u64 = 86_400;

/// How much of the sender's own text an error shows, in characters: it goes into reports and logs,
/// and onto terminals.
const SHOWN_CHARS_MAX: usize = 100;
/// How many of the fields that we do not know are named.
const SHOWN_FIELDS_MAX: usize = 20;

/// A checked dispatch. There is no other way to make one than [`parse`].
#[derive(Clone, Debug, PartialEq)]
pub struct Dispatch {
    pub id: DispatchId,
    pub dispatched_by: String,
    pub task: String,
    pub project: String,
    pub project_dir: String,
    /// One of the agents that [`parse`] was given.
    pub target_agent: &'static str,
    pub learnings: Vec<String>,
    pub constraints: Vec<String>,
    pub callback_url: Option<String>,
    /// Not checked here.
    pub source_signature: Option<String>,
    /// The task of Clawvisor that the sender names.
    pub clawvisor_task_id: Option<String>,
    /// The dispatch that this one runs again.
    pub retry_of: Option<DispatchId>,
    pub ttl_seconds: u64,
    /// Fields that the schema does not know, for the audit log and the report.
    pub unknown_fields: Vec<String>,
}

/// What may not run twice at once: the project's working tree.
pub type Lane = Arc<str>;
/// An agent's name, as a dispatch may name it.
pub type Agent = &'static str;

/// The agents of the published schema; which of them are installed is another question.
pub const AGENTS: [&str; 4] = [DEFAULT_AGENT, "codex", "cursor", "gemini"];
/// The agent of a dispatch that names none.
pub const DEFAULT_AGENT: &str = "claude";
const AGENT_BYTES_MAX: usize = 64;

/// Parses and checks the bytes of one dispatch file. `ttl_seconds_min` is a setting (60 in the
/// schema); `agents` are those that the file may name.
pub fn parse(
    bytes: &[u8],
    ttl_seconds_min: u64,
    agents: &[&'static str],
) -> Result<Dispatch, Rejection> {
    // An editor on another system may put a byte order mark in front.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|e| {
        Rejection::new(Reason::NotJson, format!("the file is not JSON: it is not UTF-8: {e}"))
    })?;
    let top: Top = serde_json::from_str(text).map_err(|e| not_json(text, &e))?;
    let fields = match top {
        Top::Object(fields) => fields,
        Top::Other(kind) => {
            let error = format!("a dispatch is a JSON object, this is {kind}");
            return Err(Rejection::new(Reason::NotAnObject, error));
        }
    };
    let id = check_id(&fields)?;
    check_fields(&id, &fields, ttl_seconds_min, agents).map_err(|(reason, error)| Rejection {
        reason,
        error,
        id: Some(id),
    })
}

/// The agent that an accepted dispatch names, whether or not there is one of that name by now.
pub fn agent_of_accepted(bytes: &[u8]) -> Option<String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let dispatch: Value = serde_json::from_slice(bytes).ok()?;
    let name = dispatch["target_agent"].as_str()?;
    let is_name = (1..=AGENT_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_graphic());
    is_name.then(|| name.to_string())
}

fn not_json(text: &str, e: &serde_json::Error) -> Rejection {
    let error = if text.trim().is_empty() {
        "the file is empty".to_string()
    } else if e.to_string().contains("recursion limit") {
        "the file is JSON that is nested too deep".to_string()
    } else {
        format!("the file is not JSON: {e}")
    };
    Rejection::new(Reason::NotJson, error)
}

fn check_id(fields: &Fields) -> Result<DispatchId, Rejection> {
    let text = match fields.get("id") {
        None => return Err(Rejection::new(Reason::Schema, fields.missing("id"))),
        Some(Value::String(text)) => text,
        Some(other) => {
            let error = format!("id must be a string, not {}", kind_of(other));
            return Err(Rejection::new(Reason::Schema, error));
        }
    };
    DispatchId::parse(text).ok_or_else(|| {
        let error = format!(
            "id must be `dispatch-` and then only letters, digits, `.`, `_`, `-`, at most {ID_CHARS_MAX} characters"
        );
        Rejection::new(Reason::UnsafeId, error)
    })
}

type Refusal = (Reason, String);

fn check_fields(
    id: &DispatchId,
    f: &Fields,
    ttl_seconds_min: u64,
    agents: &[&'static str],
) -> Result<Dispatch, Refusal> {
    if let Some(key) = &f.duplicate {
        let key = one_line(key, SHOWN_CHARS_MAX);
        return Err((Reason::Schema, format!("{key} stands twice")));
    }
    let task = f.text("task")?;
    if task.is_empty() {
        return Err((Reason::Schema, "task is empty".into()));
    }
    let agent = f.text_or("target_agent", Some(DEFAULT_AGENT))?.unwrap_or_default();
    let Some(&target_agent) = agents.iter().find(|name| **name == agent) else {
        return Err((Reason::Schema, format!("target_agent must be one of {}", agents.join(", "))));
    };
    Ok(Dispatch {
        id: id.clone(),
        dispatched_by: f.text("dispatched_by")?,
        task,
        project: f.text("project")?,
        project_dir: f.text("project_dir")?,
        target_agent,
        learnings: f.texts("learnings")?,
        constraints: f.texts("constraints")?,
        // As in the seed, an empty URL is none.
        callback_url: f.text_or("callback_url", None)?.filter(|url| !url.is_empty()),
        source_signature: f.text_or(SIGNATURE_FIELD, None)?,
        clawvisor_task_id: f.text_or("clawvisor_task_id", None)?.filter(|task| !task.is_empty()),
        retry_of: f.retry_of(),
        ttl_seconds: f.ttl(ttl_seconds_min)?,
        unknown_fields: f.unknown(),
    })
}

/// The field that names the dispatch which is run again.
pub const RETRY_OF: &str = "retry_of";
/// The field that holds the signature, and is not signed.
pub const SIGNATURE_FIELD: &str = "source_signature";

pub const KNOWN_FIELDS: [&str; 13] = [
    "id",
    "dispatched_by",
    "task",
    "project",
    "project_dir",
    "target_agent",
    "learnings",
    "constraints",
    "callback_url",
    "clawvisor_task_id",
    RETRY_OF,
    SIGNATURE_FIELD,
    "ttl_seconds",
];

/// The top level, with duplicate keys still visible.
enum Top {
    Object(Fields),
    Other(&'static str),
}

struct Fields {
    entries: serde_json::Map<String, Value>,
    duplicate: Option<String>,
}

impl Fields {
    fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(key)
    }

    fn text(&self, key: &str) -> Result<String, Refusal> {
        self.text_or(key, None)?.ok_or_else(|| (Reason::Schema, self.missing(key)))
    }

    fn text_or(&self, key: &str, default: Option<&str>) -> Result<Option<String>, Refusal> {
        match self.get(key) {
            None => Ok(default.map(str::to_string)),
            Some(value) => plain_text(key, value).map(Some),
        }
    }

    fn texts(&self, key: &str) -> Result<Vec<String>, Refusal> {
        match self.get(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                items.iter().map(|item| plain_text(&format!("{key}[]"), item)).collect()
            }
            Some(other) => Err((
                Reason::Schema,
                format!("{key} must be an array of strings, not {}", kind_of(other)),
            )),
        }
    }

    /// JSON Schema's integer: `3600.0` is one, `3600.5` is not.
    fn ttl(&self, seconds_min: u64) -> Result<u64, Refusal> {
        let Some(value) = self.get("ttl_seconds") else {
            return Ok(TTL_SECONDS_DEFAULT);
        };
        let wrong = || {
            let given = one_line(&value.to_string(), SHOWN_CHARS_MAX);
            let error = format!(
                "ttl_seconds must be an integer from {seconds_min} to {TTL_SECONDS_MAX}, not {given}"
            );
            (Reason::Schema, error)
        };
        let number = value.as_f64().ok_or_else(wrong)?;
        let whole = number.fract() == 0.0 && number >= 0.0 && number <= TTL_SECONDS_MAX as f64;
        let seconds = number as u64;
        if !whole || seconds < seconds_min { Err(wrong()) } else { Ok(seconds) }
    }

    /// The error for a missing field, with the unknown one that probably stands for it.
    fn missing(&self, key: &str) -> String {
        let is_meant = |name: &String| nearest(name, KNOWN_FIELDS) == Some(key);
        match self.unknown().into_iter().find(is_meant) {
            Some(name) => format!("{key} is missing: is it what {name} is meant to be?"),
            None => format!("{key} is missing"),
        }
    }

    /// Senders may have used this name before it meant anything, so that whatever is no id is an
    /// unknown field.
    fn retry_of(&self) -> Option<DispatchId> {
        self.get(RETRY_OF)?.as_str().and_then(DispatchId::parse)
    }

    fn unknown(&self) -> Vec<String> {
        let is_known = |key: &str| match key {
            RETRY_OF => self.retry_of().is_some(),
            key => KNOWN_FIELDS.contains(&key),
        };
        let unknown = self.entries.keys().filter(|key| !is_known(key));
        unknown.take(SHOWN_FIELDS_MAX).map(|key| one_line(key, SHOWN_CHARS_MAX)).collect()
    }
}

fn plain_text(key: &str, value: &Value) -> Result<String, Refusal> {
    match value {
        Value::String(text) if text.contains('\0') => {
            Err((Reason::Nul, format!("{key} has a NUL character")))
        }
        Value::String(text) => Ok(text.clone()),
        other => Err((Reason::Schema, format!("{key} must be a string, not {}", kind_of(other)))),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

impl<'de> Deserialize<'de> for Top {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Top, D::Error> {
        struct TopVisitor;
        impl<'de> Visitor<'de> for TopVisitor {
            type Value = Top;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a JSON value")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Top, A::Error> {
                let mut fields = Fields { entries: Default::default(), duplicate: None };
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    if fields.entries.insert(key.clone(), value).is_some() {
                        fields.duplicate = Some(key);
                    }
                }
                Ok(Top::Object(fields))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Top, A::Error> {
                while seq.next_element::<de::IgnoredAny>()?.is_some() {}
                Ok(Top::Other("an array"))
            }
            fn visit_str<E>(self, _: &str) -> Result<Top, E> {
                Ok(Top::Other("a string"))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Top, E> {
                Ok(Top::Other("a boolean"))
            }
            fn visit_u64<E>(self, _: u64) -> Result<Top, E> {
                Ok(Top::Other("a number"))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Top, E> {
                Ok(Top::Other("a number"))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Top, E> {
                Ok(Top::Other("a number"))
            }
            fn visit_unit<E>(self) -> Result<Top, E> {
                Ok(Top::Other("null"))
            }
        }
        deserializer.deserialize_any(TopVisitor)
    }
}

#[cfg(test)]
#[path = "dispatch_tests.rs"]
mod tests;
