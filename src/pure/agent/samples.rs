//! What the drivers' tests start from: a session of which everything is plain but what a test is
//! about.

use super::{Launch, SessionRef};
use crate::pure::config::terms::Terms;

pub fn launch(session: SessionRef, terms: &Terms) -> Launch<'_> {
    Launch {
        session,
        terms,
        git_dirs: &Vec::new,
        dir: "/p",
        project: "p",
        prompt_file: "/prompt.txt",
    }
}
