//! Finds the pull request that the agent opened, in a tool's own answer to the call that opened it.
//!
//! Prose is no evidence, and neither is an address that some other tool printed: an agent reads and
//! cites pull requests that are not its own. So a call is remembered by its id, and only the answer
//! to that very call is searched.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::pure::agent::Summary;
use crate::pure::agent::fields::{IDS_MAX, word};

const HOST: &str = "https://github.com/";
/// Only this many bytes at the end of a tool's answer are searched.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// Calls that open a pull request and have not been answered, at most [`IDS_MAX`].
#[derive(Debug, Default)]
pub(super) struct OpeningCalls(BTreeSet<String>);

impl OpeningCalls {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Reads a `tool_use` block.
    pub fn read_call(&mut self, call: &Value) {
        if self.0.len() < IDS_MAX
            && opens_one(call)
            && let Some(id) = word(&call["id"])
        {
            self.0.insert(id);
        }
    }

    /// Reads a `user` event, which holds the answers of tools.
    pub fn read_answers(&mut self, event: &Value, summary: &mut Summary) {
        let blocks = event["message"]["content"].as_array().map(Vec::as_slice).unwrap_or_default();
        for answer in blocks.iter().filter(|block| block["type"] == "tool_result") {
            let is_ours = word(&answer["tool_use_id"]).is_some_and(|id| self.0.remove(&id));
            // A pull request that exists already is named in an error.
            if is_ours && answer["is_error"] != true {
                let found = texts(&answer["content"]).rev().find_map(last_address);
                summary.pull_request = found.or(summary.pull_request.take());
            }
        }
    }
}

/// Whether a call opens a pull request, by a shell command or by the tool of a GitHub server
/// (`mcp__github__create_pull_request`).
fn opens_one(call: &Value) -> bool {
    let name = call["name"].as_str().unwrap_or_default();
    let command = call["input"]["command"].as_str().unwrap_or_default();
    name.ends_with("create_pull_request") || name == "Bash" && command.contains("gh pr create")
}

/// The texts of a tool's answer.
pub(super) fn texts(content: &Value) -> impl DoubleEndedIterator<Item = &str> {
    let blocks = content.as_array().map(Vec::as_slice).unwrap_or_default();
    content.as_str().into_iter().chain(blocks.iter().filter_map(|block| block["text"].as_str()))
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
#[path = "pull_request_tests.rs"]
mod tests;
