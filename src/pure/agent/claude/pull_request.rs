//! Which pull request the agent opened: from a tool's own answer to the call that opened it.
//!
//! Prose is no evidence, and neither is an address that some other tool printed: an agent reads and
//! cites pull requests that are not its own. So a call is remembered by its id, and only the answer
//! to that very call is searched.

use super::{Summary, TASKS_MAX, word};
use serde_json::Value;

const HOST: &str = "https://github.com/";
/// A tool's answer is searched from its end, this many bytes.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// A `tool_use` block.
pub(super) fn read_call(summary: &mut Summary, call: &Value) {
    if summary.pull_request_calls.len() < TASKS_MAX
        && opens_one(call)
        && let Some(id) = word(&call["id"])
    {
        summary.pull_request_calls.insert(id);
    }
}

/// A shell command, or the tool of a GitHub server (`mcp__github__create_pull_request`).
fn opens_one(call: &Value) -> bool {
    let name = call["name"].as_str().unwrap_or_default();
    let command = call["input"]["command"].as_str().unwrap_or_default();
    name.ends_with("create_pull_request") || name == "Bash" && command.contains("gh pr create")
}

/// A `user` event: the answers of tools.
pub(super) fn read_results(summary: &mut Summary, event: &Value) {
    let blocks = event["message"]["content"].as_array().map(Vec::as_slice).unwrap_or_default();
    for answer in blocks.iter().filter(|block| block["type"] == "tool_result") {
        let is_ours =
            word(&answer["tool_use_id"]).is_some_and(|id| summary.pull_request_calls.remove(&id));
        // One that exists already is told of in an error.
        if is_ours && answer["is_error"] != true {
            let found = texts(&answer["content"]).iter().rev().find_map(|text| last_address(text));
            summary.pull_request = found.or(summary.pull_request.take());
        }
    }
}

fn texts(content: &Value) -> Vec<&str> {
    match content {
        Value::String(text) => vec![text],
        Value::Array(blocks) => blocks.iter().filter_map(|block| block["text"].as_str()).collect(),
        _ => Vec::new(),
    }
}

/// The last `https://github.com/OWNER/REPO/pull/N` of a text.
fn last_address(text: &str) -> Option<String> {
    let mut from = text.len().saturating_sub(ANSWER_BYTES_MAX);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let text = &text[from..];
    text.rmatch_indices(HOST).find_map(|(at, _)| address(&text[at + HOST.len()..]))
}

fn address(path: &str) -> Option<String> {
    let mut parts = path.split('/');
    let (owner, repository) = (parts.next()?, parts.next()?);
    let is_name = |name: &str| {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        (1..=100).contains(&name.len()) && name.bytes().all(legal)
    };
    let is_pull = parts.next()? == "pull";
    let rest = parts.next()?;
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let is_address = is_pull && is_name(owner) && is_name(repository) && (1..=10).contains(&digits);
    is_address.then(|| format!("{HOST}{owner}/{repository}/pull/{}", &rest[..digits]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_whole_address_is_found() {
        for (text, want) in [
            ("https://github.com/o/r/pull/12\n", Some("https://github.com/o/r/pull/12")),
            (
                "Creating pull request for x\n\nhttps://github.com/a-b/c.d/pull/7?x",
                Some("https://github.com/a-b/c.d/pull/7"),
            ),
            (
                r#"{"html_url":"https://github.com/o/r/pull/3","issue":"https://github.com/o/r/issues/3"}"#,
                Some("https://github.com/o/r/pull/3"),
            ),
            (
                "https://github.com/o/r/pull/1 https://github.com/o/r/pull/2",
                Some("https://github.com/o/r/pull/2"),
            ),
            ("https://github.com/o/r/pull/new/branch", None),
            ("https://github.com/o/pull/1", None),
            ("https://github.com.evil.example/o/r/pull/1", None),
            ("https://github.com/o r/x/pull/1", None),
            ("https://github.com/o/r/pull/12345678901", None),
            ("", None),
        ] {
            assert_eq!(last_address(text).as_deref(), want, "{text}");
        }
    }
}
