//! When Clawvisor is asked about a task: what is known of it, who wants to know more, and what
//! follows from both. Times are milliseconds on one monotonic clock.
//!
//! Only one question about a task is under way at a time. Must not ask faster than an answer that
//! was none allows, whoever wants to know.

use std::time::Duration;

use super::clawvisor::{TaskAnswer, pause_after};

/// An answer that is older starts nothing, in milliseconds.
pub const YOUNG_MS: i64 = 5_000;
/// An undecided task whose answer comes sooner than this did not wait for the decision.
const UNDECIDED_PAUSE_MS_MIN: i64 = 1_000;

/// One task, as those who ask share it.
#[derive(Debug, Default)]
pub struct TaskDesk {
    answer: Option<TaskAnswer>,
    answered_ms: i64,
    /// Somebody needs an answer that is younger than the one there is.
    is_wanted: bool,
    /// How many dispatches wait for the task.
    pub waiting: usize,
    /// How many sessions run by it.
    pub sessions: usize,
    /// How many answers in a row were none.
    failures: u32,
    not_before_ms: i64,
    is_under_way: bool,
}

/// How often a task is asked about.
#[derive(Clone, Copy, Debug)]
pub struct AskingPace<'a> {
    pub poll_ms: i64,
    pub delays: &'a [Duration],
}

/// What is to be asked next, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    pub at_ms: i64,
    /// The answer may wait for the decision.
    pub may_wait: bool,
}

impl TaskDesk {
    /// The last answer, if it is young enough to start something.
    pub fn young(&self, now_ms: i64) -> Option<&TaskAnswer> {
        self.answer.as_ref().filter(|_| now_ms - self.answered_ms <= YOUNG_MS)
    }

    /// The last answer, however old it is.
    pub fn last(&self) -> Option<&TaskAnswer> {
        self.answer.as_ref()
    }

    /// Somebody needs a young answer.
    pub fn want(&mut self) {
        self.is_wanted = true;
    }

    /// Whether nobody has any use for what is known.
    pub fn is_idle(&self, now_ms: i64) -> bool {
        let has_use = self.is_wanted || self.waiting > 0 || self.sessions > 0 || self.is_under_way;
        !has_use && self.young(now_ms).is_none() && now_ms >= self.not_before_ms
    }

    pub fn next(&self, pace: AskingPace) -> Option<Due> {
        if self.is_under_way {
            return None;
        }
        let is_decided = match &self.answer {
            None | Some(TaskAnswer::NotNow(_)) => false,
            Some(answer) => !answer.is_undecided(),
        };
        let later_ms = self.not_before_ms.max(self.answered_ms + pace.poll_ms);
        let is_undecided = self.answer.as_ref().is_some_and(TaskAnswer::is_undecided);
        let wanted = self.is_wanted.then_some((self.not_before_ms, false));
        // Whoever waits has been told what is decided, and asks again if that was not heeded.
        let at_ms = if is_decided { later_ms } else { self.not_before_ms };
        let waiting = (self.waiting > 0).then_some((at_ms, is_undecided));
        let running = (self.sessions > 0).then_some((self.first_look_ms(later_ms), false));
        let due = [wanted, waiting, running].into_iter().flatten();
        due.map(|(at_ms, may_wait)| Due { at_ms, may_wait }).min()
    }

    /// A session that was found running is looked at once, at once.
    fn first_look_ms(&self, later_ms: i64) -> i64 {
        if self.answer.is_none() { self.not_before_ms } else { later_ms }
    }

    pub fn begin(&mut self) {
        self.is_under_way = true;
    }

