//! `submit`: drops a dispatch. Everything that the daemon would refuse is refused here, before
//! anything is dropped; what was dropped is durable when its id is printed.

use serde_json::{Value, json};

use super::out::{Out, Reply};
use super::running::Running;
use super::sending::{Sender, TOO_LARGE};
use super::{Place, Refusal};
use crate::effects::project;
use crate::effects::random;
use crate::effects::store::read_document;
use crate::pure::command::code::Code;
use crate::pure::command::submit::{SubmitCall, TextSource};
use crate::pure::command::typed::Typed;
use crate::pure::dispatch::draft::{
    DraftDefaults, TypedField, draft, drawn_id, names_id, option_at_fault,
};
use crate::pure::dispatch::{DispatchId, FILE_BYTES_MAX};
use crate::pure::human::look::Look;
use crate::pure::liveness::Liveness;

/// A dispatch that was dropped.
pub(super) struct Submitted {
    pub id: DispatchId,
    pub inbox_file: String,
    pub daemon: Liveness,
    pub retry_of: Option<DispatchId>,
}

impl Reply for Submitted {
    fn text(&self, _: &Look) -> String {
        format!("{}\n", self.id)
    }

    fn json(&self) -> Value {
        let (id, daemon) = (self.id.as_str(), self.daemon.name());
        let mut json = json!({ "id": id, "inbox_file": self.inbox_file, "daemon": daemon });
        if let Some(old) = &self.retry_of {
            json["retry_of"] = json!(old.as_str());
        }
        json
    }
}

pub fn run(typed: &Typed, place: &Place, out: &Out) -> Result<Code, Refusal> {
    let call = SubmitCall::of(typed).map_err(Refusal::WrongUsage)?;
    let submitted = submit(place, call)?;
    tell(&submitted, place, out)?;
    Ok(Code::Done)
}

/// Prints what was dropped, and who is to take it up.
pub(super) fn tell(submitted: &Submitted, place: &Place, out: &Out) -> Result<(), Refusal> {
    if !submitted.daemon.is_there() {
        out.note("no daemon runs: it waits for one");
    } else if submitted.daemon == Liveness::Drain {
        out.note("the daemon stops: it waits for the next one");
    } else if place.store.pause().is_ok_and(|pause| pause.is_some()) {
        out.note("the daemon is paused: it waits for `resume`");
    }
    out.answer(submitted)
}

fn submit(place: &Place, call: SubmitCall) -> Result<Submitted, Refusal> {
    let SubmitCall { document, task, project_dir, mut fields, kid } = call;
    let document = document.map(|source| read_text(&source)).transpose()?;
    if let Some(task) = task {
        let task = read_text(&task)?;
        let value = task.trim_end_matches(['\n', '\r']).into();
        fields.push(TypedField { option: "--task", key: "task", value });
    }
    let dir = project_dir.map(|dir| project::from_root(&dir)).transpose();
    let dir = dir.map_err(|e| Refusal::WrongUsage(format!("--project-dir: {e}")))?;
    fields.extend(dir.map(|dir| TypedField {
        option: "--project-dir",
        key: "project_dir",
        value: dir.into(),
    }));
    let sender = Sender::new(place, kid)?;
    check_options(&sender, &fields)?;
    let is_typed = |key: &str| fields.iter().any(|field| field.key == key);
    // Bytes that nobody replaced go in as they are.
    let as_it_is = document.as_deref().filter(|_| fields.is_empty()).map(String::from);
    let is_named = is_typed("id") || document.as_deref().is_some_and(names_id);
    let here = project::from_root(".").map_err(Refusal::NotDone)?;
    loop {
        let text = match &as_it_is {
            Some(text) => text.clone(),
            None => draft(
                document.as_deref(),
                &fields,
                &DraftDefaults {
                    id: drawn_id(&random::bytes()),
                    dispatched_by: place.user(),
                    project_dir: here.clone(),
                },
            ),
        };
        let ready = sender.prepare(text)?;
        sender.check_dir(&ready.dispatch).map_err(|e| match is_typed("project_dir") {
            true => Refusal::WrongUsage(format!("--project-dir: {e}")),
            false => Refusal::NotDone(e),
        })?;
        let id = ready.dispatch.id.clone();
        if let Some(path) = sender.drop_if_free(&ready)? {
            let daemon = Running::look(place)?.liveness;
            let inbox_file = path.display().to_string();
            return Ok(Submitted { id, inbox_file, daemon, retry_of: None });
        }
        if is_named {
            let why = format!("{id} has been dispatched before: use a new id");
            return Err(match is_typed("id") {
                true => Refusal::WrongUsage(format!("--id: {why}")),
                false => Refusal::NotDone(why),
            });
        }
    }
}

fn check_options(sender: &Sender, fields: &[TypedField]) -> Result<(), Refusal> {
    match option_at_fault(fields, |text| sender.parse(text).map(drop)) {
        Some((option, why)) => Err(Refusal::WrongUsage(format!("{option}: {why}"))),
        None => Ok(()),
    }
}

fn read_text(source: &TextSource) -> Result<String, Refusal> {
    let path = match source {
        TextSource::Stdin => None,
        TextSource::File(path) => Some(path.as_path()),
    };
    let bytes = read_document(path).map_err(Refusal::not_done)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Refusal::not_done(TOO_LARGE));
    }
    String::from_utf8(bytes).map_err(|e| {
        let name = path.map_or("stdin".into(), |path| path.display().to_string());
        Refusal::NotDone(format!("{name} is not UTF-8: {e}"))
    })
}
