//! How the settings of callbacks and of `on_finish` are written.
//!
//! A token stands in a file of its own and never in a setting, so only the file's path is read
//! here.

use std::collections::BTreeMap;

use serde_json::Value;

use super::strict_json;
use super::values::{list, strings, text};
use crate::pure::callback::destination::{AllowedHost, Origin};

/// An empty list allows no host.
pub(super) fn allowed_hosts(value: &Value) -> Result<Option<Vec<AllowedHost>>, String> {
    list(value)?.iter().map(|entry| AllowedHost::parse(entry)).collect::<Result<_, _>>().map(Some)
}

/// An object of origins and paths; a flag or a variable holds it as text.
pub(super) fn bearers(value: &Value) -> Result<BTreeMap<Origin, String>, String> {
    let written = value.as_str().filter(|text| !text.is_empty());
    let parsed = written.map(|text| strict_json::parse(text.as_bytes())).transpose()?;
    let entries = match parsed.as_ref().unwrap_or(value) {
        Value::String(_) => return Ok(BTreeMap::new()),
        Value::Object(entries) => entries,
        _ => return Err("it must be an object with a token file for each origin".into()),
    };
    let mut bearers = BTreeMap::new();
    for (key, path) in entries {
        let origin = origin(key).ok_or(format!("{key} is no origin, such as http://host:8080"))?;
        let path = text(path).map_err(|e| format!("{key}: {e}"))?;
        if !is_whole_path(path) {
            return Err(format!("{key}: {path} is no path from / or ~/"));
        }
        if bearers.insert(origin, path.to_string()).is_some() {
            return Err(format!("{key} stands twice"));
        }
    }
    Ok(bearers)
}

/// A URL without anything behind its host and port.
fn origin(url: &str) -> Option<Origin> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    Origin::of_url(url).ok().filter(|_| !authority.contains(['/', '?', '#']))
}

/// A program and its arguments. An empty text is none.
pub(super) fn on_finish(value: &Value) -> Result<Vec<String>, String> {
    let argv = match value {
        Value::Array(_) => strings(value)?,
        other => text(other)?.split_whitespace().map(String::from).collect(),
    };
    match argv.first() {
        Some(program) if program.is_empty() => Err("its first word must name a program".into()),
        Some(program) if program.contains('/') && !is_whole_path(program) => {
            Err(format!("{program} is neither a name nor a path from / or ~/"))
        }
        _ => Ok(argv),
    }
}

fn is_whole_path(path: &str) -> bool {
    path.starts_with('/') || path.starts_with("~/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bearers_are_paths_by_origin() {
        let read = |value: Value| bearers(&value).map(|all| all.into_iter().collect::<Vec<_>>());
        let origin = |url: &str| Origin::of_url(url).expect("an origin");
        let one = vec![(origin("http://127.0.0.1:18789"), "~/t".to_string())];
        assert_eq!(read(json!({"http://127.0.0.1:18789": "~/t"})), Ok(one.clone()));
        assert_eq!(read(json!(r#"{"HTTP://127.0.0.1:18789/": "~/t"}"#)), Ok(one));
        assert_eq!(read(json!("")), Ok(Vec::new()));
        for wrong in [
            json!([]),
            json!({"h": "/t"}),
            json!({"http://h/x": "/t"}),
            json!({"http://h?x": "/t"}),
            json!({"http://u:p@h": "/t"}),
            json!({"ftp://h": "/t"}),
            json!({"http://h": "t"}),
            json!({"http://h": 1}),
            json!({"http://h": "/t", "http://h:80/": "/u"}),
            json!(r#"{"http://h": "/t", "http://h": "/u"}"#),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn on_finish_is_a_list_or_is_split_at_blanks() {
        assert_eq!(
            on_finish(&json!("curl -s  x")),
            Ok(["curl", "-s", "x"].map(String::from).into())
        );
        assert_eq!(on_finish(&json!(["a b", ""])), Ok(["a b", ""].map(String::from).into()));
        assert_eq!(on_finish(&json!("")), Ok(Vec::new()));
        assert_eq!(on_finish(&json!([])), Ok(Vec::new()));
        assert!(on_finish(&json!([""])).is_err() && on_finish(&json!([1])).is_err());
        assert!(on_finish(&json!("./x")).is_err() && on_finish(&json!("~/x y")).is_ok());
    }
}
