//! Asks the gate about one dispatch: gathers what the decision rests on, with the settings that are
//! in force now. Intake asks at the acceptance, recovery at each start of the daemon, and a worker
//! right before the session starts.
//!
//! Must not act on the answer. Where nothing is configured it looks at the directory alone.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::context::Context;
use crate::effects::error::Result;
use crate::effects::project_dir::{kept_places, owner_of};
use crate::effects::store::Room;
use crate::effects::{clock, project};
use crate::pure::attempt::record::Accepted;
use crate::pure::audit_event::AuditEvent;
use crate::pure::dispatch::{Dispatch, DispatchId};
use crate::pure::gate::place::{DirOwner, exposed, misplaced};
use crate::pure::gate::signature::Signed;
use crate::pure::gate::trust::{Trust, trust};
use crate::pure::gate::{
    GateDecision, GateFacts, GateRefusal, PendingRecord, PendingWhy, TaskWord, decide,
};
use crate::pure::report::{Approval, ApprovedBy, SignatureForm};
use crate::pure::text::digest::sha256_hex;
use crate::pure::text::hex::name_to_text;
use crate::pure::text::time::rfc3339;

/// A dispatch at the gate.
pub struct AtGate<'d> {
    pub dispatch: &'d Dispatch,
    /// The bytes of its file.
    pub bytes: &'d [u8],
    pub signed: Option<&'d Signed>,
    /// Where its directory is, or would be.
    pub dir: &'d Path,
    pub owner: Option<DirOwner>,
    /// Where its folder is; a dispatch that is just being accepted has none.
    pub room: Option<Room>,
}

/// What the gate said.
#[derive(Debug)]
pub enum GateWord {
    /// `None`: no gate was configured.
    Runs(Option<Approval>),
    Waits(PendingRecord),
    /// Clawvisor has to be asked first; it waits for that meanwhile.
    Asks(PendingRecord),
    Refused(GateRefusal),
}

impl<'d> AtGate<'d> {
    /// `dir`: as [`project::resolve_nearest`] gives it.
    pub fn new(
        dispatch: &'d Dispatch,
        (bytes, signed): (&'d [u8], Option<&'d Signed>),
        dir: &'d Path,
        room: Option<Room>,
    ) -> AtGate<'d> {
        AtGate { dispatch, bytes, signed, dir, owner: owner_of(dir), room }
    }

    /// Asks the gate. The error is of our own records, and says nothing about the dispatch.
    pub fn ask(&self, context: &Context) -> Result<GateWord> {
        let mut facts = self.facts(context)?;
        let mut decision = decide(&facts);
        let mut approved_at = None;
        // Only where it matters is looked for an approval.
        if let (GateDecision::Wait(why), Some(room)) = (&decision, self.room)
            && why.ends_by_approval()
        {
            let dir = name_to_text(self.dir.as_os_str().as_bytes());
            let given = context.store.approval(&self.dispatch.id, room)?;
            let given = given.filter(|given| given.holds_for(&sha256_hex(self.bytes), &dir));
            facts.has_approval = given.is_some();
            approved_at = given.map(|given| given.at);
            decision = decide(&facts);
        }
        Ok(match decision {
            GateDecision::Run(by) => GateWord::Runs(by.map(|by| Approval {
                clawvisor_task_id: self.covering_task(&facts),
                ..approval(by, approved_at)
            })),
            GateDecision::Wait(why) => GateWord::Waits(self.record(why)),
            GateDecision::Ask => GateWord::Asks(PendingRecord {
                is_untold: true,
                ..self.record(PendingWhy::ClawvisorUnreachable)
            }),
            GateDecision::Refuse(why) => GateWord::Refused(why),
        })
    }

    /// The task whose scope covers the dispatch.
    fn covering_task(&self, facts: &GateFacts) -> Option<String> {
        let covers = matches!(facts.clawvisor, Some(TaskWord::Covers { .. }));
        self.dispatch.clawvisor_task_id.clone().filter(|_| covers)
    }

    fn facts(&self, context: &Context) -> Result<GateFacts> {
        let settings = context.settings();
        let resolve = |fixed: &str| {
            project::resolve_nearest(&project::expand(fixed, context.home.as_deref()))
        };
        let there = self.owner.map(|_| self.dir);
        let trust = trust(settings.trusted_projects.as_deref(), there, &resolve);
        let kept = kept_places(context.home.as_deref(), context.store.home());
        let of_others = || {
            let owner = self.owner.filter(|_| trust != Trust::Trusted)?;
            exposed(self.dir, owner, context.store.our_uid())
        };
        let misplaced = misplaced(self.dir, &kept).or_else(of_others);
        let clawvisor = if misplaced.is_some() { None } else { self.task_word(context)? };
        Ok(GateFacts {
            misplaced,
            clawvisor,
            trust,
            has_approval: false,
            has_signature: settings.signed_is_approved && self.is_signed_strongly(),
        })
    }

    fn is_signed_strongly(&self) -> bool {
        self.signed.is_some_and(|signed| signed.form == SignatureForm::Strong)
    }

    /// What is on record while it waits for that.
    pub fn record(&self, why: PendingWhy) -> PendingRecord {
        let dir = name_to_text(self.dir.as_os_str().as_bytes());
        let task = self.task().filter(|_| !why.ends_by_approval());
        let task = task.map(|task| task.as_str().to_string());
        PendingRecord { why, dir, task, is_untold: false }
    }
}

fn approval(by: ApprovedBy, at: Option<String>) -> Approval {
    let at = Some(at.unwrap_or_else(clock::stamp));
    Approval { by: Some(by), at, ..Approval::default() }
}

/// Tells that a dispatch never runs.
pub fn tell_refused(context: &Context, id: &DispatchId, why: &GateRefusal) {
    let GateRefusal { error, clawvisor_status } = why.clone();
    context.audit.tell(id.as_str(), &AuditEvent::NotAuthorized { error, clawvisor_status });
}

/// Tells that a dispatch waits, with the line that a person types.
pub fn tell_required(context: &Context, id: &DispatchId, accepted: &Accepted, why: PendingWhy) {
    let expires_ms = expires_at_ms(context, accepted.at_ms());
    let event = AuditEvent::ApprovalRequired {
        why,
        sha256: accepted.sha256.clone(),
        expires_at: rfc3339(expires_ms),
    };
    context.audit.tell(id.as_str(), &event);
    let way_out = match why.ends_by_approval() {
        true => {
            format!("to let it run: {}gstack-dispatch-daemon approve {id}", context.for_shell())
        }
        false => "only Clawvisor can let it run".to_string(),
    };
    log::warn!("{id} waits in pending/ ({}) until {}; {way_out}", why.name(), rfc3339(expires_ms));
}

/// When a dispatch that was accepted then is given up, in milliseconds since 1970.
pub fn expires_at_ms(context: &Context, accepted_at_ms: i64) -> i64 {
    let expiry = context.settings().approval_expiry.as_millis();
    accepted_at_ms.saturating_add(i64::try_from(expiry).unwrap_or(i64::MAX))
}
