//! Claims that came back from a worker because the names of their files are gone.
//!
//! Removing and renaming look alike until the whole drop zone has been scanned, so such a claim
//! waits here for a scan that began after it came back. One scan serves all that wait, and scans
//! for this come at most once a second.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::effects::store::Claim;
use crate::pure::schedule::queue::Seq;

/// Scans that look for nothing but other names are no more frequent than this.
const SCAN_EVERY: Duration = Duration::from_secs(1);

/// The claims, in the order in which they came back.
#[derive(Default)]
pub(super) struct Nameless {
    /// Each stands with how many scans there had been when it came back.
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

    /// When the scan that the newest of them waits for is due.
    pub fn next_scan(&self) -> Option<Instant> {
        let (scans, _) = self.claims.back()?;
        let is_wanted = *scans == self.scans;
        is_wanted.then(|| self.last_scan.map_or_else(Instant::now, |last| last + SCAN_EVERY))
    }

    pub fn add(&mut self, claim: Claim) {
        self.claims.push_back((self.scans, claim));
    }

    /// Takes the first claim, if there has been a scan since it came back.
    pub fn take_looked_for(&mut self) -> Option<Claim> {
        let (scans, _) = self.claims.front()?;
        if *scans == self.scans { None } else { self.claims.pop_front().map(|(_, claim)| claim) }
    }

    pub fn take(&mut self, seq: Seq) -> Option<Claim> {
        let at = self.claims.iter().position(|(_, claim)| claim.seq == seq)?;
        self.claims.remove(at).map(|(_, claim)| claim)
    }
}
