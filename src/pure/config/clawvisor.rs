//! How the settings of Clawvisor are written.
//!
//! The URL is only kept here and judged at the start, since with `local_only` it counts for
//! nothing. The token is a secret, and never a setting.

use std::time::Duration;

use serde_json::Value;

use super::values::{text, whole};
use crate::pure::gate::clawvisor::TaskScope;

/// The longest that Clawvisor lets one question wait, in seconds.
const WAIT_SECONDS_MAX: u64 = 120;

/// The name of a service must be there, or every entry without one would be meant.
pub(super) fn service(value: &Value) -> Result<String, String> {
    match text(value)? {
        "" => Err("it must name a service".into()),
        name => Ok(name.to_string()),
    }
}

pub(super) fn scope(value: &Value) -> Result<TaskScope, String> {
    match text(value)? {
        "action" => Ok(TaskScope::Action),
        "bound" => Ok(TaskScope::Bound),
        "status" => Ok(TaskScope::Status),
        other => Err(format!("{other} is none of action, bound, status")),
    }
}

pub(super) fn wait(value: &Value) -> Result<Duration, String> {
    match whole(value)? {
        seconds @ 1..=WAIT_SECONDS_MAX => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("must be from 1 to {WAIT_SECONDS_MAX}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_task_must_cover_and_how_long_is_waited_is_said_in_known_words() {
        assert_eq!(scope(&json!("bound")), Ok(TaskScope::Bound));
        assert_eq!(scope(&json!("status")), Ok(TaskScope::Status));
        assert!(scope(&json!("")).is_err() && scope(&json!("Action")).is_err());
        assert!(service(&json!("")).is_err() && service(&json!("local.x")).is_ok());
        for (written, want) in [(1, true), (120, true), (0, false), (121, false)] {
            assert_eq!(wait(&json!(written)).is_ok(), want, "{written}");
        }
        assert!(wait(&json!(1.5)).is_err());
    }
}
