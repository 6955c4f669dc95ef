//! What we write down about an accepted dispatch: the records in `active/<id>/`, each created once.
//!
//! These files are the only truth after a crash, so a record holds all that the next daemon needs
//! to go on, and its absence means something too (see [`super::recovery`]). Fields may be added;
//! none may change its meaning.

use serde::{Deserialize, Serialize};

use super::limits::StopCause;
use super::outcome::{Ending, Exit};
use super::sign::Sign;
use crate::pure::agent::{Summary, Tokens};
use crate::pure::config::dialect::Dialect;
use crate::pure::config::launcher::Launcher;
use crate::pure::gate::signature::Signed;
use crate::pure::report::{
    Approval, AttemptReport, Confined, Denial, GitFacts, Leftover, VerifyReport,
};
use crate::pure::text::redact::redact;
use crate::pure::text::time::rfc3339;

/// A file or directory, recognised whatever name it has. `born_ns` (nanoseconds since 1970, where
/// the file system knows it) tells a new file from an old one whose inode number it was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub dev: u64,
    pub ino: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub born_ns: Option<i64>,
}

/// The content of `accepted.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    pub seq: u64,
    pub accepted_at: String,
    /// The digest of the exact bytes in `dispatch.json`, in hex.
    pub sha256: String,
    /// The inbox file's name, as [`crate::pure::text::hex::name_to_text`] writes it.
    pub inbox_name: String,
    pub inbox_file: Identity,
    pub inbox_dir: Identity,
    /// Absent: it was not signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
}

/// What an attempt runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    #[default]
    AsIs,
    WithoutLearnings,
    Resume {
        session_id: String,
    },
}

/// The content of `attempt.json`. It is durable before the agent is started; once it stands, the
/// agent may have run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AttemptStart {
    pub attempt: u32,
    pub run_token: String,
    /// Empty where the agent gives its session an id itself.
    pub session_id: String,
    pub mode: Mode,
    /// How its agent speaks, if that is no driver's to know: the settings may change while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<Dialect>,
    /// Whether the prompt held learnings.
    pub had_learnings: bool,
    /// Retries counted before this attempt.
    pub retries: u32,
    /// How often the dispatch went back into the queue for a usage limit before this attempt.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waits: u32,
    /// The attempt was let through a hold, to see whether the hold is over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub probe: bool,
    /// The launcher's program, as the settings name it. Empty: the daemon started the agent itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub launcher: String,
    /// An attempt before this one was a launcher that failed; only one of them is tried again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub relaunched: bool,
    pub started_at_ms: i64,
    /// When the first attempt of the dispatch started.
    pub first: Moment,
    /// When the attempt started, on the machine's monotonic clock, in the boot named below.
    pub started_monotonic_ms: i64,
    /// The latest end. Where an engine may let the session wait, [`BegunRecord`] brings it forward.
    pub deadline_monotonic_ms: i64,
    pub boot_id: String,
    /// When the session started, in clock ticks since boot as /proc counts them (0: this system has
    /// none). A process that is older cannot be this session's.
    pub started_ticks: u64,
    #[serde(default, skip_serializing_if = "GitFacts::is_empty")]
    pub git: GitFacts,
    /// The directory, as [`crate::pure::text::hex::name_to_text`] writes it.
    pub project_dir: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confined: Option<Confined>,
    /// What let the dispatch run. Absent: no gate was configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// What `accepted.json` and `dispatch.json` hold: neither of them was made durable, but this
    /// record is.
    pub accepted: Accepted,
    pub dispatch: String,
}

/// A moment on two clocks: one that people read, and one that durations are measured by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Milliseconds since 1970.
    pub at_ms: i64,
    pub monotonic_ms: i64,
    /// The boot that the monotonic clock belongs to.
    pub boot_id: String,
}

impl Moment {
    /// Milliseconds since an earlier moment: by the monotonic clock within one boot, else by the
    /// wall clock.
    pub fn ms_since(&self, earlier: &Moment) -> u64 {
        let elapsed_ms = if self.boot_id == earlier.boot_id {
            self.monotonic_ms.saturating_sub(earlier.monotonic_ms)
        } else {
            self.at_ms.saturating_sub(earlier.at_ms)
        };
        elapsed_ms.max(0).unsigned_abs()
    }
}

