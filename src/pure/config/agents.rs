//! What `config.json` says of single agents: where the program is, its arguments, model, variables
//! and permission mode; and of an agent that no driver knows, a [`Template`] of its dialect.
//!
//! Owns how an entry is written. Must not know which agents are built in: whether an entry belongs
//! to one of them is asked where the table of drivers is. An entry of a project holds less: where a
//! program is and how it speaks is the same for all projects.

use std::collections::BTreeMap;

use serde_json::Value;

use super::template::{self, Template};
use super::values::{list, strings, text, word};
use super::{strict_json, unknown};
use crate::pure::text::clip::one_line;

/// How much of a name that somebody wrote is shown, in characters.
const SHOWN_CHARS_MAX: usize = 100;
const NAME_CHARS_MAX: usize = 40;
/// Most agents that one file may name.
const AGENTS_MAX: usize = 64;

/// Entries by the name of the agent.
pub type AgentEntries = BTreeMap<String, AgentEntry>;

/// What is set for one agent, for all projects or for one of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AgentEntry {
    /// A path, or a name that is looked up.
    pub program: Option<String>,
    /// More arguments, behind those that its driver makes.
    pub args: Vec<String>,
    pub model: Option<String>,
    /// Variables that its sessions have besides.
    pub env: Vec<(String, String)>,
    pub permission_mode: Option<String>,
    /// Of an agent that no driver knows.
    pub template: Option<Template>,
}

/// Which entries are meant: those for all projects, or those of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    All,
    Project,
}

pub const KEYS_OF_PROJECT: [&str; 4] = ["args", "model", "env", "permission_mode"];
pub const KEYS: [&str; 5] = ["program", "args", "model", "env", "permission_mode"];

/// An object by name; a flag or a variable has it as text.
pub(super) fn agents(value: &Value) -> Result<AgentEntries, String> {
    let text = value.as_str().filter(|text| !text.is_empty());
    let parsed = text.map(|text| strict_json::parse(text.as_bytes()));
    match parsed.transpose()?.as_ref().unwrap_or(value) {
        Value::String(_) => Ok(AgentEntries::new()),
        value => entries(value, Scope::All),
    }
}

pub(super) fn entries(value: &Value, scope: Scope) -> Result<AgentEntries, String> {
    let entries = value.as_object().ok_or("it must be an object with an entry for each agent")?;
    if entries.len() > AGENTS_MAX {
        return Err(format!("at most {AGENTS_MAX} agents can be named"));
    }
    let entry = |(name, value): (&String, &Value)| {
        let shown = one_line(name, SHOWN_CHARS_MAX);
        if !is_name(name) {
            return Err(format!(
                "{shown} is no name: small letters, digits, `-` and `_`, at most {NAME_CHARS_MAX}"
            ));
        }
        let read = entry(value, scope).map_err(|e| format!("{shown}: {e}"))?;
        Ok((name.clone(), read))
    };
    entries.iter().map(entry).collect()
}

/// It becomes a part of file names (`release-NAME`), and is shown to people.
fn is_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= NAME_CHARS_MAX
        && name.chars().all(is_plain)
}

fn entry(value: &Value, scope: Scope) -> Result<AgentEntry, String> {
    let fields = value.as_object().ok_or("it must be an object")?;
    let has_template = fields.keys().any(|key| template::KEYS.contains(&key.as_str()));
    let mut found = AgentEntry::default();
    for (key, value) in fields {
        let named = |e: String| format!("{key}: {e}");
        match (key.as_str(), scope) {
            ("program", Scope::All) => found.program = word(value).map_err(named)?,
            ("args", _) => found.args = arguments(value).map_err(named)?,
            ("model", _) => found.model = word(value).map_err(named)?,
            ("env", _) => found.env = variables(value).map_err(named)?,
            ("permission_mode", _) => found.permission_mode = word(value).map_err(named)?,
            (key, Scope::All) if template::KEYS.contains(&key) => {}
            (key, Scope::Project) if KEYS.contains(&key) || template::KEYS.contains(&key) => {
                return Err(format!("{key} holds for all projects: name it in agents"));
            }
            (key, Scope::Project) => return Err(unknown(key, KEYS_OF_PROJECT)),
            (key, Scope::All) => {
                return Err(unknown(key, KEYS.into_iter().chain(template::KEYS)));
            }
        }
    }
    if has_template {
        let args = std::mem::take(&mut found.args);
        let template = template::template(fields, args)?;
        template.check_values(found.model.is_some(), found.permission_mode.is_some())?;
        found.template = Some(template);
    }
    Ok(found)
}

