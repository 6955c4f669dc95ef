//! Claims that came back from a worker because the names of their files are gone.
//!
//! Removing and renaming look alike until the whole drop zone has been looked through: so such a
//! claim waits here for a scan that began after that. One scan serves all that wait, and scans for
//! this come at most once a second.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::effects::store::Claim;
use crate::pure::schedule::queue::Seq;

/// Scans that look for nothing but other names are no more frequent.
const SCAN_EVERY: Duration = Duration::from_secs(1);

/// The claims, in the order in which they came back.
#[derive(Default)]
pub(super) struct Nameless {
    /// Each stands with how many scans there had been by then.
    claims: VecDeque<(u64, Claim)>,
    scans: u64,
    last_scan: Option<Instant>,
}

impl Nameless {
    pub fn len(&self) -> usize {
        self.claims.len()
    }

    /// A scan that may fail begins.
    pub fn begin_scan(&mut self) {
        self.last_scan = Some(Instant::now());
    }

    /// The names in the drop zone have been read.
    pub fn scanned(&mut self) {
        self.scans += 1;
        self.begin_scan();
    }

    /// When the scan is due that the newest of them waits for.
    pub fn next_scan(&self) -> Option<Instant> {
        let (scans, _) = self.claims.back()?;
        let is_wanted = *scans == self.scans;
        is_wanted.then(|| self.last_scan.map_or_else(Instant::now, |last| last + SCAN_EVERY))
    }

    pub fn add(&mut self, claim: Claim) {
        self.claims.push_back((self.scans, claim));
    }

    /// Takes the first claim for which there has been a scan since.
    pub fn take_looked_for(&mut self) -> Option<Claim> {
        let (scans, _) = self.claims.front()?;
        if *scans == self.scans { None } else { self.claims.pop_front().map(|(_, claim)| claim) }
    }

    pub fn take(&mut self, seq: Seq) -> Option<Claim> {
        let at = self.claims.iter().position(|(_, claim)| claim.seq == seq)?;
        self.claims.remove(at).map(|(_, claim)| claim)
    }
}
