//! `approve`: shows a dispatch that waits, whole, and asks the daemon to run just these bytes.
//!
//! What is shown is what is approved: the digest is that of the bytes that were read for it. The
//! daemon compares it with what was accepted, so that nothing changes in between. Everything that a
//! sender wrote is shown so that it cannot move the cursor or hide.

use std::fmt;
use std::io::{IsTerminal, Write};

use serde_json::{Value, json};

use super::out::{Out, Reply};
use super::{Place, Refusal, lookup};
use crate::effects::store::Room;
use crate::pure::callback::destination::Origin;
use crate::pure::command::code::Code;
use crate::pure::command::typed::Typed;
use crate::pure::command::verdict::{ApproveCall, Consent};
use crate::pure::dispatch::{Dispatch, DispatchId};
use crate::pure::gate::PendingRecord;
use crate::pure::gate::signature::Signed;
use crate::pure::human::look::Look;
use crate::pure::report::SignatureForm;
use crate::pure::text::digest::sha256_hex;
use crate::pure::text::escape;

/// A dispatch that waits, and what stands in the way of running it.
#[derive(Debug)]
struct WaitingForYes {
    dispatch: Dispatch,
    signed: Option<Signed>,
    record: PendingRecord,
    sha256: String,
}

/// The end of a dispatch's wait, as far as a command can say.
#[derive(Debug)]
struct Approved {
    id: DispatchId,
    sha256: String,
}

impl Reply for Approved {
    fn text(&self, _: &Look) -> String {
        format!("approved {}\n", self.id)
    }

    fn json(&self) -> Value {
        json!({ "id": self.id.as_str(), "approved": true, "sha256": self.sha256 })
    }
}

/// Shows what waits before anybody says yes to it.
pub fn run(typed: &Typed, place: &Place, out: &Out) -> Result<Code, Refusal> {
    let call = ApproveCall::of(typed).map_err(Refusal::WrongUsage)?;
    place.may_act()?;
    let id = lookup::id_of(&lookup::one(&place.view(), &typed.words[0])?)?;
    let waiting = look(place, &id)?;
    match out.is_json {
        // Stdout has one document, and whoever is asked sees on the terminal what it is about.
        true if call.consent == Consent::Asked => {
            let _ = write!(std::io::stderr(), "{waiting}");
        }
        true => {}
        false => out.text(&waiting.to_string())?,
    }
    if call.consent == Consent::Asked && !is_agreed()? {
        return Err(Refusal::NotDone("nothing is approved".into()));
    }
    out.answer(&waiting.approve(place, &call.consent)?)?;
    Ok(Code::Done)
}

fn is_agreed() -> Result<bool, Refusal> {
    if !std::io::stdin().is_terminal() {
        let why = "nobody can be asked without a terminal: say --yes, or --digest SHA256";
        return Err(Refusal::WrongUsage(why.into()));
    }
    let _ = write!(std::io::stderr(), "approve? [y/N] ");
    let mut said = String::new();
    let read = std::io::stdin().read_line(&mut said);
    read.map_err(|e| Refusal::NotDone(format!("cannot read the answer: {e}")))?;
    Ok(matches!(said.trim(), "y" | "Y" | "yes"))
}

/// Reads what waits under that id.
fn look(place: &Place, id: &DispatchId) -> Result<WaitingForYes, Refusal> {
    let (_, drivers) = place.settings().map_err(Refusal::NotDone)?;
    let Some(record) = place.store.pending_record(id).map_err(Refusal::not_done)? else {
        return Err(Refusal::NotDone(format!("{id} does not wait for approval")));
    };
    let names = drivers.names_of_accepted();
    let contents = place.store.read_claim(id, Room::Pending, names).map_err(Refusal::not_done)?;
    let contents = contents.filter(|read| sha256_hex(&read.bytes) == read.accepted.sha256);
    let Some(contents) = contents else {
        let why = format!("the copy of {id} in pending/ was changed: it never runs");
        return Err(Refusal::NotDone(why));
    };
    let (signed, sha256) = (contents.accepted.signed, contents.accepted.sha256);
    Ok(WaitingForYes { dispatch: contents.dispatch, signed, record, sha256 })
}

impl WaitingForYes {
    /// Asks the daemon to run it. Whoever has to be asked has said yes by now.
    fn approve(&self, place: &Place, consent: &Consent) -> Result<Approved, Refusal> {
        let id = &self.dispatch.id;
        if !self.record.why.ends_by_approval() {
            let why = self.record.why.name();
            return Err(Refusal::NotDone(format!(
                "{id} waits for Clawvisor ({why}), and only Clawvisor can let it run"
            )));
        }
        match consent {
            Consent::Digest(digest) if *digest != self.sha256 => {
                return Err(Refusal::NotDone(format!(
                    "the bytes of {id} that wait have another digest: {}",
                    self.sha256
                )));
            }
            Consent::Digest(_) | Consent::Yes | Consent::Asked => {}
        }
        place.store.ask_approval(id, &self.sha256).map_err(Refusal::not_done)?;
        Ok(Approved { id: id.clone(), sha256: self.sha256.clone() })
    }

    fn callback(&self) -> String {
        let url = self.dispatch.callback_url.as_deref();
        url.map_or("none".into(), |url| match Origin::of_url(url) {
            Ok(origin) => origin.to_string(),
            Err(why) => format!("none: {why}"),
        })
    }

    fn signature(&self) -> String {
        let Some(Signed { form, kid, .. }) = &self.signed else { return "none".into() };
        let form = match form {
            SignatureForm::Strong => "strong",
            SignatureForm::Seed => "seed",
            SignatureForm::Unchecked => "unchecked",
        };
        let kid = kid.as_ref().map(|kid| format!(" {kid}")).unwrap_or_default();
        format!("{form}{kid}")
    }
}

impl fmt::Display for WaitingForYes {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Dispatch { id, dispatched_by, target_agent, project, ttl_seconds, .. } = &self.dispatch;
        let task_id = self.dispatch.clawvisor_task_id.as_deref().unwrap_or("none");
        for (label, value) in [
            ("dispatch", id.as_str()),
            ("from", dispatched_by),
            ("agent", target_agent),
            ("project", project),
            ("directory", &self.record.dir),
            ("ttl", &format!("{ttl_seconds} s")),
            ("callback", &self.callback()),
            ("clawvisor", task_id),
            ("signature", &self.signature()),
            ("waits", self.record.why.name()),
            ("sha256", &self.sha256),
        ] {
            writeln!(f, "{label:<9} {}", escape::line(value))?;
        }
        write_whole(f, "task", std::slice::from_ref(&self.dispatch.task))?;
        write_whole(f, "constraints", &self.dispatch.constraints)?;
        write_whole(f, "learnings", &self.dispatch.learnings)
    }
}

/// Each text to its end, each of its lines behind a bar, so that none can pass for one of ours.
fn write_whole(f: &mut fmt::Formatter, label: &str, texts: &[String]) -> fmt::Result {
    if texts.is_empty() {
        return Ok(());
    }
    writeln!(f, "{label}")?;
    for line in texts.iter().flat_map(|text| text.split('\n')) {
        writeln!(f, "  | {}", escape::line(line))?;
    }
    Ok(())
}