/// The content of `child.json`: the agent's process. The file need not be durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildRecord {
    pub pid: i32,
    /// When the process started, in clock ticks since boot (field 22 of /proc/PID/stat); with the
    /// pid this names one process of this boot.
    pub start_time: Option<u64>,
}

/// The content of `begun.json`: when the first event was seen of a session that its engine may let
/// wait. The file need not be durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BegunRecord {
    /// By the monotonic clock of the attempt's boot.
    pub monotonic_ms: i64,
}

/// The content of `stop.json`, which is written before our first signal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopRecord {
    pub cause: StopCause,
    pub at: String,
}

/// What comes after an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum NextStep {
    Report,
    Retry {
        mode: Mode,
        /// Retries counted once this one has started.
        retries: u32,
        /// This is by the wall clock; it is clamped to `delay_ms` from now when it is read back.
        not_before_ms: i64,
        delay_ms: u64,
    },
    /// The dispatch goes back into the queue, first in line, until the hold that this attempt ran
    /// into is over. That is no retry.
    Queue {
        mode: Mode,
        retries: u32,
        waits: u32,
    },
}

impl NextStep {
    /// Milliseconds until the next attempt may start. They are never more than was decided,
    /// whatever the clock was set to meanwhile.
    pub fn wait_ms(&self, now_ms: i64) -> u64 {
        match self {
            NextStep::Retry { not_before_ms, delay_ms, .. } => {
                let left_ms = not_before_ms.saturating_sub(now_ms).max(0);
                left_ms.unsigned_abs().min(*delay_ms)
            }
            NextStep::Report | NextStep::Queue { .. } => 0,
        }
    }
}

/// The content of `end.json`: how the attempt ended and what comes next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptEnd {
    pub ending: Ending,
    pub next: NextStep,
    pub finished_at_ms: i64,
    /// From the first attempt's start to this attempt's end.
    pub elapsed_ms: u64,
    /// Retries counted so far.
    pub retries: u32,
    pub first: Moment,
    /// Exit, session and use, as the report lists them.
    pub attempt: AttemptReport,
    /// What starts or ends a hold, if anything does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign: Option<Sign>,
    pub output_length: u64,
    /// What a person types to go on with the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<serde_json::Value>,
    /// The tokens that make up the attempt's cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_tokens: Option<Tokens>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permission_denials: Vec<Denial>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confined: Option<Confined>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<Leftover>,
    #[serde(default, skip_serializing_if = "GitFacts::is_empty")]
    pub git: GitFacts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<VerifyReport>,
}

impl AttemptStart {
    /// Sets what started it and its latest end: its time to live, and how long the launcher's
    /// engine may let it wait before that counts.
    pub fn within(self, ttl_seconds: u64, launcher: Option<&Launcher>) -> AttemptStart {
        let wait = launcher.and_then(|launcher| launcher.wait).unwrap_or_default();
        let most_ms = (ttl_seconds as i64).saturating_mul(1000) + wait.as_millis() as i64;
        let program = launcher.and_then(|launcher| launcher.argv.first());
        AttemptStart {
            launcher: program.cloned().unwrap_or_default(),
            deadline_monotonic_ms: self.started_monotonic_ms.saturating_add(most_ms),
            ..self
        }
    }

    pub fn is_resumed(&self) -> bool {
        matches!(self.mode, Mode::Resume { .. })
    }

    fn started(&self) -> Moment {
        Moment {
            at_ms: self.started_at_ms,
            monotonic_ms: self.started_monotonic_ms,
            boot_id: self.boot_id.clone(),
        }
    }
}

/// What was seen of an attempt, once it was over.
#[derive(Debug, Default)]
pub struct AttemptFacts {
    /// `None`: nobody saw it.
    pub exit: Option<Exit>,
    pub summary: Summary,
    pub leftovers: Vec<Leftover>,
    /// How much is on its stdout, in bytes.
    pub output_length: u64,
    /// What a person types to go on with the session.
    pub resume: Option<String>,
    pub git: GitFacts,
    pub verify: Option<VerifyReport>,
}

