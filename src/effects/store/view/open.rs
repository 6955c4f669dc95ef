//! All open dispatches, in one look that none of them escapes.
//!
//! The inbox is listed first and read last: what is accepted meanwhile is found in `active/`, and
//! what a claim names is not read a second time.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;

use super::View;
use super::names::{ids_of, is_dir};
use crate::effects::error::Result;
use crate::effects::store::Room;
use crate::pure::dispatch::DispatchId;
use crate::pure::record::facts::{DispatchFacts, Stage};

impl View<'_> {
    /// Everything that has not ended, and what ended while this was read.
    pub fn all_open(&self) -> Result<Vec<DispatchFacts>> {
        let mut inbox: Vec<(OsString, u64)> = Vec::new();
        self.each_inbox_name(&mut |name, ino| inbox.push((name, ino)))?;
        let mut found: BTreeMap<DispatchId, DispatchFacts> = BTreeMap::new();
        let mut named: HashSet<(OsString, u64)> = HashSet::new();
        self.add_claims(&mut found, &mut named)?;
        let mut nameless = Vec::new();
        for entry in inbox {
            if named.contains(&entry) {
                continue;
            }
            let Some(facts) = self.inbox_file(&entry.0) else { continue };
            match facts.id.clone() {
                Some(id) => drop(found.entry(id).or_insert(facts)),
                None => nameless.push(facts),
            }
        }
        // What was taken out of the inbox meanwhile is there now.
        self.add_claims(&mut found, &mut named)?;
        let mut all = nameless;
        for (id, facts) in found {
            all.extend(self.unless_answered(&id, facts)?);
        }
        Ok(all)
    }

    /// Adds what lies in `pending/` and `active/`, or was there a moment ago.
    fn add_claims(
        &self,
        found: &mut BTreeMap<DispatchId, DispatchFacts>,
        named: &mut HashSet<(OsString, u64)>,
    ) -> Result<()> {
        for room in [Room::Pending, Room::Active, Room::Pending] {
            for id in self.ids_in(room)? {
                if found.get(&id).is_some_and(|facts| facts.progress() > IN_INBOX) {
                    continue;
                }
                let facts = match self.claim(&id, room)? {
                    Some(facts) => Some(facts),
                    None => self.find(&id)?,
                };
                named.extend(facts.as_ref().and_then(|facts| facts.inbox_file.clone()));
                found.extend(facts.map(|facts| (id, facts)));
            }
        }
        for id in ids_of(&self.store.started)? {
            if !found.contains_key(&id)
                && let Some(facts) = self.find(&id)?
            {
                found.insert(id, facts);
            }
        }
        Ok(())
    }

    /// A file of the inbox whose dispatch is answered is about to go, or brings the id again.
    fn unless_answered(
        &self,
        id: &DispatchId,
        facts: DispatchFacts,
    ) -> Result<Option<DispatchFacts>> {
        if !matches!(facts.stage, Stage::Inbox { .. }) {
            return Ok(Some(facts));
        }
        let is_answered = is_dir(&self.store.finished_dir(id)) || self.published(id)?.is_some();
        Ok((!is_answered).then_some(facts))
    }

    /// The ids that have a folder there.
    pub(super) fn ids_in(&self, room: Room) -> Result<Vec<DispatchId>> {
        let dir = match room {
            Room::Active => self.store.active.path(),
            Room::Pending => &self.store.pending,
        };
        ids_of(dir)
    }
}

/// How far a dispatch is whose file is only in the inbox.
const IN_INBOX: u8 = 1;
