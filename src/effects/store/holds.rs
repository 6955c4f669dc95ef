//! The holds on disk, `holds.json`: which agent waits until when. This module reads and writes the
//! file and decides nothing. The file is replaced whole and durably, so that neither a crash nor a
//! power cut lets a held agent start.

use super::Store;
use super::disk::files::{self, Durable, Record};
use crate::effects::error::Result;
use crate::pure::schedule::hold::Saved;

const NAME: &str = "holds.json";

impl Store {
    /// Reads the holds. A file that says nothing sensible is no hold.
    pub fn read_holds(&self) -> Saved {
        match files::read_record(&self.own.join(NAME)) {
            Ok(Record::Read(saved)) => saved,
            Ok(Record::Absent | Record::Unreadable) => Saved::default(),
            Err(e) => {
                log::error!("holds are not known: {e}");
                Saved::default()
            }
        }
    }

    pub fn write_holds(&self, saved: &Saved) -> Result<()> {
        let bytes = files::to_json(saved, &self.own.join(NAME))?;
        self.asides.replace(&self.own, NAME, "holds", &bytes, Durable::Yes)
    }
}
