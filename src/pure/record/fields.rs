//! What a sender wrote into a dispatch, as far as people are shown it. Nothing is checked: whether
//! it is a dispatch at all is for [`crate::pure::dispatch`] to say.

use serde_json::Value;

use crate::pure::dispatch::{DEFAULT_AGENT, DispatchId};

/// How long a title is, in characters.
const TITLE_CHARS_MAX: usize = 80;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct DispatchFields {
    pub id: Option<DispatchId>,
    pub task: String,
    pub project: Option<String>,
    /// Absolute, if it is a path from the root or from the home directory.
    pub project_dir: Option<String>,
    pub target_agent: Option<String>,
    pub dispatched_by: Option<String>,
    pub learnings: Vec<String>,
    pub constraints: Vec<String>,
    pub callback_url: Option<String>,
    pub ttl_seconds: Option<u64>,
    /// The dispatch of which this one is a retry.
    pub retry_of: Option<String>,
}

impl DispatchFields {
    /// `None`: this is no JSON object. `home`: what `~` stands for.
    pub fn read(bytes: &[u8], home: Option<&str>) -> Option<DispatchFields> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let all: Value = serde_json::from_slice(bytes).ok().filter(Value::is_object)?;
        let text = |key: &str| all[key].as_str().map(str::to_string);
        let texts = |key: &str| {
            let items = all[key].as_array().into_iter().flatten();
            items.filter_map(Value::as_str).map(str::to_string).collect()
        };
        Some(DispatchFields {
            id: all["id"].as_str().and_then(DispatchId::parse),
            task: text("task").unwrap_or_default(),
            project: text("project"),
            project_dir: text("project_dir").map(|dir| absolute(dir, home)),
            target_agent: text("target_agent").or_else(|| Some(DEFAULT_AGENT.into())),
            dispatched_by: text("dispatched_by"),
            learnings: texts("learnings"),
            constraints: texts("constraints"),
            callback_url: text("callback_url").filter(|url| !url.is_empty()),
            ttl_seconds: all["ttl_seconds"].as_f64().map(|seconds| seconds as u64),
            retry_of: text("retry_of").filter(|id| DispatchId::parse(id).is_some()),
        })
    }

    /// The task's first line.
    pub fn title(&self) -> Option<String> {
        let line = self.task.trim_start().lines().next()?.trim_end();
        if line.chars().nth(TITLE_CHARS_MAX).is_none() {
            return Some(line.to_string()).filter(|line| !line.is_empty());
        }
        Some(line.chars().take(TITLE_CHARS_MAX - 1).chain(['…']).collect())
    }
}

fn absolute(dir: String, home: Option<&str>) -> String {
    let Some(home) = home else { return dir };
    match dir.strip_prefix('~') {
        Some("") => home.to_string(),
        Some(rest) if rest.starts_with('/') => format!("{}{rest}", home.trim_end_matches('/')),
        Some(_) | None => dir,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_shown_and_nothing_else_is_needed() {
        let read = |text: &str| DispatchFields::read(text.as_bytes(), Some("/home/u/"));
        let fields = read(r#"{"id":"dispatch-a","task":"\n  do it \nnow","project_dir":"~/x"}"#);
        let fields = fields.expect("an object");
        assert_eq!(fields.title().as_deref(), Some("do it"));
        assert_eq!(fields.project_dir.as_deref(), Some("/home/u/x"));
        assert_eq!(fields.target_agent.as_deref(), Some("claude"));
        for (dir, want) in [("~", "/home/u/"), ("~b/x", "~b/x"), ("/~/x", "/~/x"), ("x", "x")] {
            let fields = read(&format!(r#"{{"project_dir":"{dir}","id":"../x","task":3}}"#));
            let fields = fields.expect("an object");
            assert_eq!((fields.project_dir.as_deref(), fields.id), (Some(want), None));
        }
        assert_eq!((read("[]"), read("{"), read("")), (None, None, None));
    }

    #[test]
    fn a_title_is_one_short_line() {
        let title = |task: &str| DispatchFields { task: task.into(), ..Default::default() }.title();
        assert_eq!(title(" "), None);
        assert_eq!(title(&"é".repeat(80)), Some("é".repeat(80)));
        assert_eq!(title(&"é".repeat(81)), Some("é".repeat(79) + "…"));
    }
}
