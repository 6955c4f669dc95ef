//! What stands inside of the settings that are objects: the entries of projects, of agents and of
//! acceptance commands. The keys themselves are those of [`crate::pure::config`]; a test holds
//! these words to them.

/// Keys of an agent's entry, with what they say.
pub const AGENT_KEYS: &[(&str, &str)] = &[
    ("program", "a path, or a name that is looked up"),
    (
        "args",
        "arguments on top of those that the daemon gives; of an agent of your own: all of a new \
         session's. `{session}` `{prompt_file}` `{project}` `{dir}` `{model}` `{permission_mode}` \
         stand for their values inside one argument; there is no shell. `{project}` is the \
         dispatcher's word, less all but `A-Za-z0-9._-`",
    ),
    ("model", "the model that it uses"),
    ("env", "more variables"),
    ("permission_mode", "in the agent's own words: see `help permissions`"),
];

/// Keys that make an entry an agent of one's own.
pub const TEMPLATE_KEYS: &[(&str, &str)] = &[
    (
        "output",
        "`text`: all of stdout is the result, and exit code 0 is success; `stream`: lines of \
         JSON, read by `stream`",
    ),
    (
        "prompt",
        "`stdin` (the default), `file` (an argument names it with `{prompt_file}`), or a line of \
         JSON for stdin with `{prompt}` in it",
    ),
    (
        "resume_args",
        "the arguments of a session that goes on, with `{session}`; left out: a retry starts anew",
    ),
    (
        "stream",
        "where what stands. Each is a path of words and indices (`usage.0.in`), or \
         `{\"path\": …, \"where\": {PATH: VALUE}}` for some events only; `*` at an end of a value \
         stands for anything",
    ),
    (
        "failures",
        "what an error means: `{\"rate_limit\": {\"where\": {PATH: VALUE}, \"exit_codes\": [75]}}`, \
         also `usage_limit`, `auth`, `billing`, `config`, `context_overflow`, `logic_error`; else \
         it is `tool_failure`",
    ),
    ("session_unknown", "likewise: it does not know the session that it should resume"),
];

/// Keys of `stream`.
pub const STREAM_KEYS: &[(&str, &str)] = &[
    ("session", "the id to resume"),
    ("text", "what the model says"),
    ("tool", "the name of the tool that it calls"),
    ("result", "the final word of success; needed"),
    ("error", "the final word of failure"),
    ("resets_at", "when a usage limit ends"),
    ("input_tokens", "tokens in"),
    ("output_tokens", "tokens out"),
    ("cost_usd", "the cost"),
];

/// Keys of conditions, of acceptance commands and of projects that are no settings.
pub const OTHER_KEYS: &[(&str, &str)] = &[
    ("path", "where the value stands in the event"),
    ("where", "the values that the event has besides, by their paths"),
    ("exit_codes", "exit codes of the agent that mean it, 1 to 255"),
    ("rate_limit", "too many requests, overloaded"),
    ("usage_limit", "a limit with a known reset time"),
    ("auth", "refused credentials"),
    ("billing", "no credit"),
    ("config", "an unknown model or option"),
    ("context_overflow", "the prompt is too long"),
    ("logic_error", "a refusal, an invalid request"),
    ("tool_failure", "the service or the connection failed"),
    ("argv", "the program and its arguments; there is no shell"),
    ("timeout_seconds", "how long it may take (default: 600)"),
    ("extra_args", "arguments that come after `claude_args`"),
    ("agents", "single agents by name, less `program`"),
];

/// What is said of that key.
pub fn help_of(key: &str) -> Option<&'static str> {
    let all = [AGENT_KEYS, TEMPLATE_KEYS, STREAM_KEYS, OTHER_KEYS];
    all.iter().flat_map(|keys| keys.iter()).find(|(name, _)| *name == key).map(|(_, help)| *help)
}
