//! When we end a running session: one function of what was seen of it and how long it may go on.
//!
//! Owns the order of the reasons. Must not look at anything itself: times are milliseconds of the
//! monotonic clock, taken by whoever looks. Silence is no proof of a hang, since a build may print
//! nothing for an hour; so it counts only together with processors that stand still, and only where
//! the operator asked for it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::pure::agent::Summary;
use crate::pure::config::Settings;
use crate::pure::config::launcher::Launcher;
use crate::pure::gate::clawvisor::TaskEnd;

/// Why *we* ended a session. It is recorded before our first signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopCause {
    Ttl,
    Cancelled,
    Shutdown,
    /// There was no output and no use of the processor.
    Stalled,
    /// There was no event at its start.
    StartTimeout,
    /// There was too much on stdout or on stderr.
    OutputLimit,
    /// The session had given its result, and did not exit.
    ResultGrace,
    /// There was too much in its temporary directory.
    TmpLimit,
    /// The launcher's engine let it wait too long, without an event.
    QueueTimeout,
    /// The session had begun, and its model never said a word.
    Unanswered,
    /// Its task in Clawvisor was revoked, denied or cancelled.
    TaskRevoked,
    TaskDenied,
    TaskCancelled,
}

impl StopCause {
    /// The cause as the log words it.
    pub fn words(self) -> &'static str {
        match self {
            StopCause::Ttl => "its time to live is over",
            StopCause::Cancelled => "it is cancelled",
            StopCause::Shutdown => "the daemon is being stopped",
            StopCause::Stalled => "it neither writes nor works",
            StopCause::StartTimeout => "it has said nothing since its start",
            StopCause::OutputLimit => "it wrote too much",
            StopCause::ResultGrace => "it has answered and does not go",
            StopCause::TmpLimit => "its temporary directory takes up too much",
            StopCause::QueueTimeout => "it has waited too long for its engine",
            StopCause::Unanswered => "its model has not said a word",
            StopCause::TaskRevoked => "its task in Clawvisor was revoked",
            StopCause::TaskDenied => "its task in Clawvisor was denied",
            StopCause::TaskCancelled => "its task in Clawvisor was cancelled",
        }
    }

    pub fn of_task(end: TaskEnd) -> StopCause {
        match end {
            TaskEnd::Revoked => StopCause::TaskRevoked,
            TaskEnd::Denied => StopCause::TaskDenied,
            TaskEnd::Cancelled => StopCause::TaskCancelled,
        }
    }

    /// The status of its task in Clawvisor, if that is the cause.
    pub fn task_end(self) -> Option<TaskEnd> {
        match self {
            StopCause::TaskRevoked => Some(TaskEnd::Revoked),
            StopCause::TaskDenied => Some(TaskEnd::Denied),
            StopCause::TaskCancelled => Some(TaskEnd::Cancelled),
            StopCause::Ttl
            | StopCause::Cancelled
            | StopCause::Shutdown
            | StopCause::Stalled
            | StopCause::StartTimeout
            | StopCause::OutputLimit
            | StopCause::ResultGrace
            | StopCause::TmpLimit
            | StopCause::QueueTimeout
            | StopCause::Unanswered => None,
        }
    }
}

/// How long a session may go on. `None`: there is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StopLimits {
    pub start_ms: Option<i64>,
    /// How long a launcher's engine may let it wait before its first event. It stands in the place
    /// of `start_ms`.
    pub queue_ms: Option<i64>,
    pub stall_ms: Option<i64>,
    pub result_grace_ms: Option<i64>,
    pub first_answer_ms: Option<i64>,
    pub stdout_bytes_max: Option<u64>,
    pub tmp_bytes_max: Option<u64>,
}

