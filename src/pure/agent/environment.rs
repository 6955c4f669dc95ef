//! Which variables of our environment a session inherits, and which are set for it. It inherits all
//! but what breaks a nested agent, what belongs to an outer session, and our own secrets.
//!
//! Owns what is alike for all agents. What only one of them sets or minds is in its driver's row
//! ([`Variables`]).

/// Names the session, so that any of its processes can be recognised.
pub const RUN_TOKEN: &str = "GSTACK_RUN_TOKEN";
pub const DISPATCH_ID: &str = "GSTACK_DISPATCH_ID";
/// Names our copy of the dispatch file.
pub const DISPATCH_FILE: &str = "GSTACK_DISPATCH_FILE";
/// A directory of the session's own, which goes with it.
pub const TMPDIR: &str = "TMPDIR";
/// The pid of the agent. [`crate::effects::process::become_session`] sets it on itself before it
/// becomes the agent.
pub const LEADER: &str = "GSTACK_RUN_LEADER";

/// The variables that concern one agent. A name that ends in `*` stands for all that begin like it.
#[derive(Clone, Copy, Debug)]
pub struct Variables {
    /// What is set for a session of this agent.
    pub set: &'static [(&'static str, &'static str)],
    /// What a session of this agent sets for its children, and what breaks a session of it.
    pub withheld: &'static [&'static str],
    /// What is inherited although `withheld` covers it: an operator's settings of the agent.
    pub kept: &'static [&'static str],
}

/// Every session is told that nobody watches it: gstack's skills decide by themselves where they
/// would ask a person (`gstack-session-kind`: "spawned").
pub const SET: &[(&str, &str)] = &[("OPENCLAW_SESSION", "1")];

/// `CONDUCTOR_…` and a plan file or mode make gstack's skills put every decision to a person, or
/// plan only. A gateway's tokens are its own. A service manager asked nobody but the daemon how it
/// is.
const WITHHELD: [&str; 14] = [
    "CLAUDE_PLAN_FILE",
    "GSTACK_PLAN_MODE",
    "GSTACK_PLAN_MODE_FORCE",
    "OPENCLAW_GATEWAY_TOKEN",
    "OPENCLAW_GATEWAY_PASSWORD",
    RUN_TOKEN,
    LEADER,
    "GSTACK_DISPATCHD_*",
    "CLAWVISOR_*",
    "CONDUCTOR_*",
    "ACPX_AUTH_*",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
];

/// Whether a session inherits a variable. `of_agents`: the variables of all agents that there are.
pub fn is_inherited<'a>(name: &str, of_agents: impl Iterator<Item = &'a Variables>) -> bool {
    let is_among = |patterns: &[&str]| patterns.iter().any(|pattern| matches(name, pattern));
    let mut is_withheld = is_among(&WITHHELD);
    for own in of_agents {
        if is_among(own.kept) {
            return true;
        }
        is_withheld |= is_among(own.withheld);
    }
    !is_withheld
}

fn matches(name: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gstack_s_skills_are_told_that_nobody_is_there() {
        assert!(SET.contains(&("OPENCLAW_SESSION", "1")));
    }

    #[test]
    fn what_breaks_or_leaks_is_inherited_by_no_agent() {
        for (name, want) in [
            ("PATH", true),
            ("HOME", true),
            ("HTTPS_PROXY", true),
            ("GSTACK_HOME", true),
            ("CLAWVISOR_AGENT_TOKEN", false),
            ("GSTACK_DISPATCHD_ALLOW_TOOLS", false),
            ("GSTACK_RUN_TOKEN", false),
            ("GSTACK_RUN_LEADER", false),
            ("GSTACK_HEADLESS", true),
            ("OPENCLAW_SHELL", true),
            ("OPENCLAW_GATEWAY_TOKEN", false),
            ("OPENCLAW_GATEWAY_PASSWORD", false),
            ("ACPX_AUTH_OPENAI", false),
            ("CONDUCTOR_PORT", false),
            ("CONDUCTOR_WORKSPACE_PATH", false),
            ("CLAUDE_PLAN_FILE", false),
            ("GSTACK_PLAN_MODE", false),
            ("GSTACK_PLAN_MODE_FORCE", false),
            ("NOTIFY_SOCKET", false),
            ("WATCHDOG_USEC", false),
            ("WATCHDOG_PID", false),
        ] {
            assert_eq!(is_inherited(name, [].iter()), want, "{name}");
        }
    }
}
