//! What a state means and what to type about it: a sentence for each `error_type` and for each
//! reason to wait.
//!
//! Owns those sentences, which `show` prints and whoever else explains a dispatch.

use super::waits::{WaitReason, WaitsFor};
use super::{DispatchState, Record};
use crate::pure::report::ErrorType;

/// Why a dispatch is where it is, and what to do about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advice {
    pub why: String,
    /// What to type. `None`: there is nothing to do.
    pub hint: Option<String>,
}

pub fn advice(record: &Record) -> Advice {
    let id = record.shown_id();
    if let Some(waits) = &record.waits_for {
        return Advice { why: waits.text.clone(), hint: Some(hint_of_wait(waits, id)) };
    }
    let (why, hint) = match (record.shown_state(), record.error_type) {
        (DispatchState::Running, _) => {
            ("Its session is at work.", Some(format!("logs {id} -f, or cancel {id}")))
        }
        (DispatchState::Inbox | DispatchState::Pending | DispatchState::Queued, _) => {
            ("It waits for its turn.", None)
        }
        (DispatchState::Completed, _) => ("The agent has done it.", None),
        (DispatchState::Rejected, _) => (
            "The file was refused: nothing of it ran.",
            Some("mend the file and drop it again".into()),
        ),
        (DispatchState::Failed | DispatchState::Timeout | DispatchState::Cancelled, Some(kind)) => {
            (meaning(kind), Some(remedy(kind).replace("ID", id)))
        }
        (DispatchState::Failed, None) => ("The agent failed.", Some(format!("logs {id}"))),
        (DispatchState::Timeout, None) => ("It ran out of time.", Some(format!("logs {id}"))),
        (DispatchState::Cancelled, None) => ("Somebody cancelled it.", Some(format!("retry {id}"))),
    };
    // What was to be done about it was done.
    let hint = record.retried_as.last().map(|later| format!("show {later}")).or(hint);
    Advice { why: why.into(), hint }
}

fn hint_of_wait(waits: &WaitsFor, id: &str) -> String {
    match waits.what {
        WaitReason::Approval if waits.text.contains("Clawvisor") => {
            "let it run in Clawvisor, or `status` to see whether it can be reached".into()
        }
        WaitReason::Approval => format!("approve {id}, or deny {id}"),
        WaitReason::Daemon => "start a daemon: run, or service systemd --install".into(),
        WaitReason::Acceptance => "status, if it lasts longer than some seconds".into(),
        WaitReason::Trouble => "doctor".into(),
        WaitReason::Pause => "resume".into(),
        WaitReason::Retry => format!("logs {id}, or cancel {id}"),
        WaitReason::Hold => match &waits.agent {
            Some(agent) => format!("release {agent}, if the reason is gone"),
            None => "release, if the reason is gone".into(),
        },
        WaitReason::Budget => "raise the budget in config.json, or wait".into(),
        WaitReason::Project | WaitReason::Slot => match waits.ids.first() {
            Some(first) => format!("wait {id}, or logs {first} -f"),
            None => format!("wait {id}"),
        },
    }
}

/// What each kind of error means.
fn meaning(kind: ErrorType) -> &'static str {
    match kind {
        ErrorType::RateLimit => {
            "The provider limited the rate of requests, and every retry met it too."
        }
        ErrorType::ContextOverflow => {
            "The task did not fit into the agent's context, with and without its learnings."
        }
        ErrorType::LogicError => "The agent gave up, or ended without a result.",
        ErrorType::ToolFailure => "A tool that the agent needs failed.",
        ErrorType::Timeout => "It ran longer than its ttl_seconds, and was ended.",
        ErrorType::UsageLimit => "The account's usage window is used up.",
        ErrorType::Auth => "The provider refused the agent's credentials.",
        ErrorType::Billing => "The provider refused for lack of credit.",
        ErrorType::Config => {
            "The agent's own settings do not work, such as a model that does not exist."
        }
        ErrorType::Interrupted => {
            "The daemon or the machine ended while it ran, and how it ended is not known."
        }
        ErrorType::Shutdown => "The daemon was stopped and ended it.",
        ErrorType::Cancelled => "Somebody cancelled it.",
        ErrorType::InvalidDispatch => "The file was refused: nothing of it ran.",
        ErrorType::UnsupportedAgent => "There is no such agent here.",
        ErrorType::SpawnFailed => "The agent could not be started.",
        ErrorType::Stalled => {
            "It wrote nothing and did nothing for stall_timeout_seconds, and was ended."
        }
        ErrorType::StartTimeout => {
            "The agent said nothing within start_timeout_seconds, and was ended."
        }
        ErrorType::OutputLimit => "It wrote more than it may, and was ended.",
        ErrorType::VerifyFailed => "The agent was done, but the project's own check did not pass.",
        ErrorType::QueueTimeout => "It waited longer than queue_timeout_seconds and never ran.",
        ErrorType::NotAuthorized => "Nobody allowed it to run, or somebody forbade it.",
    }
}

/// What to type about each kind of error; `ID` stands for the dispatch.
fn remedy(kind: ErrorType) -> &'static str {
    match kind {
        ErrorType::RateLimit => "retry ID, later",
        ErrorType::ContextOverflow => "submit it in smaller parts",
        ErrorType::LogicError => "logs ID, then retry ID",
        ErrorType::ToolFailure => "logs ID, then retry ID",
        ErrorType::Timeout => "logs ID; submit it again with a longer --ttl",
        ErrorType::UsageLimit => "status for until when, then retry ID",
        ErrorType::Auth => "log the agent in, then release, then retry ID",
        ErrorType::Billing => "see to the account, then release, then retry ID",
        ErrorType::Config => "doctor, then release, then retry ID",
        ErrorType::Interrupted => "see what it did in the project, then retry ID",
        ErrorType::Shutdown => "retry ID",
        ErrorType::Cancelled => "retry ID",
        ErrorType::InvalidDispatch => "mend the file and drop it again",
        ErrorType::UnsupportedAgent => "doctor; config show for the agents",
        ErrorType::SpawnFailed => "doctor, then retry ID",
        ErrorType::Stalled => "logs ID, then retry ID",
        ErrorType::StartTimeout => "doctor, then retry ID",
        ErrorType::OutputLimit => "logs ID --tail 50",
        ErrorType::VerifyFailed => "logs ID",
        ErrorType::QueueTimeout => "retry ID",
        ErrorType::NotAuthorized => "retry ID, then approve it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_and_every_wait_has_a_sentence_and_something_to_type() {
        let record = Record { id: Some("dispatch-a".into()), ..Record::default() };
        let failed = |kind| Record {
            state: Some(DispatchState::Failed),
            error_type: Some(kind),
            ..record.clone()
        };
        for kind in [ErrorType::RateLimit, ErrorType::Auth, ErrorType::NotAuthorized] {
            let advice = advice(&failed(kind));
            assert!(advice.why.ends_with('.'), "{advice:?}");
            let hint = advice.hint.expect("something to type");
            assert!(hint.contains("retry dispatch-a") && !hint.contains("ID"), "{hint}");
        }
        for state in DispatchState::ALL {
            let told = advice(&Record { state: Some(state), ..record.clone() });
            assert!(told.why.ends_with('.'), "{state:?}: {told:?}");
        }
    }
}