impl StopLimits {
    pub fn of(settings: &Settings, launcher: Option<&Launcher>) -> StopLimits {
        let ms = |limit: Option<Duration>| limit.map(|limit| limit.as_millis() as i64);
        StopLimits {
            start_ms: ms(settings.start_timeout),
            queue_ms: ms(launcher.and_then(|launcher| launcher.wait)),
            stall_ms: ms(settings.stall_timeout),
            result_grace_ms: ms(settings.result_grace),
            first_answer_ms: ms(settings.first_answer_timeout),
            stdout_bytes_max: settings.stdout_bytes_max,
            tmp_bytes_max: settings.tmp_bytes_max,
        }
    }
}

/// One look at a session that runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    pub now_ms: i64,
    pub started_ms: i64,
    pub deadline_ms: i64,
    /// How much is on stdout or on stderr, whichever has more.
    pub output_bytes: u64,
    /// How much its temporary directory takes up, as far as that was looked at.
    pub tmp_bytes: u64,
    /// The stream had an event, or is not being read.
    pub has_begun: bool,
    /// Since when the final result is known, and nothing came after it.
    pub final_since_ms: Option<i64>,
    /// Since when the session is known to have begun, without a word of its model.
    pub unanswered_since_ms: Option<i64>,
    /// Since when the session is known to do nothing at all.
    pub still_since_ms: Option<i64>,
}

/// When a session's time to live is over. It counts from the first event where an engine may let
/// the session wait, and is over at `latest_ms` whatever a record says of the beginning.
pub fn deadline(latest_ms: i64, ttl_ms: i64, begun_ms: Option<i64>) -> i64 {
    begun_ms.map_or(latest_ms, |begun_ms| latest_ms.min(begun_ms.saturating_add(ttl_ms)))
}

/// The latest deadline of a session that is found running now. What a session wrote into its own
/// records must not give it more time than it would have if it were started now.
pub fn latest_of_found(recorded_ms: i64, now_ms: i64, ttl_ms: i64, wait_ms: i64) -> i64 {
    recorded_ms.min(now_ms.saturating_add(ttl_ms).saturating_add(wait_ms))
}

/// Why the session must be ended now, if it must. The TTL is a promise to the dispatcher and comes
/// first; a session that has answered is not also stalled, nor is one that waits for its engine.
pub fn due(look: &Observation, limits: &StopLimits) -> Option<StopCause> {
    let is_over = |since_ms: Option<i64>, limit_ms: Option<i64>| match (since_ms, limit_ms) {
        (Some(since_ms), Some(limit_ms)) => look.now_ms - since_ms >= limit_ms,
        _ => false,
    };
    let unbegun_since = (!look.has_begun).then_some(look.started_ms);
    let waits = unbegun_since.is_some() && limits.queue_ms.is_some();
    if waits && (look.now_ms >= look.deadline_ms || is_over(unbegun_since, limits.queue_ms)) {
        Some(StopCause::QueueTimeout)
    } else if look.now_ms >= look.deadline_ms {
        Some(StopCause::Ttl)
    } else if limits.stdout_bytes_max.is_some_and(|max| look.output_bytes > max) {
        Some(StopCause::OutputLimit)
    } else if limits.tmp_bytes_max.is_some_and(|max| look.tmp_bytes > max) {
        Some(StopCause::TmpLimit)
    } else if is_over(look.final_since_ms, limits.result_grace_ms) {
        Some(StopCause::ResultGrace)
    } else if waits {
        None
    } else if is_over(unbegun_since, limits.start_ms) {
        Some(StopCause::StartTimeout)
    } else if is_over(look.unanswered_since_ms, limits.first_answer_ms) {
        Some(StopCause::Unanswered)
    } else if is_over(look.still_since_ms, limits.stall_ms) {
        Some(StopCause::Stalled)
    } else {
        None
    }
}

/// Whether the last result is the last word: no turn came after it, and no work in the background
/// would wake the agent again.
pub fn is_final(summary: &Summary) -> bool {
    summary.result.is_some() && !summary.working_after_result && summary.outstanding_tasks == 0
}

