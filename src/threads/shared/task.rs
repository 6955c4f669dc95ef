//! What Clawvisor says of a dispatch at the gate: its last answer about the task that the dispatch
//! names, held against the dispatch, and whether another dispatch has the task.
//!
//! Must not ask anything itself; what is not known yet is said to be unasked. A task that is for
//! one dispatch goes to the first that it covers, and that is durable before it lets anything run.

use super::context::Context;
use super::gate::AtGate;
use crate::effects::error::Result;
use crate::effects::store::TaskHolder;
use crate::pure::gate::clawvisor::{HeldAgainst, TaskId, word};
use crate::pure::gate::{GateRefusal, TaskWord};
use crate::pure::text::clip::one_line;

/// How much of an id that cannot be one is shown, in characters.
const SHOWN_CHARS_MAX: usize = 40;

impl AtGate<'_> {
    /// The task that the dispatch names, if it can be one.
    pub fn task(&self) -> Option<TaskId> {
        TaskId::parse(self.dispatch.clawvisor_task_id.as_deref()?)
    }

    /// What Clawvisor says of the dispatch; `None`: it is not to be asked.
    pub fn task_word(&self, context: &Context) -> Result<Option<TaskWord>> {
        let settings = context.settings();
        if settings.clawvisor().is_none() {
            return Ok(None);
        }
        let Some(named) = self.dispatch.clawvisor_task_id.as_deref() else {
            return Ok(Some(TaskWord::NoTask { required: settings.clawvisor_require_task }));
        };
        let Some(id) = TaskId::parse(named) else {
            let named = one_line(named, SHOWN_CHARS_MAX);
            let error = format!("clawvisor_task_id {named:?} is no id of a task");
            return Ok(Some(TaskWord::Denies(error.into())));
        };
        let Some(answer) = context.authority.young(&id) else {
            return Ok(Some(TaskWord::Unasked));
        };
        let held = HeldAgainst {
            dispatch: self.dispatch,
            bytes: self.bytes,
            dir: self.dir,
            home: context.home.as_deref(),
            service: &settings.clawvisor_service,
            scope: settings.clawvisor_scope,
        };
        let word = word(&answer, &id, &held);
        if let TaskWord::Covers { is_for_one: true, .. } = word
            && let Some(refusal) = self.taken_by_another(context, &id)?
        {
            return Ok(Some(TaskWord::Denies(refusal)));
        }
        Ok(Some(word))
    }

    /// Takes the task for this dispatch, or says who has it. A dispatch that is not accepted yet
    /// takes none.
    fn taken_by_another(&self, context: &Context, id: &TaskId) -> Result<Option<GateRefusal>> {
        let holder = match self.room {
            Some(_) => context.store.give_task(id, &self.dispatch.id)?,
            None => context.store.task_holder(id)?,
        };
        let holder = match holder {
            TaskHolder::Nobody => return Ok(None),
            TaskHolder::Dispatch(holder) if holder == self.dispatch.id => return Ok(None),
            TaskHolder::Dispatch(holder) => holder.to_string(),
            TaskHolder::Unknown => "another dispatch".to_string(),
        };
        let error = format!("clawvisor task {id} is for one dispatch, and {holder} has it");
        Ok(Some(GateRefusal { error, clawvisor_status: Some("active".into()) }))
    }
}
