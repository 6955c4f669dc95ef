//! Judges dispatches that wait once more: when Clawvisor has answered about the task of one, and
//! all of them when the settings have changed.
//!
//! What waits is read from its folder each time. A copy there that is not what was accepted never
//! runs.

use super::Intake;
use crate::effects::error::Result;
use crate::effects::store::{Contents, Room};
use crate::pure::gate::PendingRecord;
use crate::pure::gate::clawvisor::{TaskAnswer, TaskId};
use crate::pure::schedule::queue::Seq;
use crate::threads::recover_pending::CHANGED;
use crate::threads::shared::gate::{self, GateWord};

impl Intake<'_> {
    /// Judges everything that waits once more: the settings have changed.
    pub(super) fn judge_pending_anew(&mut self) {
        for waiting in self.ledger.pending.drain() {
            let seq = waiting.claim.seq;
            self.ledger.pending.add(waiting.claim, waiting.record);
            self.judge_waiting(seq);
        }
    }

    /// Clawvisor has answered. While nothing can be written it is asked again.
    pub(super) fn look_at_task(&mut self, task: &TaskId) {
        if self.halt.is_on() || !self.context.has_lock() {
            return;
        }
        for seq in self.ledger.pending.of_task(task) {
            self.judge_waiting(seq);
        }
    }

    fn judge_waiting(&mut self, seq: Seq) {
        let Some(waiting) = self.ledger.pending.get(seq) else { return };
        let (id, before) = (waiting.claim.id.clone(), waiting.record.clone());
        if waiting.claim.room == Room::Active {
            return self.go_on_if_told(seq, &before);
        }
        let judged = self.ask_about(&waiting.claim).and_then(|asked| match asked {
            Some((word, contents)) => self.heed(seq, word, &contents, before),
            // Whoever waits for a person is told so when that one approves it.
            None if before.task.is_none() => Ok(()),
            None => {
                self.refuse_waiting(&id, &CHANGED.into());
                Ok(())
            }
        });
        if let Err(e) = judged {
            self.verdict_failed(&e);
        }
    }

    fn heed(
        &mut self,
        seq: Seq,
        word: GateWord,
        contents: &Contents,
        before: PendingRecord,
    ) -> Result<()> {
        let id = &contents.dispatch.id;
        match word {
            GateWord::Runs(_) => self.release(seq)?,
            GateWord::Refused(why) => self.refuse_waiting(id, &why),
            // It waits for what it waited for until there is an answer.
            GateWord::Asks(PendingRecord { task, .. }) if before.task.is_none() => {
                self.record_anew(seq, PendingRecord { task, ..before });
            }
            GateWord::Asks(_) => {}
            GateWord::Waits(record) if record == before => {}
            GateWord::Waits(record) => {
                self.context.store.note_pending(id, &record)?;
                if record.is_news_after(&before) {
                    gate::tell_required(self.context, id, &contents.accepted, record.why);
                }
                self.record_anew(seq, record);
                self.look_at_verdict(id);
            }
        }
        Ok(())
    }

    fn record_anew(&mut self, seq: Seq, record: PendingRecord) {
        if let Some(waiting) = self.ledger.pending.take(seq) {
            self.ledger.pending.add(waiting.claim, record);
            self.is_news = true;
        }
    }

    /// What has run goes on, or is refused, at its turn, as soon as there is a word.
    fn go_on_if_told(&mut self, seq: Seq, record: &PendingRecord) {
        let answer = record.task_id().and_then(|task| self.context.authority.young(&task));
        let is_told = match (&answer, self.context.settings().clawvisor()) {
            (_, None) => true,
            (Some(TaskAnswer::NotNow(_)) | None, Some(_)) => false,
            (Some(answer), Some(_)) => !answer.is_undecided(),
        };
        if is_told && let Err(e) = self.release(seq) {
            self.verdict_failed(&e);
        }
    }
}