/// Whether the session has begun. Any event will do: hooks of the start, which may take minutes,
/// come before the agent's own first event.
pub fn has_begun(summary: &Summary) -> bool {
    summary.lines > summary.broken_lines
}

/// Whether the agent has begun and its model has not: neither a word, a thought or a call of a tool
/// came, nor a result. That the agent repeats its request is no word of the model.
pub fn is_unanswered(summary: &Summary) -> bool {
    let has_spoken =
        summary.assistant_turns > 0 || summary.last_tool.is_some() || summary.model_began;
    summary.init_seen && !has_spoken && summary.result.is_none()
}

/// The processor time of all processes of a session, in ticks, and a number that stands for the set
/// of processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    pub ticks: u64,
    pub who: u64,
}

/// More ticks (1/100 s) in a second than this are work. Claude Code that waits for an answer which
/// never comes uses 0.6 to 0.8 (seen with 2.1.197 and 2.1.330), so that "none at all" would never
/// be true of it.
const IDLE_TICKS_PER_SECOND: f64 = 2.0;
/// Looking at the processor means looking at every process of the machine, so there are at most
/// this many looks within one stall timeout.
const SAMPLES_PER_TIMEOUT: i64 = 4;

/// Finds out since when a session is still: no new output, and no use of the processor.
#[derive(Clone, Debug, Default)]
pub struct Stillness {
    /// The beginning of the present stillness, and the processor time at that moment.
    since: Option<(i64, Option<Cpu>)>,
    sampled_at_ms: Option<i64>,
}

impl Stillness {
    /// `sample` is asked only when its answer matters; it gives nothing where processor time is not
    /// known.
    pub fn look(
        &mut self,
        now_ms: i64,
        has_new_output: bool,
        stall_ms: i64,
        sample: impl FnOnce() -> Option<Cpu>,
    ) -> Option<i64> {
        if has_new_output {
            self.since = None;
            return None;
        }
        let rested = |at: i64| now_ms - at >= stall_ms / SAMPLES_PER_TIMEOUT;
        match self.since {
            // The stillness counts from the first sample in it.
            None if self.sampled_at_ms.is_none_or(rested) => self.begin(now_ms, sample()),
            None => {}
            Some((since_ms, before)) if now_ms - since_ms >= stall_ms => {
                let after = sample();
                if has_worked(before, after, now_ms - since_ms) {
                    self.begin(now_ms, after);
                }
            }
            Some(_) => {}
        }
        self.since.map(|(since_ms, _)| since_ms)
    }

    fn begin(&mut self, now_ms: i64, cpu: Option<Cpu>) {
        self.since = Some((now_ms, cpu));
        self.sampled_at_ms = Some(now_ms);
    }
}

