//! Says on stderr what a dispatch waits for that is followed, once for each reason.
//!
//! To know that, all that is open has to be read, so that it is done seldom, and only while no
//! session is at work.

use crate::commands::Refusal;
use crate::commands::out::Out;
use crate::commands::overview::Overview;
use crate::effects::clock;
use crate::effects::store::View;
use crate::pure::record::facts::DispatchFacts;
use crate::pure::record::waits::WaitReason;

/// How long it is between two times at the least, in milliseconds.
const TOLD_EVERY_MS: i64 = 1000;
/// And at most this part of the time goes into that.
const TOLD_PART: i64 = 50;

#[derive(Default)]
pub struct Reason {
    told: Option<WaitReason>,
    next_ms: i64,
}

impl Reason {
    pub fn tell(&mut self, view: &View, facts: &DispatchFacts, out: &Out) -> Result<(), Refusal> {
        let now_ms = clock::monotonic_ms();
        let last = facts.open().and_then(|open| open.last.as_ref());
        let is_at_work = last.is_some_and(|last| last.next().is_none());
        if is_at_work || now_ms < self.next_ms {
            return Ok(());
        }
        let record = Overview::read(view)?.record(facts);
        let cost_ms = clock::monotonic_ms() - now_ms;
        self.next_ms = now_ms + TOLD_EVERY_MS.max(cost_ms * TOLD_PART);
        let Some(waits) = record.waits_for.filter(|waits| Some(waits.what) != self.told) else {
            return Ok(());
        };
        out.note(&format!("{}: {}", record.id.unwrap_or_default(), waits.text));
        self.told = Some(waits.what);
        Ok(())
    }
}
