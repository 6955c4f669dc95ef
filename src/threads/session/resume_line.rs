//! The line by which a person goes on with a session, from what the daemon knows of it.
//!
//! Only a session that said its id, or was given one that it keeps, has such a line: an id that was
//! offered to an agent which never began names nothing.

use super::Running;
use crate::effects::store::Claim;
use crate::pure::agent::{Launch, SessionRef, Summary, resume_line};

impl Running<'_> {
    pub(super) fn resume_line(&self, claim: &Claim, summary: &Summary) -> Option<String> {
        let id = summary.session_id.clone().filter(|_| !summary.session_is_unknown)?;
        let (dir, prompt_file) =
            (self.start.dir(), self.context.store.prompt_file(&claim.id, self.attempt.number));
        let launch = Launch {
            session: SessionRef::Resume(id),
            terms: &self.terms,
            git_dirs: &Vec::new,
            dir: dir.to_str()?,
            project: &claim.project,
            prompt_file: prompt_file.to_str()?,
        };
        resume_line(self.driver, &self.program_for_people()?, &launch, &|name| self.variable(name))
    }

    /// The path that the settings name, as it was found; else the name that is looked up.
    fn program_for_people(&self) -> Option<String> {
        let (settings, agents) = (self.context.settings(), self.context.agents());
        match self.driver.named(&settings) {
            Some(named) if named.contains('/') => {
                Some(agents.programs.get(self.driver.name)?.to_str()?.to_string())
            }
            Some(named) => Some(named.to_string()),
            None => Some(self.driver.program.to_string()),
        }
    }
}
