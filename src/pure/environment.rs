//! Which variables of our environment a session inherits: all but what breaks a nested agent, what
//! belongs to an outer session, and our own secrets. And the ones that are set for it.

/// Names the session; any of its processes can be recognised by it.
pub const RUN_TOKEN: &str = "GSTACK_RUN_TOKEN";
pub const DISPATCH_ID: &str = "GSTACK_DISPATCH_ID";
/// Our copy of the dispatch file.
pub const DISPATCH_FILE: &str = "GSTACK_DISPATCH_FILE";
/// Set by [`crate::effects::process::become_session`] on itself: the pid of the agent that it
/// becomes.
pub const LEADER: &str = "GSTACK_RUN_LEADER";

/// What every session is told besides. Nobody watches it: an agent does not replace itself in the
/// middle of its work, and gstack's skills decide by themselves where they would ask a person
/// (`gstack-session-kind`: "spawned").
pub const SET: [(&str, &str); 2] = [("DISABLE_AUTOUPDATER", "1"), ("OPENCLAW_SESSION", "1")];

/// Set by an outer session for its children (seen with Claude Code 2.1.330), or known to break an
/// inner one: `NODE_OPTIONS=--inspect` ends it without a word, `CLAUDECODE` makes some versions
/// refuse to start. `CONDUCTOR_…` and a plan file or mode make gstack's skills put every decision
/// to a person, or plan only. A gateway's tokens are its own.
const REMOVED: [&str; 17] = [
    "CLAUDECODE",
    "CLAUDE_PID",
    "CLAUDE_EFFORT",
    "CLAUDE_SESSION_ID",
    "AI_AGENT",
    "GIT_EDITOR",
    "COREPACK_ENABLE_AUTO_PIN",
    "NoDefaultCurrentDirectoryInExePath",
    "NODE_OPTIONS",
    "NODE_CHANNEL_FD",
    "CLAUDE_PLAN_FILE",
    "GSTACK_PLAN_MODE",
    "GSTACK_PLAN_MODE_FORCE",
    "OPENCLAW_GATEWAY_TOKEN",
    "OPENCLAW_GATEWAY_PASSWORD",
    RUN_TOKEN,
    LEADER,
];
const REMOVED_PREFIXES: [&str; 5] =
    ["CLAUDE_CODE_", "GSTACK_DISPATCHD_", "CLAWVISOR_", "CONDUCTOR_", "ACPX_AUTH_"];
/// An operator's settings of Claude Code, which must reach it.
const KEPT: [&str; 7] = [
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_MAX_RETRIES",
    "CLAUDE_CODE_MAX_OUTPUT_TOKENS",
    "CLAUDE_CODE_TMPDIR",
    "CLAUDE_CODE_SHELL",
    "CLAUDE_CODE_API_KEY_HELPER_TTL_MS",
    "CLAUDE_CODE_SUBAGENT_MODEL",
];
const KEPT_PREFIXES: [&str; 6] = [
    "CLAUDE_CODE_USE_",
    "CLAUDE_CODE_SKIP_",
    "CLAUDE_CODE_DISABLE_",
    "CLAUDE_CODE_ENABLE_",
    "CLAUDE_CODE_CLIENT_",
    "CLAUDE_CODE_RETRY_",
];

pub fn is_inherited(name: &str) -> bool {
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    if KEPT.contains(&name) || begins(&KEPT_PREFIXES) {
        return true;
    }
    !REMOVED.contains(&name) && !begins(&REMOVED_PREFIXES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gstack_s_skills_are_told_that_nobody_is_there() {
        assert!(SET.contains(&("OPENCLAW_SESSION", "1")));
    }

    #[test]
    fn what_breaks_or_leaks_is_not_inherited() {
        for (name, want) in [
            ("PATH", true),
            ("HOME", true),
            ("ANTHROPIC_API_KEY", true),
            ("HTTPS_PROXY", true),
            ("GSTACK_HOME", true),
            ("CLAUDE_CONFIG_DIR", true),
            ("CLAUDE_CODE_OAUTH_TOKEN", true),
            ("CLAUDE_CODE_USE_BEDROCK", true),
            ("CLAUDE_CODE_MAX_RETRIES", true),
            ("CLAUDECODE", false),
            ("CLAUDE_CODE_ENTRYPOINT", false),
            ("CLAUDE_CODE_SESSION_ID", false),
            ("NODE_OPTIONS", false),
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
        ] {
            assert_eq!(is_inherited(name), want, "{name}");
        }
    }
}
