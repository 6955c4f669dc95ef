//! Finds the dispatches that were typed by the beginning of their ids, before anything is done for
//! any of them.

use std::ffi::OsString;

use super::Refusal;
use crate::effects::store::{Lookup, View};
use crate::pure::dispatch::DispatchId;
use crate::pure::record::Record;
use crate::pure::record::condition::DaemonFacts;
use crate::pure::record::facts::DispatchFacts;
use crate::pure::record::waits::Peers;

/// How many of several that begin alike are named.
const NAMED_MAX: usize = 10;

/// One dispatch.
pub fn one(view: &View, typed: &OsString) -> Result<DispatchFacts, Refusal> {
    let typed = typed.to_string_lossy();
    match view.look_up(&typed).map_err(Refusal::not_done)? {
        Lookup::Found(facts) => Ok(*facts),
        Lookup::Several(ids) => Err(several(view, &typed, &ids)?),
        Lookup::None(meant) => {
            let nearest = meant.map(|id| format!("; the nearest: {id}"));
            let nearest = nearest.unwrap_or_else(|| "; `list` shows those that there are".into());
            let why = format!("no dispatch begins with \"{typed}\"{nearest}");
            Err(Refusal::NoSuchDispatch { why, others: Vec::new() })
        }
    }
}

/// Its id. Everything but a file of the inbox without one has an id, and that cannot be typed.
pub fn id_of(facts: &DispatchFacts) -> Result<DispatchId, Refusal> {
    facts.id.clone().ok_or_else(|| Refusal::NotDone("its file holds no id".into()))
}

fn several(view: &View, typed: &str, ids: &[DispatchId]) -> Result<Refusal, Refusal> {
    let mut records = Vec::new();
    for id in ids {
        let facts = view.find(id).map_err(Refusal::not_done)?;
        records.extend(
            facts.map(|facts| Record::new(&facts, &DaemonFacts::default(), &Peers::default())),
        );
    }
    records.sort_by(|one, two| newest(two).cmp(&newest(one)));
    let line = |record: &Record| format!("{}  {}", record.shown_id(), record.shown_state().name());
    let mut others: Vec<String> = records.iter().take(NAMED_MAX).map(line).collect();
    if records.len() > NAMED_MAX {
        others.push(format!("… {} more", records.len() - NAMED_MAX));
    }
    let why = format!("{} dispatches begin with \"{typed}\"; type more of the id:", records.len());
    Ok(Refusal::NoSuchDispatch { why, others })
}

fn newest(record: &Record) -> Option<&str> {
    record.finished_at.as_deref().max(record.accepted_at.as_deref())
}