impl AttemptEnd {
    /// Makes the record of an attempt's end. Secrets are redacted here from what the agent said,
    /// before anything is written.
    pub fn new(
        start: &AttemptStart,
        facts: AttemptFacts,
        ending: Ending,
        (next, sign): (NextStep, Option<Sign>),
        now: &Moment,
    ) -> AttemptEnd {
        let AttemptFacts { exit, summary, leftovers, output_length, resume, git, verify } = facts;
        let result = summary.result.unwrap_or_default();
        let given_id = Some(start.session_id.clone()).filter(|id| !id.is_empty());
        let tokens = Some(summary.tokens).filter(|tokens| *tokens != Tokens::default());
        let attempt = AttemptReport {
            attempt: start.attempt,
            started_at: Some(rfc3339(start.started_at_ms)),
            duration: Some(now.ms_since(&start.started()) as f64 / 1000.0),
            session_id: summary.session_id.or(given_id),
            resumed: start.is_resumed(),
            exit_code: exit.and_then(|exit| exit.code),
            signal: exit.and_then(|exit| exit.signal),
            error_type: ending.error_type,
            error: ending.error.as_deref().map(redact),
            num_turns: result.num_turns,
            total_cost_usd: result.total_cost_usd,
            input_tokens: tokens.map(|tokens| tokens.input),
            output_tokens: tokens.map(|tokens| tokens.output),
            pr: summary.pull_request,
        };
        let confined = start.confined.clone().map(|confined| Confined {
            refused: summary.refusals.into_iter().map(redacted).collect(),
            ..confined
        });
        AttemptEnd {
            finished_at_ms: now.at_ms,
            elapsed_ms: now.ms_since(&start.first),
            retries: start.retries,
            first: start.first.clone(),
            output_length,
            resume,
            result: result.text.or(summary.last_text),
            usage: result.usage,
            cost_tokens: result.cost_tokens,
            permission_denials: result.denials.into_iter().map(redacted).collect(),
            confined,
            approval: start.approval.clone(),
            leftovers,
            attempt,
            sign,
            ending,
            next,
            git,
            verify,
        }
    }
}

fn redacted(denial: Denial) -> Denial {
    Denial { input: denial.input.as_deref().map(redact), ..denial }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_waits_no_longer_than_was_decided_whatever_its_record_says() {
        for (not_before_ms, delay_ms, want) in [
            (1_500, 1_000, 500),
            (900, 1_000, 0),
            (9_000, 1_000, 1_000),
            (i64::MIN, 1_000, 0),
            (i64::MAX, u64::MAX, (i64::MAX - 1_000).unsigned_abs()),
        ] {
            let next = NextStep::Retry { mode: Mode::AsIs, retries: 1, not_before_ms, delay_ms };
            assert_eq!(next.wait_ms(1_000), want, "{next:?}");
        }
        assert_eq!(NextStep::Report.wait_ms(1_000), 0);
    }

    #[test]
    fn a_cost_keeps_its_digits_however_often_it_is_read_back() {
        for cost in ["0.15430790000000003", "0.018446744073709553"] {
            let first: AttemptReport =
                serde_json::from_str(&format!(r#"{{"attempt":1,"total_cost_usd":{cost}}}"#))
                    .expect("a record");
            let written = serde_json::to_string(&first).expect("JSON");
            assert!(written.contains(cost), "{cost}: {written}");
            assert_eq!(serde_json::from_str::<AttemptReport>(&written).expect("again"), first);
        }
    }

    #[test]
    fn a_start_that_no_clock_can_have_is_no_overflow() {
        let first = Moment { at_ms: i64::MIN, monotonic_ms: i64::MIN, boot_id: "b".into() };
        for boot_id in ["b", "another"] {
            let now = Moment { at_ms: 1_000, monotonic_ms: 1_000, boot_id: boot_id.into() };
            assert_eq!(now.ms_since(&first), i64::MAX.unsigned_abs());
        }
    }
}
