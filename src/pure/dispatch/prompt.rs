//! The text that a session is started with: the seed's, word for word, so that an agent skill
//! written for it still fits.
//!
//! The prompt always begins with our own words: the agent's command line could take one that began
//! with the task for a slash command or a file reference.

use super::Dispatch;

/// How many learnings reach the agent (the seed's number).
pub const LEARNINGS_MAX: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learnings {
    Include,
    Omit,
}

pub fn first(dispatch: &Dispatch, learnings: Learnings) -> String {
    let mut text = format!("Load gstack. Dispatch ID: {}. Task: {}", dispatch.id, dispatch.task);
    if !dispatch.constraints.is_empty() {
        text += "\nConstraints: ";
        text += &dispatch.constraints.join(", ");
    }
    if learnings == Learnings::Include && !dispatch.learnings.is_empty() {
        text += "\nRelevant learnings from prior sessions:\n";
        let count = dispatch.learnings.len().min(LEARNINGS_MAX);
        text += &dispatch.learnings[..count].join("\n");
    }
    text
}

/// The prompt of a session that is taken up again after an error that was not the agent's.
pub fn resume(dispatch: &Dispatch) -> String {
    format!(
        "Dispatch ID: {}. The session was cut off by a temporary error of the API. \
         Look at what is already done, then go on with the task from there and finish it.",
        dispatch.id
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::dispatch::parse;

    #[test]
    fn the_first_prompt_is_the_seeds() {
        let d = parse(
            br#"{"id":"dispatch-x","dispatched_by":"o","task":"Do it","project":"p","project_dir":"/p",
                 "constraints":["a","b"],"learnings":["1","2","3","4","5","6"]}"#,
            60,
            &crate::pure::dispatch::AGENTS,
        )
        .expect("valid");
        assert_eq!(
            first(&d, Learnings::Include),
            "Load gstack. Dispatch ID: dispatch-x. Task: Do it\nConstraints: a, b\n\
             Relevant learnings from prior sessions:\n1\n2\n3\n4\n5"
        );
        assert_eq!(
            first(&d, Learnings::Omit),
            "Load gstack. Dispatch ID: dispatch-x. Task: Do it\nConstraints: a, b"
        );
    }
}
