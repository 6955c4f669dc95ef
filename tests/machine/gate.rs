//! Dispatches that wait until a person allows them: `pending/` and `control/` in the order in which
//! `effects::store::pending` writes and syncs them, and the steps of `threads::intake::gate`. Whether
//! one waits is asked of `pure::gate`.

use gstack_dispatch_daemon::pure::gate::trust::Trust;
use gstack_dispatch_daemon::pure::gate::{GateDecision, GateFacts, decide};
use gstack_dispatch_daemon::pure::report::ErrorType;

use crate::daemon::{Claim, Daemon, claim_of};
use crate::records::{Body, Record};
use crate::store::*;
use crate::world::{Durable, Result, UNTRUSTED, Without, World};

/// Whether a dispatch whose folder this is has to wait.
pub fn must_wait(w: &World, dir: &str, body: &Body) -> bool {
    if w.lacks(Without::Gate) {
        return false;
    }
    let approval = w.disk.read(&format!("{dir}/approval.json"));
    let facts = GateFacts {
        misplaced: None,
        clawvisor: None,
        trust: if body.lane == UNTRUSTED { Trust::Untrusted } else { Trust::Trusted },
        has_approval: matches!(approval, Some(Record::Said(uid)) if *uid == body.uid),
        has_signature: false,
    };
    matches!(decide(&facts), GateDecision::Wait(_))
}

/// Unlike a queued one it is durable before it has its name.
pub fn prepare_pending(w: &mut World, building: &str) -> Result<()> {
    for name in ["dispatch.json", "accepted.json"] {
        w.sync_unless(Without::SyncOfPending, &format!("{building}/{name}"))?;
    }
    let durable = if w.lacks(Without::SyncOfPending) { Durable::No } else { Durable::Yes };
    w.replace(building, "pending.json", Record::Plain, durable)
}

pub fn move_to_pending(w: &mut World, id: u32) -> Result<()> {
    sync_acceptance(w, id)?;
    w.replace(&claim_dir(id), "pending.json", Record::Plain, Durable::Yes)?;
    w.rename(&claim_dir(id), &pending_dir(id)).map(drop)
}

/// What a daemon finds in `pending/`: those that wait on, and those that may run by now.
pub fn recover_pending(w: &mut World) -> Result<(Vec<Claim>, Vec<Claim>)> {
    let (mut waiting, mut pending) = (Vec::new(), Vec::new());
    for name in w.disk.list("pending") {
        let Ok(id) = name.parse::<u32>() else { continue };
        let dir = pending_dir(id);
        let report = read_committed(w, &dir)?;
        let Some((accepted, body)) = read_claim(w, &dir) else {
            w.truth.wrong(format!("{id} waits, and nothing says what it was"));
            continue;
        };
        if let Some(report) = report {
            see_through(w, std::slice::from_ref(&accepted.name), &report)?;
        } else if must_wait(w, &dir, &body) {
            pending.push(claim_of(&accepted, &body));
        } else {
            sync_approval(w, &dir)?;
            w.rename(&dir, &claim_dir(id))?;
            forget_asked(w, id)?;
            waiting.push(claim_of(&accepted, &body));
        }
    }
    Ok((waiting, pending))
}

/// Who wrote it may have died before its fsyncs.
fn sync_approval(w: &mut World, dir: &str) -> Result<()> {
    if w.lacks(Without::SyncOfFoundApproval) {
        return Ok(());
    }
    for path in [format!("{dir}/approval.json"), dir.to_string(), "pending".into()] {
        if w.disk.find(&path).is_some() {
            w.sync(&path)?;
        }
    }
    Ok(())
}

fn asked(id: u32) -> [String; 2] {
    [format!("control/approve-{id}"), format!("control/deny-{id}")]
}

fn forget_asked(w: &mut World, id: u32) -> Result<()> {
    for path in asked(id) {
        if w.disk.find(&path).is_some() {
            w.remove(&path)?;
        }
    }
    Ok(())
}

impl Daemon {
    /// Heeds one request of a person, if there is one.
    pub fn look_at_verdicts(&mut self, w: &mut World) -> Result<bool> {
        let names = w.disk.list("control");
        let id = names.iter().find_map(|name| name.split_once('-')?.1.parse::<u32>().ok());
        let Some(id) = id else { return Ok(false) };
        let [approve, deny] = asked(id);
        let Some(claim) = self.pending.get(&id).cloned() else {
            return self.ignore(w, id);
        };
        let (accepted, body) = read_claim(w, &pending_dir(id)).expect("it is durable");
        if w.disk.find(&deny).is_some() {
            self.pending.remove(&id);
            self.answer_with(w, &claim, &accepted, ErrorType::NotAuthorized)?;
            forget_asked(w, id)?;
            return Ok(true);
        }
        let said = w.disk.read(&approve).cloned();
        if said != Some(Record::Said(body.uid)) && !w.lacks(Without::ApprovedBytes) {
            return self.ignore(w, id);
        }
        let durable = if w.lacks(Without::SyncOfApproval) { Durable::No } else { Durable::Yes };
        if !w.lacks(Without::Approval) {
            w.replace(&pending_dir(id), "approval.json", Record::Said(body.uid), durable)?;
            w.sync_unless(Without::SyncOfApproval, "pending")?;
        }
        w.rename(&pending_dir(id), &claim_dir(id))?;
        self.pending.remove(&id);
        self.push(w, claim);
        forget_asked(w, id)?;
        Ok(true)
    }

    /// Whoever asked for what did not wait, or meant other bytes, has to ask again; so has who asked
    /// at the very moment in which that was removed.
    fn ignore(&mut self, w: &mut World, id: u32) -> Result<bool> {
        w.truth.unsaid(id);
        forget_asked(w, id)?;
        w.truth.unsaid(id);
        Ok(true)
    }

    /// At its turn it turned out to have to wait.
    pub fn wait_in_pending(&mut self, w: &mut World, claim: Claim) {
        self.give_back(w, &claim);
        self.pending.insert(claim.id, claim);
    }
}
