//! What `doctor` finds, as values, and the judgements that are more than a comparison.
//!
//! Must not look at anything: each judgement takes what was seen. A check that finds something says
//! what to type.

pub mod agents;
pub mod running;
pub mod services;

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    Ok,
    Warn,
    Fail,
    /// There is nothing to check, or no way to.
    Skip,
}

impl CheckStatus {
    pub fn word(self) -> &'static str {
        match self {
            CheckStatus::Ok => "ok",
            CheckStatus::Warn => "warn",
            CheckStatus::Fail => "fail",
            CheckStatus::Skip => "skip",
        }
    }
}

/// One thing that was looked at. The names are those of its fields in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub status: CheckStatus,
    pub text: String,
    /// What to type or to do, where something is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Check {
    pub fn ok(name: &'static str, text: impl Into<String>) -> Check {
        Check { name, status: CheckStatus::Ok, text: text.into(), fix: None }
    }

    pub fn skip(name: &'static str, text: impl Into<String>) -> Check {
        Check { name, status: CheckStatus::Skip, text: text.into(), fix: None }
    }

    pub fn warn(name: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Check {
        Check { name, status: CheckStatus::Warn, text: text.into(), fix: Some(fix.into()) }
    }

    pub fn fail(name: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Check {
        Check { name, status: CheckStatus::Fail, text: text.into(), fix: Some(fix.into()) }
    }
}

/// All that was looked at, under which environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// Whose environment the agents were judged under.
    pub environment: String,
    pub checks: Vec<Check>,
}

impl Diagnosis {
    pub fn count(&self, status: CheckStatus) -> usize {
        self.checks.iter().filter(|check| check.status == status).count()
    }
}

/// Nine tenths of what the system allows are nearly all of it.
pub fn is_nearly_used_up(used: u64, limit: u64) -> bool {
    used.saturating_mul(10) >= limit.saturating_mul(9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_nearly_reached_at_nine_tenths_of_it() {
        for (used, limit, want) in
            [(0, 128, false), (115, 128, false), (116, 128, true), (200, 128, true), (0, 0, true)]
        {
            assert_eq!(is_nearly_used_up(used, limit), want, "{used} of {limit}");
        }
    }

    #[test]
    fn what_is_found_is_counted() {
        let checks = vec![
            Check::ok("a", "x"),
            Check::warn("b", "x", "y"),
            Check::warn("c", "x", "y"),
            Check::skip("d", "x"),
        ];
        let found = Diagnosis { environment: "its own".into(), checks };
        let all = [CheckStatus::Ok, CheckStatus::Warn, CheckStatus::Fail, CheckStatus::Skip];
        assert_eq!(all.map(|status| found.count(status)), [1, 2, 0, 1]);
    }
}
