//! Finds the pull request that an agent opened, in a tool's own answer to the call that opened it.
//!
//! Owns what such a call is and what such an address looks like. Must not know any agent's events:
//! the readers hand in calls and answers. Prose is no evidence, and neither is an address that some
//! other tool printed: an agent reads and cites pull requests that are not its own. So a call is
//! remembered by its id, and only the answer to that very call is searched.

use std::collections::BTreeSet;

use super::Summary;
use super::fields::IDS_MAX;

const HOST: &str = "https://github.com/";
/// Only this many bytes at the end of a tool's answer are searched.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// GitHub's own program that does it, in a shell.
const COMMAND: &str = "gh pr create";
/// The tool of a GitHub server (`mcp__github__create_pull_request`).
const TOOL: &str = "create_pull_request";

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

    /// Remembers a call that opens a pull request.
    pub fn remember(&mut self, id: Option<String>) {
        if let Some(id) = id.filter(|_| self.0.len() < IDS_MAX) {
            self.0.insert(id);
        }
    }

    /// Whether the call that is answered opens one. It is forgotten.
    pub fn take(&mut self, id: Option<String>) -> bool {
        id.is_some_and(|id| self.0.remove(&id))
    }
}

/// Whether a call opens a pull request, by its tool's name or by the command that a shell is given.
pub(super) fn opens_one(tool: &str, shell_command: Option<&str>) -> bool {
    tool.ends_with(TOOL) || shell_command.is_some_and(|command| command.contains(COMMAND))
}

/// Keeps the last address of a good answer to such a call. Of several texts the last counts.
pub(super) fn keep_address(texts: &[&str], summary: &mut Summary) {
    let found = texts.iter().rev().find_map(|text| last_address(text));
    summary.pull_request = found.or(summary.pull_request.take());
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