    /// Takes an answer. `asked`: the pause that came with it.
    pub fn take(
        &mut self,
        answer: TaskAnswer,
        (began_ms, now_ms): (i64, i64),
        asked: Option<Duration>,
        pace: AskingPace,
    ) {
        self.is_under_way = false;
        self.is_wanted = false;
        let is_none = matches!(answer, TaskAnswer::NotNow(_));
        self.failures = if is_none { self.failures.saturating_add(1) } else { 0 };
        self.not_before_ms = if is_none {
            now_ms + pause_after(self.failures, pace.delays, asked).as_millis() as i64
        } else if answer.is_undecided() {
            began_ms + UNDECIDED_PAUSE_MS_MIN
        } else {
            now_ms
        };
        self.answer = Some(answer);
        self.answered_ms = now_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::gate::clawvisor::{TaskId, read_task};

    const DELAYS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
    const PACE: AskingPace = AskingPace { poll_ms: 30_000, delays: &DELAYS };

    fn found(status: &str) -> TaskAnswer {
        let body = format!(r#"{{"id":"t","status":"{status}"}}"#);
        read_task(200, body.as_bytes(), &TaskId::parse("t").expect("an id"))
    }

    fn not_now() -> TaskAnswer {
        TaskAnswer::NotNow("no".into())
    }

    fn at(at_ms: i64, may_wait: bool) -> Option<Due> {
        Some(Due { at_ms, may_wait })
    }

    fn answered(answer: TaskAnswer, (began_ms, now_ms): (i64, i64)) -> TaskDesk {
        let mut desk = TaskDesk { waiting: 1, ..TaskDesk::default() };
        desk.begin();
        desk.take(answer, (began_ms, now_ms), None, PACE);
        desk
    }

    #[test]
    fn an_answer_is_young_for_five_seconds() {
        let desk = answered(found("active"), (0, 100));
        assert!(desk.young(5_100).is_some() && desk.young(5_101).is_none());
        assert!(desk.last().is_some());
    }

    #[test]
    fn what_waits_is_asked_at_once_and_an_undecided_task_by_a_long_poll() {
        let mut desk = TaskDesk::default();
        assert_eq!(desk.next(PACE), None);
        desk.waiting = 1;
        assert_eq!(desk.next(PACE), at(0, false));
        desk.begin();
        assert_eq!(desk.next(PACE), None);
        // One that came at once although it might have waited does not make us hammer.
        assert_eq!(answered(found("pending_approval"), (500, 510)).next(PACE), at(1_500, true));
        let held = answered(found("pending_scope_expansion"), (500, 60_500));
        assert_eq!(held.next(PACE), at(1_500, true));
        // What was decided is for intake to heed, and is said again if it was not.
        assert_eq!(answered(found("active"), (0, 100)).next(PACE), at(30_100, false));
        assert_eq!(answered(TaskAnswer::Refused(404), (0, 100)).next(PACE), at(30_100, false));
    }

    #[test]
    fn what_is_no_answer_makes_the_pause_grow_and_an_answer_ends_that() {
        let mut desk = answered(not_now(), (0, 100));
        assert_eq!(desk.next(PACE), at(1_100, false));
        desk.take(not_now(), (1_100, 1_200), None, PACE);
        assert_eq!(desk.next(PACE), at(6_200, false));
        desk.take(not_now(), (6_200, 6_300), Some(Duration::from_secs(60)), PACE);
        assert_eq!(desk.next(PACE), at(66_300, false));
        // Nobody makes it sooner.
        desk.want();
        desk.sessions = 1;
        assert_eq!(desk.next(PACE), at(66_300, false));
        desk.take(found("active"), (66_300, 66_400), None, PACE);
        desk.want();
        assert_eq!(desk.next(PACE), at(66_400, false));
        desk.take(not_now(), (66_400, 66_500), None, PACE);
        assert_eq!(desk.next(PACE), at(67_500, false));
    }

    #[test]
    fn a_running_session_is_looked_at_once_at_once_and_then_every_so_often() {
        let mut desk = TaskDesk { sessions: 1, ..TaskDesk::default() };
        assert_eq!(desk.next(PACE), at(0, false));
        desk.take(found("active"), (0, 100), None, PACE);
        assert_eq!(desk.next(PACE), at(30_100, false));
        assert!(!desk.is_idle(100_000));
        desk.sessions = 0;
        assert!(desk.next(PACE).is_none() && desk.is_idle(100_000) && !desk.is_idle(200));
    }
}
