//! Where settings come from besides flags: `config.json` and the environment.
//!
//! Whatever looks like a setting and is none is an error: a misspelt `strict` must not pass in
//! silence. Only a variable that resembles none may be somebody else's.

use serde_json::Value;

use super::{SETTINGS, Settings, VARIABLE_PREFIX, keys, unknown};
use crate::pure::text::clip::one_line;
use crate::pure::text::nearest::nearest;

/// The one variable of ours that is no setting: the level of the log.
const LOG: &str = "GSTACK_DISPATCHD_LOG";
/// How much of a name that somebody wrote is shown, in characters.
const SHOWN_CHARS_MAX: usize = 100;

/// A variable whose name begins as those of ours do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    pub name: String,
    /// `None`: it is not UTF-8.
    pub value: Option<String>,
}

/// Applies `config.json`.
pub fn apply_config(settings: &mut Settings, config: &Value) -> Result<(), String> {
    let Value::Object(entries) = config else {
        return Err("it must hold one JSON object".into());
    };
    for (key, value) in entries {
        let setting = SETTINGS.iter().find(|s| s.key == key);
        let setting = setting.ok_or_else(|| unknown(&one_line(key, SHOWN_CHARS_MAX), keys()))?;
        setting.apply(settings, value).map_err(|e| format!("{key}: {e}"))?;
    }
    Ok(())
}

/// Applies the environment, and returns what people should be told.
pub fn apply_environment(
    settings: &mut Settings,
    variables: &[Variable],
) -> Result<Vec<String>, String> {
    let mut warnings = Vec::new();
    for Variable { name, value } in variables {
        let setting = SETTINGS.iter().find(|setting| setting.variable() == *name);
        let name = one_line(name, SHOWN_CHARS_MAX);
        let text = value.as_ref().ok_or_else(|| format!("{name}: its value is not UTF-8"));
        match setting {
            Some(setting) => {
                let applied = setting.apply(settings, &Value::String(text?.clone()));
                applied.map_err(|e| format!("{name}: {e}"))?;
            }
            None if name == LOG => drop(text?),
            None => {
                let key = name.strip_prefix(VARIABLE_PREFIX).unwrap_or(&name);
                if let Some(meant) = nearest(key, keys().chain(["log"])) {
                    let meant = meant.to_uppercase();
                    return Err(format!(
                        "unknown variable {name}: did you mean {VARIABLE_PREFIX}{meant}?"
                    ));
                }
                warnings.push(format!("{name} is no setting, and is ignored"));
            }
        }
    }
    Ok(warnings)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use serde_json::json;

    fn variable(name: &str, value: &str) -> Variable {
        Variable { name: name.into(), value: Some(value.into()) }
    }

    #[test]
    fn sources_are_applied_in_order() {
        let mut s = Settings::default();
        apply_config(&mut s, &json!({"max_concurrent": 3, "allow_tools": ["Read", "Bash(a,b)"]}))
            .expect("config");
        assert_eq!((s.max_concurrent, s.allow_tools.len()), (3, 2));
        let variables = [
            variable("GSTACK_DISPATCHD_MAX_CONCURRENT", "4"),
            variable("GSTACK_DISPATCHD_DRAIN_TIMEOUT_SECONDS", "0.5"),
            variable("GSTACK_DISPATCHD_LOG", "debug"),
        ];
        assert_eq!(apply_environment(&mut s, &variables), Ok(Vec::new()));
        assert_eq!((s.max_concurrent, s.drain_timeout), (4, Duration::from_millis(500)));
    }

    #[test]
    fn a_variable_that_is_misspelt_is_an_error_and_one_that_resembles_none_a_warning() {
        let applied = |variable| apply_environment(&mut Settings::default(), &[variable]);
        for (name, meant) in [
            ("MAX_CONCURENT", "MAX_CONCURRENT"),
            ("DRAIN_TIMEOUT", "DRAIN_TIMEOUT_SECONDS"),
            ("LOGS", "LOG"),
            ("max_concurrent", "MAX_CONCURRENT"),
        ] {
            let name = format!("GSTACK_DISPATCHD_{name}");
            let want = format!("unknown variable {name}: did you mean GSTACK_DISPATCHD_{meant}?");
            assert_eq!(applied(variable(&name, "1")), Err(want));
        }
        let warned = applied(variable("GSTACK_DISPATCHD_FOO", "1")).expect("a warning");
        assert_eq!(warned, ["GSTACK_DISPATCHD_FOO is no setting, and is ignored"]);
        for name in ["GSTACK_DISPATCHD_STRICT", "GSTACK_DISPATCHD_LOG"] {
            let broken = Variable { name: name.into(), value: None };
            assert_eq!(applied(broken), Err(format!("{name}: its value is not UTF-8")));
        }
    }

    #[test]
    fn wrong_values_are_refused_with_the_key() {
        for (config, want) in [
            (
                json!({"max_concurent": 3}),
                "unknown setting max_concurent (did you mean max_concurrent?)",
            ),
            (json!({"colour": 3}), "unknown setting colour"),
            (json!({"max_concurrent": 0}), "max_concurrent: must be at least 1, not 0"),
            (json!({"max_concurrent": "x"}), "max_concurrent: \"x\" is not a number"),
            (json!({"heartbeat_seconds": 0}), "heartbeat_seconds: must be at least 0.01, not 0"),
            (json!({"on_shutdown": "x"}), "on_shutdown: x is neither end nor leave"),
            (json!({"allow_tools": "--x"}), "allow_tools: --x is not a tool"),
            (json!([]), "it must hold one JSON object"),
        ] {
            assert_eq!(apply_config(&mut Settings::default(), &config), Err(want.to_string()));
        }
    }
}
