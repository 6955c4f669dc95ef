//! What a reader of the report should know although its status is what it is.
//!
//! Owns the words. Must not change an ending: what decides that is in [`super::outcome`].

use crate::pure::agent::{ResultEvent, Summary};
use crate::pure::report::GitFacts;

const DENIED_TOOLS_NAMED_MAX: usize = 5;

/// What a reader of the report should not have to work out from its parts.
pub fn warnings_of_work(summary: &Summary, git: &GitFacts, index_is_locked: bool) -> Vec<String> {
    let denied = summary.result.as_ref().map_or(0, |result| result.denials_total);
    let mut warnings = Vec::new();
    // What the session found there already is not its work.
    let found = git.dirty_before.or(Some(0));
    if denied > 0 && git.commits == Some(0) && git.dirty_files == found {
        let tools = count(denied as u64, "tool");
        warnings.push(format!("it was denied {tools} and changed nothing"));
    }
    warnings.extend(dirty_warning(git));
    if index_is_locked {
        let warning =
            ".git/index.lock is left: git refuses to change the index until it is removed";
        warnings.push(warning.to_string());
    }
    warnings
}

/// What a reader of the report should know of the wall around the session. `is_wanted`: the
/// settings ask for one.
pub fn warnings_of_wall(summary: &Summary, has_wall: bool, is_wanted: bool) -> Vec<String> {
    let refused = summary.refusals_total;
    if is_wanted && !has_wall {
        vec!["the session was not confined: the kernel has no Landlock".to_string()]
    } else if has_wall && refused > 0 {
        let calls = count(refused, "tool call was");
        vec![format!("{calls} refused by the system, as far as its words tell: see confined")]
    } else {
        Vec::new()
    }
}

/// Warns of files that were dirty before: an agent that commits takes them along.
fn dirty_warning(git: &GitFacts) -> Option<String> {
    let files = count(git.dirty_before.filter(|files| *files > 0)?, "file");
    let taken = match git.dirty_committed.unwrap_or_default() {
        0 => String::new(),
        1 => ": 1 of them is in its commits".to_string(),
        taken => format!(": {taken} of them are in its commits"),
    };
    Some(format!("{files} had uncommitted changes before the session{taken}"))
}

/// What the stream itself tells.
pub fn warnings_of_stream(summary: &Summary) -> Vec<String> {
    let mut warnings: Vec<String> =
        summary.result.as_ref().and_then(denial_warning).into_iter().collect();
    if summary.broken_lines > 0 {
        let lines = count(summary.broken_lines, "line");
        warnings.push(format!("{lines} of the stream could not be read"));
    }
    warnings.extend_from_slice(&summary.notes);
    warnings
}

fn denial_warning(result: &ResultEvent) -> Option<String> {
    let mut tools: Vec<&str> = Vec::new();
    for denial in &result.denials {
        if !tools.contains(&denial.tool_name.as_str()) {
            tools.push(&denial.tool_name);
        }
    }
    let more = if tools.len() > DENIED_TOOLS_NAMED_MAX { ", …" } else { "" };
    tools.truncate(DENIED_TOOLS_NAMED_MAX);
    let calls = match result.denials_total {
        0 => return None,
        total => count(total as u64, "tool call was"),
    };
    Some(format!("{calls} denied ({}{more}): see permission_denials", tools.join(", ")))
}

/// Writes `1 line`, `2 lines`; `1 background task was`, `2 background tasks were`.
pub fn count(number: u64, thing: &str) -> String {
    match (number, thing.strip_suffix(" was")) {
        (1, _) => format!("1 {thing}"),
        (_, Some(noun)) => format!("{number} {noun}s were"),
        (_, None) => format!("{number} {thing}s"),
    }
}
