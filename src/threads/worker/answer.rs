//! How a worker answers its dispatch: with what the attempts came to, or without another session if
//! none can run or none may. `conclude` writes the answer itself.
//!
//! What this worker saw comes before what the records say, since a session can reach the records.

use super::{Course, Worker, back};
use crate::effects::clock;
use crate::effects::error::Error;
use crate::effects::store::Claim;
use crate::pure::attempt::build_report;
use crate::pure::attempt::record::AttemptEnd;
use crate::pure::gate::{GateRefusal, PendingRecord};
use crate::pure::report::{AttemptReport, ErrorType, Status};
use crate::threads::conclude::{Answering, earlier_attempts};
use crate::threads::events::Event;
use crate::threads::shared::gate;
use crate::threads::shared::persist::{Unwritten, persist};

const RECORDS_GONE: &str =
    "its records are gone or damaged: it may have run, and is not run (again)";

impl Worker<'_> {
    /// Answers a dispatch that nobody can run any more, since nothing says what it was.
    pub(super) fn answer_remains(&self, claim: Claim, warning: Option<String>) -> Event {
        let (id, now_ms) = (&claim.id, clock::unix_ms());
        let told = (ErrorType::Interrupted, RECORDS_GONE);
        let report = build_report::to_remains(id, claim.agent, &claim.project, told, now_ms);
        self.see_through(Answering::new(claim, None, report).with(warning))
    }

    /// Answers a dispatch when it is known what it was, but not how far it came.
    pub(super) fn answer_records_gone(&self, course: Course) -> Event {
        self.answer_without(course, Status::Failed, ErrorType::Interrupted, RECORDS_GONE)
    }

    /// Answers a dispatch that was cancelled while it waited for its first or its next attempt.
    pub(super) fn cancelled(&self, course: Course) -> Event {
        let (status, kind) = (Status::Cancelled, ErrorType::Cancelled);
        self.answer_without(course, status, kind, "cancelled before it ran")
    }

    /// Answers a dispatch that may not run (again).
    pub(super) fn refuse(&self, course: Course, why: GateRefusal) -> Event {
        gate::tell_refused(self.context, course.id(), &why);
        self.answer_without(course, Status::Failed, ErrorType::NotAuthorized, &why.error)
    }

    /// Puts a dispatch of which nothing has run (back) into `pending/`. Intake keeps it there.
    pub(super) fn wait_for_approval(&self, mut course: Course, record: PendingRecord) -> Event {
        if !record.is_untold {
            let accepted = &course.contents.accepted;
            gate::tell_required(self.context, &course.claim.id, accepted, record.why);
        }
        match self.context.store.move_to_pending(&mut course.claim, &record) {
            Ok(()) => Event::Waits { claim: course.claim, record },
            Err(e) if e.fault().is_everywhere() => back(course.claim, &e),
            Err(e) => self.answer_damaged(course, &e),
        }
    }

    /// What its last attempt came to is the answer.
    pub(super) fn answer(&self, course: Course, end: AttemptEnd) -> Event {
        let Some(earlier) = self.earlier(&course, end.attempt.attempt) else {
            return Event::Left { id: course.id().clone() };
        };
        let answering =
            Answering::of_attempts(self.context, course.claim, course.contents, earlier, end);
        self.see_through(answering)
    }

    /// Answers without another session. This worker may have seen none of the attempts.
    pub(super) fn answer_without(
        &self,
        mut course: Course,
        status: Status,
        kind: ErrorType,
        error: &str,
    ) -> Event {
        let left = Event::Left { id: course.id().clone() };
        let last = match course.ended.pop() {
            Some(end) => Some(end),
            None => match persist(self.context, || self.context.store.last_end(course.id())) {
                Ok(last) => last,
                Err(Unwritten::DaemonEnds) => return left,
                Err(Unwritten::Own(e)) => {
                    log::warn!("{e}: its earlier attempts are not known");
                    None
                }
            },
        };
        let number = last.as_ref().map_or(1, |end| end.attempt.attempt);
        let Some(earlier) = self.earlier(&course, number) else { return left };
        let told = (status, kind, error);
        let Course { claim, contents, warnings, .. } = course;
        let answering =
            Answering::without_session(self.context, claim, contents, earlier, last, told);
        self.see_through(answering.with(warnings))
    }

    /// Sees an answer through, for as long as `persist` tries. Gives what intake is to be told.
    pub(super) fn see_through(&self, mut answering: Answering) -> Event {
        let id = answering.id().clone();
        if !answering.is_ours(self.context) {
            return Event::Left { id };
        }
        match persist(self.context, || answering.advance(self.context)) {
            Ok(()) => Event::Closed { id },
            Err(Unwritten::DaemonEnds) => Event::Left { id },
            Err(Unwritten::Own(e)) => {
                Event::Parked { answering: Box::new(answering), error: e.to_string() }
            }
        }
    }

    /// Answers a dispatch whose folder cannot be used, so that no attempt can begin. What an
    /// earlier attempt came to is the answer, if there was one.
    pub(super) fn answer_damaged(&self, mut course: Course, e: &Error) -> Event {
        log::error!("{}: {e}", course.id());
        let Some(mut end) = course.ended.pop() else {
            let error = format!("it could not be started: {e}");
            return self.answer_without(course, Status::Failed, ErrorType::SpawnFailed, &error);
        };
        end.ending.warnings.push(format!("it is not tried again: {e}"));
        self.answer(course, end)
    }

    /// How the attempts before that number ended: from memory, and those of an earlier daemon from
    /// their records. `None` if the daemon is being ended.
    fn earlier(&self, course: &Course, number: u32) -> Option<Vec<AttemptReport>> {
        let seen = course.ended.iter().filter(|end| end.attempt.attempt < number);
        let seen: Vec<AttemptReport> = seen.map(|end| end.attempt.clone()).collect();
        let first_seen = seen.first().map_or(number, |attempt| attempt.attempt);
        if first_seen <= 1 {
            return Some(seen);
        }
        match persist(self.context, || earlier_attempts(self.context, course.id(), first_seen)) {
            Ok(earlier) => Some(earlier.into_iter().chain(seen).collect()),
            Err(Unwritten::DaemonEnds) => None,
            Err(Unwritten::Own(e)) => {
                log::warn!("{e}: its earlier attempts are not known");
                Some(seen)
            }
        }
    }
}
