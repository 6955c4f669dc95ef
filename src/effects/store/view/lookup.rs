//! An id by its beginning: among all that stands on disk, `dispatch-` may be left out, and an exact
//! id wins.

use std::collections::BTreeSet;

use super::View;
use super::names::{ids_of, is_dir, json_ids_of};
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
        let begins = |id: &DispatchId| {
            let text = id.as_str();
            text.starts_with(typed)
                || text.strip_prefix(PREFIX).is_some_and(|t| t.starts_with(typed))
        };
        let found = match typed {
            "" => Vec::new(),
            _ => Vec::from_iter(self.ids_that(&begins)?),
        };
        match found.as_slice() {
            [] => {
                let all = self.ids_that(&|_| true)?;
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

    /// Every id that stands on disk and is `wanted`.
    fn ids_that(&self, wanted: &dyn Fn(&DispatchId) -> bool) -> Result<BTreeSet<DispatchId>> {
        let mut all = BTreeSet::new();
        let mut inbox = Vec::new();
        self.each_inbox_name(&mut |name, _| inbox.push(name))?;
        let mut add = |ids: Vec<DispatchId>| all.extend(ids.into_iter().filter(|id| wanted(id)));
        for room in [Room::Pending, Room::Active, Room::Pending] {
            add(self.ids_in(room)?);
        }
        add(ids_of(&self.store.started)?);
        add(ids_of(&self.store.finished)?);
        add(json_ids_of(self.store.completed.path())?);
        for name in self.rejected_names()? {
            add(self.rejected_id(&name).into_iter().collect());
        }
        for name in inbox {
            // A file is mostly named after its dispatch, and a claim has that name.
            let named =
                name.to_str().and_then(|name| DispatchId::parse(name.strip_suffix(".json")?));
            let is_claim = |id: &DispatchId| is_dir(&self.store.dir_in(id, Room::Active));
            if !named.is_some_and(|id| all.contains(&id) || is_claim(&id)) {
                all.extend(
                    self.inbox_file(&name).and_then(|facts| facts.id).filter(|id| wanted(id)),
                );
            }
        }
        Ok(all)
    }
}
