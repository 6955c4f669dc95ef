//! The gate at a dispatch's turn: where its session would work is found, held and judged, right
//! before the start and with the settings of now.
//!
//! A list, a link or an owner may have changed since the dispatch was accepted. What is held is
//! what is entered, so that nothing can change after this.

use std::os::unix::ffi::OsStrExt;

use super::Worker;
use super::ready::NotStarted;
use crate::effects::project;
use crate::effects::project_dir::HeldDir;
use crate::effects::store::{Claim, Contents, Room};
use crate::pure::attempt::next_attempt::NextAttempt;
use crate::pure::dispatch::Dispatch;
use crate::pure::report::Approval;
use crate::pure::text::hex::name_to_text;
use crate::threads::shared::gate::{AtGate, GateWord};

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

    /// Asks the gate about the directory that is entered next. What ran there before is not asked
    /// for again, but no session works in a place where none may.
    pub(super) fn pass_gate(
        &self,
        (claim, contents): (&Claim, &Contents),
        plan: &NextAttempt,
        held: &HeldDir,
    ) -> Result<Option<Approval>, NotStarted> {
        let at_gate = AtGate {
            id: &contents.dispatch.id,
            bytes: &contents.bytes,
            signed: claim.signed.as_deref(),
            dir: &held.path,
            owner: Some(held.owner),
            room: Some(Room::Active),
        };
        let dir = name_to_text(held.path.as_os_str().as_bytes());
        if plan.dir.as_deref() == Some(&*dir) {
            return match at_gate.misplaced(self.context) {
                Some(why) => Err(NotStarted::Refused(why)),
                None => Ok(plan.approval.clone()),
            };
        }
        match at_gate.ask(self.context)? {
            GateWord::Runs(approval) => Ok(approval),
            // Whoever has run once is past the wait: nothing of it may go to `pending/`.
            GateWord::Waits(record) if plan.number > 1 => Err(NotStarted::Refused(format!(
                "project_dir leads to {} by now, which nobody has allowed",
                record.dir
            ))),
            GateWord::Waits(record) => Err(NotStarted::Waits(record)),
            GateWord::Refused(why) => Err(NotStarted::Refused(why)),
        }
    }
}
