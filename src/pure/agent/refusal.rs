//! Calls of tools that the system refused, by the words of their answers: behind a wall these are
//! what the wall did, as far as anybody can tell.
//!
//! Owns the words and what is remembered of calls until they are answered, bounded. Must not decide
//! anything: a report names such calls, and no ending depends on them.

use std::collections::VecDeque;

use super::Summary;
use super::summary::DENIALS_MAX;
use crate::pure::report::Denial;

/// What programs print for EACCES and EPERM (errno(3)) through strerror(3), in any case: zsh writes
/// it in small letters, and agents run tools in the shell that they find.
const SAYINGS: [&str; 2] = ["Permission denied", "Operation not permitted"];
/// And by themselves. In small letters these are parts of words.
const NAMES: [&str; 2] = ["EACCES", "EPERM"];
/// So many calls of tools may be under way at once.
const CALLS_MAX: usize = 64;

/// Whether a tool's answer tells of a refusal.
pub(super) fn is_refused(answer: &str) -> bool {
    may_tell(answer.as_bytes())
}

/// Whether a line of a stream may hold such an answer. Most lines do not, and need not be parsed.
pub(super) fn may_tell(line: &[u8]) -> bool {
    let says = |saying: &&str| {
        line.windows(saying.len()).any(|part| part.eq_ignore_ascii_case(saying.as_bytes()))
    };
    let names = |name: &&str| line.windows(name.len()).any(|part| part == name.as_bytes());
    SAYINGS.iter().any(says) || NAMES.iter().any(names)
}

/// The last calls of tools, by their ids.
#[derive(Debug, Default)]
pub(super) struct RecentCalls(VecDeque<(String, Denial)>);

impl RecentCalls {
    pub fn add(&mut self, id: String, call: Denial) {
        if self.0.len() >= CALLS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((id, call));
    }

    pub fn find(&self, id: &str) -> Option<Denial> {
        self.0.iter().rev().find(|(known, _)| known == id).map(|(_, call)| call.clone())
    }
}

impl Summary {
    /// Notes a call that the system refused.
    pub(super) fn note_refusal(&mut self, call: Denial) {
        self.refusals_total += 1;
        if self.refusals.len() < DENIALS_MAX {
            self.refusals.push(call);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_by_the_words_of_the_system() {
        for (answer, want) in [
            ("bash: /etc/x: Permission denied", true),
            ("kill: (1) - Operation not permitted", true),
            ("Error: EACCES: permission denied, open '/x'", true),
            ("(eval):1: permission denied: /etc/x", true),
            ("(eval):kill:1: kill 1 failed: operation not permitted", true),
            ("the sleeperman is well", false),
        ] {
            assert_eq!((is_refused(answer), may_tell(answer.as_bytes())), (want, want), "{answer}");
        }
    }

    #[test]
    fn only_so_many_calls_are_remembered() {
        let mut calls = RecentCalls::default();
        let call = |name: usize| Denial { tool_name: name.to_string(), input: None };
        (0..CALLS_MAX + 1).for_each(|n| calls.add(n.to_string(), call(n)));
        assert_eq!((calls.find("0"), calls.find("1")), (None, Some(call(1))));
    }
}
