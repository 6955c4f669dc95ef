//! `run --once`: whether what is there has been worked off, so that the daemon may end by itself.
//!
//! A session that runs, a retry that backs off, a file that may be half-written are worked off.
//! What waits for a person, for a time, or for the machine is left on disk: the next run looks at
//! it again, and a run that waited for it might never end.

use super::{Intake, Pace};
use crate::pure::command::run::RunUntil;

impl Intake<'_> {
    /// Asks the daemon to stop if it was to work off what is there, and nothing is left that it
    /// could do now. `may_hand_out`: something waits that can start.
    pub(super) fn stop_if_worked_off(&mut self, pace: Pace, may_hand_out: bool) {
        let is_over = self.context.until == RunUntil::WorkedOff
            && pace == Pace::Idle
            && !may_hand_out
            && self.ledger.active_count() == 0
            && self.ledger.nameless.len() == 0
            && self.events.is_empty()
            && self.inbox.settling.next_due().is_none();
        if is_over && self.context.level.raise_to_drain() {
            let (queued, pending) = (self.ledger.waiting_count(), self.ledger.pending.len());
            log::info!("worked off; {queued} queued, {pending} pending");
        }
    }
}
