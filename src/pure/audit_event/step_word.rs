//! What the audit log calls the steps of recovery.
//!
//! The words began as lowercased names in the source, with the cause in brackets. They must not
//! change, whatever becomes of the names.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::pure::attempt::limits::StopCause;
use crate::pure::attempt::recovery::{Follow, Resume, ResumeAttempt, Step};

const PLAIN: [Step; 10] = [
    Step::Discard,
    Step::Publish,
    Step::Queue,
    Step::Resume(Resume::Stands),
    Step::Resume(Resume::Gone),
    attempt(ResumeAttempt::Follow(Follow::Report)),
    attempt(ResumeAttempt::Follow(Follow::Retry)),
    attempt(ResumeAttempt::Follow(Follow::Queue)),
    attempt(ResumeAttempt::Adopt),
    attempt(ResumeAttempt::Judge),
];

const CAUSES: [StopCause; 13] = [
    StopCause::Ttl,
    StopCause::Cancelled,
    StopCause::Shutdown,
    StopCause::Stalled,
    StopCause::StartTimeout,
    StopCause::OutputLimit,
    StopCause::ResultGrace,
    StopCause::TmpLimit,
    StopCause::QueueTimeout,
    StopCause::Unanswered,
    StopCause::TaskRevoked,
    StopCause::TaskDenied,
    StopCause::TaskCancelled,
];

const fn attempt(resume: ResumeAttempt) -> Step {
    Step::Resume(Resume::Attempt(resume))
}

pub(super) fn word(step: Step) -> String {
    let word = match step {
        Step::Discard => "discard",
        // Something of its session may live: the log has one word for both.
        Step::Publish | Step::Resume(Resume::Publish) => "publish",
        Step::Queue => "queue",
        Step::Resume(Resume::Stands) => "stands",
        Step::Resume(Resume::Gone) => "gone",
        Step::Resume(Resume::Attempt(attempt)) => return word_of_attempt(attempt),
    };
    word.into()
}

fn word_of_attempt(attempt: ResumeAttempt) -> String {
    let word = match attempt {
        ResumeAttempt::Follow(Follow::Report) => "conclude",
        ResumeAttempt::Follow(Follow::Retry) => "queueretry",
        ResumeAttempt::Follow(Follow::Queue) => "queueagain",
        ResumeAttempt::GoOnStopping(cause) => {
            return format!("goonstopping({})", word_of_cause(cause));
        }
        ResumeAttempt::Adopt => "adopt",
        ResumeAttempt::Judge => "judge",
        ResumeAttempt::GiveUp(None) => "giveup(none)",
        ResumeAttempt::GiveUp(Some(cause)) => {
            return format!("giveup(some({}))", word_of_cause(cause));
        }
    };
    word.into()
}

fn word_of_cause(cause: StopCause) -> &'static str {
    match cause {
        StopCause::Ttl => "ttl",
        StopCause::Cancelled => "cancelled",
        StopCause::Shutdown => "shutdown",
        StopCause::Stalled => "stalled",
        StopCause::StartTimeout => "starttimeout",
        StopCause::OutputLimit => "outputlimit",
        StopCause::ResultGrace => "resultgrace",
        StopCause::TmpLimit => "tmplimit",
        StopCause::QueueTimeout => "queuetimeout",
        StopCause::Unanswered => "unanswered",
        StopCause::TaskRevoked => "taskrevoked",
        StopCause::TaskDenied => "taskdenied",
        StopCause::TaskCancelled => "taskcancelled",
    }
}

/// All steps that there are.
pub(super) fn all() -> impl Iterator<Item = Step> {
    let stopping = CAUSES.into_iter().map(ResumeAttempt::GoOnStopping);
    let given_up = CAUSES.into_iter().map(Some).chain([None]).map(ResumeAttempt::GiveUp);
    PLAIN.into_iter().chain(stopping.chain(given_up).map(attempt))
}

pub(super) fn serialize<S: Serializer>(step: &Step, serializer: S) -> Result<S::Ok, S::Error> {
    word(*step).serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Step, D::Error> {
    let text = String::deserialize(deserializer)?;
    let step = all().find(|step| word(*step) == text);
    step.ok_or_else(|| D::Error::custom(format_args!("{text} is no step of recovery")))
}