/// Whether the session worked between two samples. A process that came or went is work too.
fn has_worked(before: Option<Cpu>, after: Option<Cpu>, span_ms: i64) -> bool {
    let (Some(before), Some(after)) = (before, after) else { return false };
    let idle_ticks = span_ms as f64 / 1000.0 * IDLE_TICKS_PER_SECOND;
    before.who != after.who || after.ticks.saturating_sub(before.ticks) as f64 > idle_ticks.max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::agent::{ApiRetry, ResultEvent};

    #[test]
    fn each_clock_ends_a_session_and_the_strongest_names_it() {
        use StopCause::*;
        let limits = StopLimits {
            start_ms: Some(100),
            queue_ms: None,
            stall_ms: Some(200),
            result_grace_ms: Some(50),
            first_answer_ms: Some(150),
            stdout_bytes_max: Some(10),
            tmp_bytes_max: Some(20),
        };
        let fine = Observation {
            now_ms: 1000,
            deadline_ms: 5000,
            has_begun: true,
            ..Observation::default()
        };
        let rows = [
            ("runs", fine, None),
            ("time is up", Observation { deadline_ms: 1000, ..fine }, Some(Ttl)),
            ("as much as it may write", Observation { output_bytes: 10, ..fine }, None),
            ("a byte more", Observation { output_bytes: 11, ..fine }, Some(OutputLimit)),
            ("as much as may lie there", Observation { tmp_bytes: 20, ..fine }, None),
            ("more lies there", Observation { tmp_bytes: 21, ..fine }, Some(TmpLimit)),
            ("not begun yet", Observation { has_begun: false, started_ms: 901, ..fine }, None),
            (
                "never begun",
                Observation { has_begun: false, started_ms: 900, ..fine },
                Some(StartTimeout),
            ),
            ("still for a while", Observation { still_since_ms: Some(801), ..fine }, None),
            ("stalled", Observation { still_since_ms: Some(800), ..fine }, Some(Stalled)),
            ("no word for a while", Observation { unanswered_since_ms: Some(851), ..fine }, None),
            ("no word", Observation { unanswered_since_ms: Some(850), ..fine }, Some(Unanswered)),
            (
                "no word, and still",
                Observation { unanswered_since_ms: Some(0), still_since_ms: Some(0), ..fine },
                Some(Unanswered),
            ),
            ("just done", Observation { final_since_ms: Some(951), ..fine }, None),
            (
                "done and there",
                Observation { final_since_ms: Some(950), ..fine },
                Some(ResultGrace),
            ),
            (
                "done, there and still",
                Observation { final_since_ms: Some(0), still_since_ms: Some(0), ..fine },
                Some(ResultGrace),
            ),
            (
                "everything",
                Observation { deadline_ms: 0, output_bytes: 99, has_begun: false, ..fine },
                Some(Ttl),
            ),
        ];
        for (name, look, want) in rows {
            assert_eq!(due(&look, &limits), want, "{name}");
            let unlimited = if want == Some(Ttl) { want } else { None };
            assert_eq!(due(&look, &StopLimits::default()), unlimited, "{name}, without limits");
        }
    }

    #[test]
    fn a_session_in_a_queue_has_the_limit_of_the_queue_until_it_begins() {
        use StopCause::*;
        let limits = StopLimits {
            start_ms: Some(100),
            queue_ms: Some(500),
            stall_ms: Some(200),
            result_grace_ms: Some(50),
            first_answer_ms: Some(150),
            stdout_bytes_max: Some(10),
            tmp_bytes_max: None,
        };
        let waits = Observation {
            now_ms: 1000,
            started_ms: 501,
            deadline_ms: 5000,
            still_since_ms: Some(0),
            ..Observation::default()
        };
        let begun = Observation { has_begun: true, still_since_ms: None, ..waits };
        for (name, look, want) in [
            ("longer than a start may take, and still", waits, None),
            ("too long", Observation { started_ms: 500, ..waits }, Some(QueueTimeout)),
            (
                "its last moment of all",
                Observation { deadline_ms: 1000, ..waits },
                Some(QueueTimeout),
            ),
            ("it wrote too much", Observation { output_bytes: 11, ..waits }, Some(OutputLimit)),
            ("begun", begun, None),
            ("begun, long ago", Observation { started_ms: 0, ..begun }, None),
            ("begun, and time is up", Observation { deadline_ms: 1000, ..begun }, Some(Ttl)),
            ("begun, and still", Observation { still_since_ms: Some(800), ..begun }, Some(Stalled)),
        ] {
            assert_eq!(due(&look, &limits), want, "{name}");
        }
    }

    #[test]
    fn no_record_moves_a_deadline_beyond_its_bounds() {
        for (name, latest, begun, want) in [
            ("not begun", 900, None, 900),
            ("begun", 900, Some(300), 400),
            ("begun at the last moment", 900, Some(850), 900),
            ("a forged beginning", 900, Some(i64::MAX), 900),
            ("a beginning before all time", 900, Some(i64::MIN), i64::MIN + 100),
        ] {
            assert_eq!(deadline(latest, 100, begun), want, "{name}");
        }
        for (name, recorded, want) in
            [("as it was", 900, 900), ("as late as can be", 1150, 1150), ("forged", i64::MAX, 1150)]
        {
            assert_eq!(latest_of_found(recorded, 1000, 100, 50), want, "{name}");
        }
        assert_eq!(latest_of_found(i64::MAX, i64::MAX, 100, 50), i64::MAX);
    }

    #[test]
    fn a_result_is_final_when_nothing_goes_on_after_it() {
        let done = Summary { result: Some(ResultEvent::default()), ..Summary::default() };
        assert!(is_final(&done));
        assert!(!is_final(&Summary::default()));
        assert!(!is_final(&Summary { outstanding_tasks: 1, ..done.clone() }));
        assert!(!is_final(&Summary { working_after_result: true, ..done }));
    }

    #[test]
    fn only_what_the_model_does_is_an_answer() {
        let begun = Summary { init_seen: true, lines: 3, ..Summary::default() };
        let retrying = Summary {
            api_retry: Some(ApiRetry::default()),
            last_error: Some("Reconnecting... 2/5".to_string()),
            ..begun.clone()
        };
        // What stands in no stream may be anything.
        let unknown = Summary { used_tools: true, ..begun.clone() };
        for waits in [&begun, &retrying, &unknown] {
            assert!(is_unanswered(waits), "{waits:?}");
        }
        let called = Summary { last_tool: Some("Bash".to_string()), ..begun.clone() };
        let done = Summary { result: Some(ResultEvent::default()), ..begun.clone() };
        for answered in [
            Summary { init_seen: false, ..begun.clone() },
            Summary { assistant_turns: 1, ..begun.clone() },
            Summary { model_began: true, ..begun },
            called,
            done,
        ] {
            assert!(!is_unanswered(&answered), "{answered:?}");
        }
    }

    #[test]
    fn only_an_event_is_a_beginning() {
        let lines = |lines, broken_lines| Summary { lines, broken_lines, ..Summary::default() };
        for (summary, want) in [(lines(0, 0), false), (lines(2, 2), false), (lines(3, 2), true)] {
            assert_eq!(has_begun(&summary), want, "{summary:?}");
        }
    }

    const A: Cpu = Cpu { ticks: 500, who: 7 };

    /// Since when the session is still after looks at these times. Each look has whether there was
    /// output, and the processor time.
    fn still_after(looks: &[(i64, bool, Option<Cpu>)]) -> Option<i64> {
        let mut stillness = Stillness::default();
        looks.iter().fold(None, |_, (at, output, cpu)| stillness.look(*at, *output, 4000, || *cpu))
    }

    #[test]
    fn stillness_ends_with_output_and_with_work() {
        let busy = Some(Cpu { ticks: 600, ..A });
        let other = Some(Cpu { who: 8, ..A });
        let waiting = Some(Cpu { ticks: 504, ..A });
        let a = Some(A);
        for (name, looks, want) in [
            ("output just now", vec![(0, false, a), (1000, true, a)], None),
            ("nothing since", vec![(0, false, a), (1000, false, a), (4000, false, a)], Some(0)),
            ("a build at work", vec![(0, false, a), (4000, false, busy)], Some(4000)),
            ("a new process", vec![(0, false, a), (4000, false, other)], Some(4000)),
            ("a timer in its loop", vec![(0, false, a), (4000, false, waiting)], Some(0)),
            ("no /proc", vec![(0, false, None), (4000, false, None)], Some(0)),
            // A second look at the processors so soon is put off, and the stillness counts from
            // that look.
            ("off and on", vec![(0, false, a), (300, true, a), (600, false, a)], None),
            (
                "off and on and off",
                vec![(0, false, a), (300, true, a), (600, false, a), (1000, false, a)],
                Some(1000),
            ),
        ] {
            assert_eq!(still_after(&looks), want, "{name}");
        }
    }
}
