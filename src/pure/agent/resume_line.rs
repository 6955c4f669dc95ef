//! The one line that a person types into a shell to go on with a session.
//!
//! Owns its form: change to the directory, name the folders where the agent keeps its sessions if
//! they are not the usual ones, start the program. Must not give a line that does something else
//! than it says: where a name cannot be written in one plain line, or looks like a secret, there is
//! none.

use super::{Driver, Environment, Launch, SessionRef};
use crate::pure::text::escape;
use crate::pure::text::redact::redact;

/// The line for the session that `launch` resumes. `program` is what a person calls the agent's
/// program; `variable` gives what is set for the session itself.
pub fn resume_line(
    driver: &Driver,
    program: &str,
    launch: &Launch,
    variable: Environment,
) -> Option<String> {
    let arguments = driver.resume_words(launch)?;
    let mut words = vec!["cd".to_string(), escape::shell_word(launch.dir), "&&".to_string()];
    for name in driver.homes {
        if let Some(value) = variable(name) {
            words.push(format!("{name}={}", escape::shell_word(value.to_str()?)));
        }
    }
    words.push(escape::shell_word(program));
    words.extend(arguments.iter().map(|word| escape::shell_word(word)));
    let line = words.join(" ");
    (escape::line(&line) == line && redact(&line) == line).then_some(line)
}

impl Driver {
    /// The arguments by which a person goes on with the session that `launch` resumes.
    fn resume_words(&self, launch: &Launch) -> Option<Vec<String>> {
        let SessionRef::Resume(id) = &launch.session else { return None };
        match self.template {
            // What its arguments name as the prompt is the dispatch's, not the person's.
            Some(_) if !self.can_resume() || self.reads_prompt_file() => None,
            Some(_) => Some(self.argv(launch)),
            None => Some((self.resume_words)(id)),
        }
    }
}

#[cfg(test)]
#[path = "resume_line_tests.rs"]
mod tests;
