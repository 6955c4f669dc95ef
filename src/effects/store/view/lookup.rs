//! An id by its beginning: among all that stands on disk, `dispatch-` may be left out, and an exact
//! id wins.

use std::collections::BTreeSet;

use super::View;
use super::names::{ids_of, json_ids_of};
use crate::effects::error::Result;
use crate::effects::store::Room;
use crate::pure::dispatch::DispatchId;
use crate::pure::record::facts::DispatchFacts;
use crate::pure::text::nearest::nearest;

const PREFIX: &str = "dispatch-";

/// What an id that somebody typed leads to.
#[derive(Debug)]
pub enum Lookup {
    Found(Box<DispatchFacts>),
    /// More than one begins so.
    Several(Vec<DispatchId>),
    /// None does; the one that was probably meant.
    None(Option<DispatchId>),
}

impl View<'_> {
    pub fn look_up(&self, typed: &str) -> Result<Lookup> {
        for exact in [typed.to_string(), format!("{PREFIX}{typed}")] {
            if let Some(id) = DispatchId::parse(&exact)
                && let Some(facts) = self.find(&id)?
            {
                return Ok(Lookup::Found(Box::new(facts)));
            }
        }
        let all = self.all_ids()?;
        let begins = |id: &&DispatchId| {
            let text = id.as_str();
            text.starts_with(typed)
                || text.strip_prefix(PREFIX).is_some_and(|t| t.starts_with(typed))
        };
        let found: Vec<DispatchId> =
            all.iter().filter(begins).filter(|_| !typed.is_empty()).cloned().collect();
        match found.as_slice() {
            [] => {
                let short = typed.strip_prefix(PREFIX).unwrap_or(typed);
                let names = all.iter().filter_map(|id| id.as_str().strip_prefix(PREFIX));
                let meant = nearest(short, names);
                let meant = meant.and_then(|name| DispatchId::parse(&format!("{PREFIX}{name}")));
                Ok(Lookup::None(meant))
            }
            // It may be gone by now: a file that was refused, or a report that was pruned.
            [id] => Ok(match self.find(id)? {
                Some(facts) => Lookup::Found(Box::new(facts)),
                None => Lookup::None(None),
            }),
            _ => Ok(Lookup::Several(found)),
        }
    }

    /// Every id that stands on disk.
    fn all_ids(&self) -> Result<BTreeSet<DispatchId>> {
        let mut all = BTreeSet::new();
        let mut inbox = Vec::new();
        self.each_inbox_name(&mut |name, _| inbox.push(name))?;
        for room in [Room::Pending, Room::Active, Room::Pending] {
            all.extend(self.ids_in(room)?);
        }
        all.extend(ids_of(&self.store.started)?);
        all.extend(ids_of(&self.store.finished)?);
        all.extend(json_ids_of(self.store.completed.path())?);
        for name in inbox {
            // A file is mostly named after its dispatch, and a claim has that name.
            let named =
                name.to_str().and_then(|name| DispatchId::parse(name.strip_suffix(".json")?));
            if named.is_none_or(|id| !all.contains(&id)) {
                all.extend(self.inbox_file(&name).and_then(|facts| facts.id));
            }
        }
        for name in self.rejected_names()? {
            all.extend(self.rejected_id(&name));
        }
        Ok(all)
    }
}
