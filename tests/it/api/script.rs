//! What the API answers: a [`Step`] for each main request, chosen by a [`Script`] from the
//! request's body and number. Knows nothing of connections or of HTTP.

use std::collections::HashMap;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::lock;

/// What one main request is answered with.
#[derive(Clone, Debug)]
pub enum Step {
    /// The model says this and ends its turn.
    Text(String),
    /// The model calls a tool; the CLI runs it and asks again.
    ToolUse { name: String, input: Value },
    /// An HTTP error in the API's form.
    Status { code: u16, kind: String, message: String, headers: Vec<(String, String)> },
    /// 200, then an `overloaded_error` event in the stream.
    SseError,
    /// The connection is reset before any answer.
    Reset,
    /// The stream begins, and the connection ends in the middle of a text.
    Cut,
    /// Accepted and never answered, until the client goes away or the server is dropped.
    Hang,
    /// Ends with `stop_reason: "refusal"`.
    Refusal,
    /// Ends with `stop_reason: "max_tokens"`.
    MaxTokens,
    /// Ends with `stop_reason: "model_context_window_exceeded"`.
    ContextWindowExceeded,
}

impl Step {
    pub fn text(text: &str) -> Step {
        Step::Text(text.into())
    }

    pub fn tool(name: &str, input: Value) -> Step {
        let name = name.into();
        Step::ToolUse { name, input }
    }

    pub fn write(path: &str, content: &str) -> Step {
        Step::tool("Write", json!({"file_path": path, "content": content}))
    }

    pub fn bash(command: &str) -> Step {
        Step::tool("Bash", json!({"command": command, "description": "test"}))
    }

    /// A session with this one has two results: the second comes when the command is over.
    pub fn background(command: &str) -> Step {
        let input = json!({"command": command, "description": "test", "run_in_background": true});
        Step::tool("Bash", input)
    }

    pub fn status(code: u16, kind: &str, message: &str) -> Step {
        let (kind, message) = (kind.into(), message.into());
        Step::Status { code, kind, message, headers: Vec::new() }
    }

    pub fn rate_limited() -> Step {
        Step::status(
            429,
            "rate_limit_error",
            "This request would exceed your account's rate limit.",
        )
    }

    pub fn prompt_too_long() -> Step {
        let message = "prompt is too long: 250001 tokens > 200000 maximum";
        Step::status(400, "invalid_request_error", message)
    }

    /// Adds a header to a [`Step::Status`], such as `retry-after`.
    pub fn header(mut self, name: &str, value: &str) -> Step {
        match &mut self {
            Step::Status { headers, .. } => headers.push((name.into(), value.into())),
            other => panic!("only Step::Status has headers, not {other:?}"),
        }
        self
    }
}

type Choose = dyn Fn(&Value, usize) -> Step + Send + Sync;

/// Chooses the answer to the n-th main request (from 0) of the server.
pub struct Script(pub(super) Box<Choose>);

impl Script {
    /// One step after the other; the last one repeats.
    pub fn steps(steps: Vec<Step>) -> Script {
        let last = steps.len().checked_sub(1).expect("a script needs a step");
        Script::choose(move |_, n| steps[n.min(last)].clone())
    }

    /// As `steps`, but each session (by its id) begins at the first one: for sessions that share a
    /// server. A resumed session has its old id and goes on.
    pub fn each_session(steps: Vec<Step>) -> Script {
        let last = steps.len().checked_sub(1).expect("a script needs a step");
        let asked: Mutex<HashMap<String, usize>> = Mutex::default();
        Script::choose(move |body, _| {
            let mut asked = lock(&asked);
            let next = asked.entry(session_of(body)).or_default();
            let step = steps[(*next).min(last)].clone();
            *next += 1;
            step
        })
    }

    /// Decided by the body of the request and its number, on the connection's own thread; may block
    /// (but what it waits for must come before the server is dropped).
    pub fn choose(choose: impl Fn(&Value, usize) -> Step + Send + Sync + 'static) -> Script {
        Script(Box::new(choose))
    }
}

impl From<Step> for Script {
    fn from(step: Step) -> Script {
        Script::steps(vec![step])
    }
}

/// The session id that the CLI puts into `metadata.user_id`; empty where there is none.
pub fn session_of(body: &Value) -> String {
    let user = body["metadata"]["user_id"].as_str().unwrap_or_default();
    let inside: Value = serde_json::from_str(user).unwrap_or_default();
    inside["session_id"].as_str().unwrap_or_default().to_owned()
}

/// Whether the user's side of this conversation (prompt, tool results) holds this text.
pub fn mentions(body: &Value, text: &str) -> bool {
    let quoted = json!(text).to_string();
    let escaped = &quoted[1..quoted.len() - 1];
    let messages = body["messages"].as_array().into_iter().flatten();
    let mut user = messages.filter(|message| message["role"] == "user");
    user.any(|message| message["content"].to_string().contains(escaped))
}