/// A list, or a text in which commas separate them.
fn arguments(value: &Value) -> Result<Vec<String>, String> {
    let arguments = if value.is_array() { strings(value)? } else { list(value)? };
    match arguments.iter().any(|argument| argument.contains('\0')) {
        true => Err("an argument holds a NUL".into()),
        false => Ok(arguments),
    }
}

/// By name. What the daemon sets itself is not the operator's to change.
fn variables(value: &Value) -> Result<Vec<(String, String)>, String> {
    let entries = value.as_object().ok_or("it must be an object with a text for each variable")?;
    let variable = |(name, value): (&String, &Value)| {
        let shown = one_line(name, SHOWN_CHARS_MAX);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(is_plain) {
            return Err(format!("{shown} is no name of a variable"));
        }
        if name.starts_with("GSTACK_RUN_") || name.starts_with("GSTACK_DISPATCH") || name == "PWD" {
            return Err(format!("{shown} is set by the daemon"));
        }
        let value = text(value).map_err(|e| format!("{shown}: {e}"))?;
        if value.contains('\0') {
            return Err(format!("{shown} holds a NUL"));
        }
        Ok((name.clone(), value.to_string()))
    };
    entries.iter().map(variable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_entry_has_what_is_named() {
        let value = json!({"codex": {"program": "/opt/codex", "args": ["-c", "a,b"],
            "model": "m", "env": {"A": "1"}, "permission_mode": "read-only"}});
        let found = agents(&value).expect("entries");
        let want = AgentEntry {
            program: Some("/opt/codex".into()),
            args: vec!["-c".into(), "a,b".into()],
            model: Some("m".into()),
            env: vec![("A".into(), "1".into())],
            permission_mode: Some("read-only".into()),
            template: None,
        };
        assert_eq!(found.get("codex"), Some(&want));
        // A flag has it as text, and an empty one is none.
        assert_eq!(agents(&json!(value.to_string())), Ok(found));
        assert_eq!(agents(&json!("")), Ok(AgentEntries::new()));
    }

    #[test]
    fn mistakes_name_the_key_and_what_was_probably_meant() {
        for (value, want) in [
            (json!([]), "it must be an object with an entry for each agent"),
            (json!({"a": 1}), "a: it must be an object"),
            (json!({"a": {"modle": "x"}}), "a: unknown setting modle (did you mean model?)"),
            (json!({"a": {"ouput": "x"}}), "a: unknown setting ouput (did you mean output?)"),
            (json!({"a": {"model": "-x"}}), "a: model: -x is an option"),
            (json!({"a": {"env": {"A=": "x"}}}), "a: env: A= is no name of a variable"),
            (json!({"a": {"env": {"A": 1}}}), "a: env: A: 1 is not a text"),
            (
                json!({"a": {"env": {"GSTACK_RUN_TOKEN": "x"}}}),
                "a: env: GSTACK_RUN_TOKEN is set by the daemon",
            ),
            (json!({"a": {"args": ["x\0"]}}), "a: args: an argument holds a NUL"),
            (json!({"A b": {}}), "A b is no name: small letters, digits, `-` and `_`, at most 40"),
            (json!("{\"a\": {}, \"a\": {}}"), "a stands twice at line 1 column 18"),
        ] {
            assert_eq!(agents(&value), Err(want.to_string()), "{value}");
        }
        let many: serde_json::Map<_, _> = (0..65).map(|n| (format!("a{n}"), json!({}))).collect();
        assert_eq!(agents(&Value::Object(many)), Err("at most 64 agents can be named".into()));
    }

    #[test]
    fn an_entry_of_a_project_holds_less() {
        let read = |value| entries(&value, Scope::Project);
        let found = read(json!({"claude": {"permission_mode": "plan"}})).expect("entries");
        assert_eq!(found["claude"].permission_mode.as_deref(), Some("plan"));
        for (key, value) in [("program", json!("/x")), ("output", json!("text"))] {
            let want = format!("claude: {key} holds for all projects: name it in agents");
            assert_eq!(read(json!({"claude": {key: value}})), Err(want));
        }
    }
}
