//! Looks at the dispatches that an earlier daemon left in `pending/`, each once, and judges it anew
//! with the settings of now. What may run goes into the queue, in its old place.
//!
//! Must not run anything whose bytes are not those that were accepted: the folder is durable, so
//! that a copy which does not match its digest was changed by somebody.

use super::conclude::Answering;
use super::recover::{Recovered, claim_of, contents_in, in_inbox, publish, remains_of};
use super::shared::context::Context;
use super::shared::gate::{self, AtGate, GateWord};
use crate::effects::error::Result;
use crate::effects::store::{Committed, Room};
use crate::effects::{clock, project};
use crate::pure::attempt::build_report;
use crate::pure::attempt::recovery::Step;
use crate::pure::audit_event::AuditEvent;
use crate::pure::dispatch::DispatchId;
use crate::pure::gate::PendingRecord;
use crate::pure::report::{ErrorType, Status};
use crate::pure::text::digest::sha256_hex;

/// What a changed copy is answered with.
pub const CHANGED: &str = "its copy in pending/ is not what was accepted any more: it never runs";

/// Looks at everything that waits. Called after [`super::recover::recover`].
pub fn recover_pending(context: &Context, recovered: &mut Recovered) -> Result<()> {
    for id in context.store.list_pending()? {
        if context.store.is_in(&id, Room::Active)? {
            log::error!("{id} stands in pending/ too, which counts for nothing");
        } else {
            recover_pending_one(context, id, recovered);
        }
    }
    context.tell_moved_aside();
    Ok(())
}

/// Looks at one dispatch that waits for approval, and judges it anew.
pub fn recover_pending_one(context: &Context, id: DispatchId, recovered: &mut Recovered) {
    if let Err(e) = look(context, &id, recovered) {
        log::error!("{id} waits: {e}");
        recovered.unread.push((id, e.to_string()));
    }
}

fn look(context: &Context, id: &DispatchId, recovered: &mut Recovered) -> Result<()> {
    let (store, room) = (&context.store, Room::Pending);
    let folder = store.open_up_claim(id, room)?;
    // It was answered from memory, or somebody put this there: the first answer stands.
    if store.is_kept(id)?
        && let Some(committed) = store.find_answer(id)?
    {
        context.audit.tell(id.as_str(), &AuditEvent::Recovered { step: Step::Publish });
        let claim = remains_of(id.clone(), room);
        let contents = in_inbox(context, &claim);
        publish(context, Answering::of_committed(claim, contents, committed, true), recovered);
        return Ok(());
    }
    let committed = store.read_committed(id, room)?;
    let contents = contents_in(context, id, room)?;
    let contents = contents.filter(|read| sha256_hex(&read.bytes) == read.accepted.sha256);
    let Some(contents) = contents else {
        return recover_changed(context, id, committed, recovered);
    };
    let mut claim = claim_of(context, id.clone(), &contents, (room, folder));
    if let Some(report) = committed {
        context.audit.tell(id.as_str(), &AuditEvent::Recovered { step: Step::Publish });
        let answering = Answering::of_committed(claim, Some(contents), report, false);
        publish(context, answering, recovered);
        return Ok(());
    }
    let dir = project::expand(&contents.dispatch.project_dir, context.home.as_deref());
    let dir = project::resolve_nearest(&dir);
    let shown = (contents.bytes.as_slice(), contents.accepted.signed.as_ref());
    match AtGate::new(&contents.dispatch, shown, &dir, Some(room)).ask(context)? {
        GateWord::Runs(_) => {
            store.sync_approval(id)?;
            store.move_to_active(&mut claim)?;
            // What was asked is on record by now, or nobody needs to be asked.
            store.forget_asked(id)?;
            claim.waits_since_ms = clock::unix_ms();
            recovered.waiting.push(claim);
        }
        GateWord::Waits(record) => {
            if store.pending_record(id)?.as_ref() != Some(&record) {
                store.note_pending(id, &record)?;
            }
            recovered.pending.push((claim, record));
        }
        // It waits for what it waited for until Clawvisor has answered.
        GateWord::Asks(record) => {
            let record = match store.pending_record(id)? {
                Some(before) => PendingRecord { task: record.task, ..before },
                None => record,
            };
            recovered.pending.push((claim, record));
        }
        GateWord::Refused(why) => {
            gate::tell_refused(context, id, &why);
            let told = (Status::Failed, ErrorType::NotAuthorized, why.error.as_str());
            let answering =
                Answering::without_session(context, claim, contents, Vec::new(), None, told);
            publish(context, answering, recovered);
        }
    }
    Ok(())
}

/// A dispatch that waits, and of which nothing says any more what was accepted: it never runs.
fn recover_changed(
    context: &Context,
    id: &DispatchId,
    committed: Option<Committed>,
    recovered: &mut Recovered,
) -> Result<()> {
    let claim = remains_of(id.clone(), Room::Pending);
    let answering = match committed {
        Some(report) => Answering::of_committed(claim, None, report, false),
        None => {
            gate::tell_refused(context, id, &CHANGED.into());
            let (agent, now_ms) = (claim.agent, clock::unix_ms());
            let kind = ErrorType::NotAuthorized;
            let report = build_report::to_remains(id, agent, "", (kind, CHANGED), now_ms);
            let contents = in_inbox(context, &claim);
            Answering::new(claim, contents, report)
        }
    };
    publish(context, answering, recovered);
    Ok(())
}
