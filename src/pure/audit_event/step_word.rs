//! What the audit log calls the steps of recovery.
//!
//! The words came to be as lowercased names in the source, with the cause in brackets. They stay
//! what they are, whatever becomes of the names.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::pure::outcome::StopCause;
use crate::pure::recovery::Step;

const PLAIN: [Step; 10] = [
    Step::Discard,
    Step::Publish,
    Step::Queue,
    Step::QueueRetry,
    Step::QueueAgain,
    Step::Conclude,
    Step::Adopt,
    Step::Judge,
    Step::Gone,
    Step::Stands,
];

const CAUSES: [StopCause; 7] = [
    StopCause::Ttl,
    StopCause::Cancelled,
    StopCause::Shutdown,
    StopCause::Stalled,
    StopCause::StartTimeout,
    StopCause::OutputLimit,
    StopCause::ResultGrace,
];

pub(super) fn word(step: Step) -> String {
    let word = match step {
        Step::Discard => "discard",
        Step::Publish => "publish",
        Step::Queue => "queue",
        Step::QueueRetry => "queueretry",
        Step::QueueAgain => "queueagain",
        Step::Conclude => "conclude",
        Step::GoOnStopping(cause) => return format!("goonstopping({})", word_of_cause(cause)),
        Step::Adopt => "adopt",
        Step::Judge => "judge",
        Step::GiveUp(None) => "giveup(none)",
        Step::GiveUp(Some(cause)) => return format!("giveup(some({}))", word_of_cause(cause)),
        Step::Gone => "gone",
        Step::Stands => "stands",
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
    }
}

/// Every step that there is.
pub(super) fn all() -> impl Iterator<Item = Step> {
    let stopping = CAUSES.into_iter().map(Step::GoOnStopping);
    let causes = CAUSES.into_iter().map(Some).chain([None]);
    PLAIN.into_iter().chain(stopping).chain(causes.map(Step::GiveUp))
}

pub(super) fn serialize<S: Serializer>(step: &Step, serializer: S) -> Result<S::Ok, S::Error> {
    word(*step).serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Step, D::Error> {
    let text = String::deserialize(deserializer)?;
    let step = all().find(|step| word(*step) == text);
    step.ok_or_else(|| D::Error::custom(format_args!("{text} is no step of recovery")))
}
