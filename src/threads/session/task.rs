//! The task in Clawvisor by which a session runs: it is looked at for as long as the session lives,
//! an adopted one too, and what it says may end the session.
//!
//! Only a clear word counts here. Who asks is another thread, so that no look waits.

use crate::pure::attempt::limits::StopCause;
use crate::pure::dispatch::Dispatch;
use crate::pure::gate::clawvisor::{MidSession, TaskId};
use crate::threads::shared::authority::TaskWatch;
use crate::threads::shared::context::Context;

#[derive(Default)]
pub struct SessionTask<'c> {
    /// The task's id; empty if the dispatch names none.
    pub named: String,
    watch: Option<TaskWatch<'c>>,
}

impl<'c> SessionTask<'c> {
    pub fn of(context: &'c Context, dispatch: &Dispatch) -> SessionTask<'c> {
        let Some(id) = dispatch.clawvisor_task_id.as_deref().and_then(TaskId::parse) else {
            return SessionTask::default();
        };
        let named = id.to_string();
        let is_asked = context.settings().clawvisor().is_some();
        SessionTask { named, watch: is_asked.then(|| context.authority.watch(id)) }
    }

    fn word(&self) -> MidSession {
        self.watch.as_ref().map_or(MidSession::GoesOn, TaskWatch::word)
    }

    /// Why the session must end, if the task says so.
    pub fn end(&self) -> Option<StopCause> {
        match self.word() {
            MidSession::Ends(end) => Some(StopCause::of_task(end)),
            MidSession::GoesOn | MidSession::Warns(_) => None,
        }
    }

    /// What the report says of it.
    pub fn warning(&self) -> Option<String> {
        match self.word() {
            MidSession::Warns(warning) => Some(warning),
            MidSession::GoesOn | MidSession::Ends(_) => None,
        }
    }
}
