//! What the end of an attempt says about its agent: that a limit or a refusal was met, or that the
//! agent works.
//!
//! Must not look at words: what is met is the class of an ending, which comes from structured
//! fields, and a reset time from the stream. The holds decide what follows for others.

use serde::{Deserialize, Serialize};

use super::outcome::Ending;
use crate::pure::agent::Summary;
use crate::pure::report::{ErrorType, Status};
use crate::pure::text::redact::redact;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Sign {
    /// The agent met a limit or a refusal, and did not work.
    Met {
        kind: ErrorType,
        /// Milliseconds since 1970; only a usage limit has it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resets_at_ms: Option<i64>,
        reason: String,
    },
    /// The agent worked: what was met before this attempt started is over.
    Clear { started_at_ms: i64 },
}

/// What the ending says, if anything. A reset time that is over says nothing: the error is then an
/// ordinary rate limit.
pub fn sign(ending: &Ending, summary: &Summary, started_at_ms: i64, now_ms: i64) -> Option<Sign> {
    let kind = ending.error_type.filter(|_| ending.status == Status::Failed);
    let error = redact(ending.error.as_deref().unwrap_or_default());
    match kind {
        Some(kind @ ErrorType::UsageLimit) => {
            let limit = summary.limit.as_ref();
            let resets_at_ms = limit.and_then(|limit| limit.resets_at).map(to_ms)?;
            let window = limit.and_then(|limit| limit.kind.as_deref());
            let reason = window.map_or(error.clone(), |window| format!("{window}: {error}"));
            let met = Sign::Met { kind, resets_at_ms: Some(resets_at_ms), reason };
            (resets_at_ms > now_ms).then_some(met)
        }
        Some(kind) if is_refusal(kind) => {
            Some(Sign::Met { kind, resets_at_ms: None, reason: error })
        }
        // The API took the request, or the model had answered before something else went wrong.
        Some(ErrorType::LogicError | ErrorType::ContextOverflow) => {
            Some(Sign::Clear { started_at_ms })
        }
        _ if ending.status == Status::Completed || summary.assistant_turns > 0 => {
            Some(Sign::Clear { started_at_ms })
        }
        _ => None,
    }
}

fn to_ms(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000)
}

/// Whether only somebody who changes the account or the settings can mend it, and waiting cannot.
pub fn is_refusal(kind: ErrorType) -> bool {
    matches!(kind, ErrorType::Auth | ErrorType::Billing | ErrorType::Config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::agent::LimitEvent;
    use ErrorType::*;

    fn ending(status: Status, error_type: Option<ErrorType>) -> Ending {
        let error = error_type.map(|_| "words".to_string());
        Ending { status, error_type, error, warnings: Vec::new() }
    }

    #[test]
    fn what_an_ending_says() {
        let limit = |resets_at| Summary {
            limit: Some(LimitEvent { is_closed: true, resets_at, kind: Some("w".into()) }),
            ..Summary::default()
        };
        let (empty, answered) =
            (Summary::default(), Summary { assistant_turns: 1, ..Summary::default() });
        let failed = |error_type| ending(Status::Failed, Some(error_type));
        let met = |kind, resets_at_ms, reason: &str| {
            Some(Sign::Met { kind, resets_at_ms, reason: reason.into() })
        };
        let clear = Some(Sign::Clear { started_at_ms: 3 });
        let rows = [
            (failed(UsageLimit), limit(Some(9)), met(UsageLimit, Some(9000), "w: words")),
            (
                failed(UsageLimit),
                limit(Some(u64::MAX)),
                met(UsageLimit, Some(i64::MAX), "w: words"),
            ),
            // The reset time is over, or there is none.
            (failed(UsageLimit), limit(Some(5)), None),
            (failed(UsageLimit), limit(None), None),
            (failed(UsageLimit), empty.clone(), None),
            (failed(Auth), empty.clone(), met(Auth, None, "words")),
            (failed(Billing), answered.clone(), met(Billing, None, "words")),
            (failed(Config), limit(Some(9)), met(Config, None, "words")),
            // A window that is closed did not matter to these.
            (ending(Status::Completed, None), limit(Some(9)), clear.clone()),
            (failed(LogicError), limit(Some(9)), clear.clone()),
            (failed(ContextOverflow), empty.clone(), clear.clone()),
            (failed(ToolFailure), limit(Some(9)), None),
            (failed(ToolFailure), answered.clone(), clear.clone()),
            (failed(RateLimit), empty.clone(), None),
            (ending(Status::Timeout, Some(Timeout)), answered, clear),
            (ending(Status::Cancelled, Some(Cancelled)), empty.clone(), None),
            (ending(Status::Cancelled, Some(UsageLimit)), limit(Some(9)), None),
            (failed(Interrupted), empty, None),
        ];
        for (ending, summary, wanted) in rows {
            assert_eq!(sign(&ending, &summary, 3, 5000), wanted, "{ending:?}");
        }
    }
}
