//! The gate at a dispatch's turn: where its session would work is found, held and judged, right
//! before the start and with the settings of now.
//!
//! A list, a link or an owner may have changed since the dispatch was accepted. What is held is
//! what is entered, so that nothing can change after this.

use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use super::Worker;
use super::ready::NotStarted;
use crate::effects::project;
use crate::effects::project_dir::HeldDir;
use crate::effects::store::{Claim, Contents, Room};
use crate::pure::attempt::next_attempt::NextAttempt;
use crate::pure::dispatch::Dispatch;
use crate::pure::gate::{PendingWhy, TaskWord};
use crate::pure::report::Approval;
use crate::pure::text::hex::name_to_text;
use crate::threads::shared::gate::{AtGate, GateWord};

/// How long a slot waits for Clawvisor's answer. What takes longer waits without one.
const ANSWER_WAIT: Duration = Duration::from_secs(1);

impl Worker<'_> {
    /// The project's directory, which still belongs to the working tree whose turn it is.
    pub(super) fn directory(
        &self,
        claim: &Claim,
        dispatch: &Dispatch,
    ) -> Result<HeldDir, NotStarted> {
        let dir = project::expand(&dispatch.project_dir, self.context.home.as_deref());
        let held = HeldDir::open(&dir).map_err(NotStarted::Fault)?;
        let lane = project::lane_of_resolved(&held.path);
        if lane == claim.lane { Ok(held) } else { Err(NotStarted::OtherProject(lane)) }
    }

    /// Asks the gate about the directory that is entered next. What ran there before was allowed
    /// there: only Clawvisor is asked again.
    pub(super) fn pass_gate(
        &self,
        (claim, contents): (&Claim, &Contents),
        plan: &NextAttempt,
        held: &HeldDir,
    ) -> Result<Option<Approval>, NotStarted> {
        let at_gate = AtGate {
            dispatch: &contents.dispatch,
            bytes: &contents.bytes,
            signed: claim.signed.as_deref(),
            dir: &held.path,
            owner: Some(held.owner),
            room: Some(Room::Active),
        };
        let dir = name_to_text(held.path.as_os_str().as_bytes());
        if plan.dir.as_deref() == Some(&*dir) {
            return match self.task_again(&at_gate)? {
                None => Ok(plan.approval.clone()),
                Some(why) => Err(why),
            };
        }
        match self.ask_now(&at_gate)? {
            GateWord::Runs(approval) => Ok(approval),
            GateWord::Asks(record) if plan.number > 1 => Err(NotStarted::AsksAgain(record)),
            // Whoever has run once is past the wait: nothing of it may go to `pending/`.
            GateWord::Waits(record) if plan.number > 1 && !record.why.ends_by_approval() => {
                Err(NotStarted::AsksAgain(record))
            }
            GateWord::Waits(record) if plan.number > 1 => {
                let error =
                    format!("project_dir leads to {} by now, which nobody has allowed", record.dir);
                Err(NotStarted::Refused(error.into()))
            }
            GateWord::Asks(record) | GateWord::Waits(record) => Err(NotStarted::Waits(record)),
            GateWord::Refused(why) => Err(NotStarted::Refused(why)),
        }
    }

    /// The gate's word, with an answer of Clawvisor that is young enough, if one comes soon.
    fn ask_now(&self, at_gate: &AtGate) -> Result<GateWord, NotStarted> {
        match at_gate.ask(self.context)? {
            GateWord::Asks(record) => {
                if let Some(task) = record.task_id() {
                    self.context.authority.wait_for_young(&task, ANSWER_WAIT);
                }
                Ok(at_gate.ask(self.context)?)
            }
            word => Ok(word),
        }
    }

    /// Why Clawvisor does not let it go on, if that is so.
    fn task_again(&self, at_gate: &AtGate) -> Result<Option<NotStarted>, NotStarted> {
        let mut word = at_gate.task_word(self.context)?;
        if word == Some(TaskWord::Unasked)
            && let Some(task) = at_gate.task()
        {
            self.context.authority.wait_for_young(&task, ANSWER_WAIT);
            word = at_gate.task_word(self.context)?;
        }
        Ok(match word {
            None | Some(TaskWord::NoTask { .. } | TaskWord::Covers { .. }) => None,
            Some(TaskWord::Denies(refusal)) => Some(NotStarted::Refused(refusal)),
            Some(TaskWord::Undecided) => {
                Some(NotStarted::AsksAgain(at_gate.record(PendingWhy::ClawvisorPending)))
            }
            Some(TaskWord::Unreachable | TaskWord::Unasked) => {
                Some(NotStarted::AsksAgain(at_gate.record(PendingWhy::ClawvisorUnreachable)))
            }
        })
    }
}
