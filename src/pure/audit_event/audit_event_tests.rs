//! The table of all audit events: the word and the fields of each as they stand on disk, written
//! and read back. The same table holds the list of `help events` to the code, since both are the
//! log's interface.

use std::collections::BTreeSet;

use super::*;
use crate::pure::attempt::limits::StopCause;
use crate::pure::attempt::recovery::{Follow, Resume, ResumeAttempt};
use crate::pure::audit_event::AuditEvent::*;
use crate::pure::gate::clawvisor::ClawvisorState::{Ready, TokenRefused};
use crate::pure::report::{AttemptReport, SignatureForm};
use crate::pure::schedule::hold::HeldProject;

const TOPIC: &str = include_str!("../reference/topics/events.md");
const TS: &str = "2026-04-03T14:30:00.000Z";

fn s(text: &str) -> String {
    text.into()
}

fn not_completed(status: Status, exit_code: Option<Option<i32>>) -> NotCompleted {
    let error_type = Some(ErrorType::Timeout);
    NotCompleted { duration: 7, exit_code, error_type, retry_count: 1, status }
}

fn completion(status: Option<u16>, error: Option<&str>, is_final: bool) -> CompletionTry {
    CompletionTry { status, error: error.map(s), tries: 1, is_final }
}

fn begun(project: Option<&str>) -> HoldBegun {
    HoldBegun {
        agent: s("claude"),
        kind: HoldKind::Auth,
        project: project.map(s),
        project_dir: project.map(|name| format!("/git/{name}")),
        until: s(TS),
        reason: s("401"),
    }
}

type Row = (AuditEvent, &'static str, &'static str);

/// The events of a dispatch: each with its word, and the fields after its id.
fn of_dispatches() -> Vec<Row> {
    let file = || s("dispatch-a.json");
    let (timeout, cancelled) = (Status::Timeout, Status::Cancelled);
    let error_type = Some(ErrorType::RateLimit);
    let names = vec![s("node")];
    vec![
        (
            Received { file: file(), sha256: s("ab"), signature: None, kid: None, retry_of: None },
            "received",
            r#","file":"dispatch-a.json","sha256":"ab""#,
        ),
        (
            Received {
                file: file(),
                sha256: s("ab"),
                signature: Some(SignatureForm::Strong),
                kid: Some(s("ed:a")),
                retry_of: Some(s("dispatch-b")),
            },
            "received",
            concat!(
                r#","file":"dispatch-a.json","sha256":"ab","signature":"strong","#,
                r#""kid":"ed:a","retry_of":"dispatch-b""#,
            ),
        ),
        (
            SchemaInvalid { error: s("a \"b\""), reason: Reason::UnsafeId, file: file() },
            "schema_invalid",
            r#","error":"a \"b\"","reason":"unsafe_id","file":"dispatch-a.json""#,
        ),
        (
            ApprovalRequired {
                why: PendingWhy::UntrustedProject,
                sha256: s("ab"),
                expires_at: s(TS),
            },
            "approval_required",
            r#","why":"untrusted_project","sha256":"ab","expires_at":"2026-04-03T14:30:00.000Z""#,
        ),
        (
            Approved { by: ApprovedBy::Person, sha256: s("ab"), uid: 1000 },
            "approved",
            r#","by":"person","sha256":"ab","uid":1000"#,
        ),
        (Denied { reason: s("no") }, "denied", r#","reason":"no""#),
        (
            ApprovalExpired { why: PendingWhy::PerRequest },
            "approval_expired",
            r#","why":"per_request""#,
        ),
        (ApprovalIgnored { why: IgnoredWhy::Digest }, "approval_ignored", r#","why":"digest""#),
        (
            ApprovalIgnored { why: IgnoredWhy::NotPending },
            "approval_ignored",
            r#","why":"not_pending""#,
        ),
        (
            NotAuthorized { error: s("no"), clawvisor_status: None },
            "not_authorized",
            r#","error":"no""#,
        ),
        (
            NotAuthorized { error: s("no"), clawvisor_status: Some(s("expired")) },
            "not_authorized",
            r#","error":"no","clawvisor_status":"expired""#,
        ),
        (
            SessionRevoked { attempt: 2, clawvisor_status: s("revoked") },
            "session_revoked",
            r#","attempt":2,"clawvisor_status":"revoked""#,
        ),
        (
            UnsupportedAgent { target_agent: s("codex") },
            "unsupported_agent",
            r#","target_agent":"codex""#,
        ),
        (UnknownFields { fields: vec![s("ttl")] }, "unknown_fields", r#","fields":["ttl"]"#),
        (Queued { queue_depth: 2 }, "queued", r#","queue_depth":2"#),
        (
            Spawned { project: s("shop"), retry: 0, attempt: 1, session_id: s("u") },
            "spawned",
            r#","project":"shop","retry":0,"attempt":1,"session_id":"u""#,
        ),
        (
            Retried { error_type, retry: 1, delay_seconds: 30.0 },
            "retried",
            r#","error_type":"rate_limit","retry":1,"delay_seconds":30.0"#,
        ),
        (
            QueuedAgain { error_type: None, waits: 1 },
            "queued_again",
            r#","error_type":null,"waits":1"#,
        ),
        (
            Completed { duration: 7, exit_code: Some(Some(0)) },
            "completed",
            r#","duration":7,"exit_code":0"#,
        ),
        (
            Failed(not_completed(timeout, Some(None))),
            "failed",
            concat!(
                r#","duration":7,"exit_code":null,"error_type":"timeout","retry_count":1,"#,
                r#""status":"timeout""#
            ),
        ),
        (
            Cancelled(not_completed(cancelled, None)),
            "cancelled",
            r#","duration":7,"error_type":"timeout","retry_count":1,"status":"cancelled""#,
        ),
        (CallbackSent { status: 204 }, "callback_sent", r#","status":204"#),
        (
            CallbackFailed { status: Some(410), error: None, tries: 1, is_final: true },
            "callback_failed",
            r#","status":410,"try":1,"final":true"#,
        ),
        (
            CallbackFailed { status: None, error: Some(s("refused")), tries: 2, is_final: false },
            "callback_failed",
            r#","error":"refused","try":2,"final":false"#,
        ),
        (
            CallbackSkipped { why: s("relays nothing") },
            "callback_skipped",
            r#","why":"relays nothing""#,
        ),
        (
            ClawvisorCompleted(completion(Some(200), None, true)),
            "clawvisor_completed",
            r#","status":200,"try":1,"final":true"#,
        ),
        (
            ClawvisorCompleteSkipped(completion(Some(403), None, true)),
            "clawvisor_complete_skipped",
            r#","status":403,"try":1,"final":true"#,
        ),
        (
            ClawvisorCompleteFailed(completion(None, Some("refused"), false)),
            "clawvisor_complete_failed",
            r#","error":"refused","try":1,"final":false"#,
        ),
        (
            OnFinish {
                exit_code: Some(0),
                signal: None,
                timed_out: false,
                error: None,
                duration: 0.25,
            },
            "on_finish",
            r#","exit_code":0,"duration":0.25"#,
        ),
        (
            OnFinish {
                exit_code: None,
                signal: None,
                timed_out: true,
                error: None,
                duration: 60.5,
            },
            "on_finish",
            r#","timed_out":true,"duration":60.5"#,
        ),
        (CancelRequested { running: true }, "cancel_requested", r#","running":true"#),
        (CancelIgnored, "cancel_ignored", ""),
        (Withdrawn, "withdrawn", ""),
        (Redelivered { file: file() }, "redelivered", r#","file":"dispatch-a.json""#),
        (Detached { file: file() }, "detached", r#","file":"dispatch-a.json""#),
        (
            LeftoverProcesses { count: 1, names },
            "leftover_processes",
            r#","count":1,"names":["node"]"#,
        ),
        (
            Recovered { step: attempt(ResumeAttempt::Follow(Follow::Retry)) },
            "recovered",
            r#","step":"queueretry""#,
        ),
        (Adopted { attempt: 1, pid: Some(812) }, "adopted", r#","attempt":1,"pid":812"#),
        (Adopted { attempt: 1, pid: None }, "adopted", r#","attempt":1,"pid":null"#),
        (Parked { reason: s("cannot") }, "parked", r#","reason":"cannot""#),
    ]
}

/// The same for the daemon's own events.
fn of_the_daemon() -> Vec<Row> {
    let (claude, kind, place) = (s("claude"), HoldKind::Auth, Subsystem::Outbox);
    let ended =
        HoldEnded { agent: claude, kind, project: None, project_dir: None, why: Why::AllProjects };
    vec![
        (
            HoldStarted(begun(None)),
            "hold_started",
            r#","agent":"claude","kind":"auth","until":"2026-04-03T14:30:00.000Z","reason":"401""#,
        ),
        (
            HoldProlonged(begun(Some("shop"))),
            "hold_prolonged",
            concat!(
                r#","agent":"claude","kind":"auth","project":"shop","project_dir":"/git/shop","#,
                r#""until":"2026-04-03T14:30:00.000Z","reason":"401""#
            ),
        ),
        (ended, "hold_ended", r#","agent":"claude","kind":"auth","why":"all_projects""#),
        (MovedAside { path: s("/a"), to: s("/b") }, "moved_aside", r#","path":"/a","to":"/b""#),
        (
            DaemonStarted { pid: 812, version: s("0.1.0") },
            "daemon_started",
            r#","pid":812,"version":"0.1.0""#,
        ),
        (DaemonStopped { pid: 812 }, "daemon_stopped", r#","pid":812"#),
        (
            ConfigReloaded { changed: vec![s("model")], needs_restart: vec![] },
            "config_reloaded",
            r#","changed":["model"],"needs_restart":[]"#,
        ),
        (ConfigRefused { error: s("bad") }, "config_refused", r#","error":"bad""#),
        (PendingFull, "pending_full", ""),
        (
            AuditEvent::ClawvisorState { state: Ready, error: None },
            "clawvisor_state",
            r#","state":"ready""#,
        ),
        (
            AuditEvent::ClawvisorState { state: TokenRefused, error: Some(s("401")) },
            "clawvisor_state",
            r#","state":"token_refused","error":"401""#,
        ),
        (Paused, "paused", ""),
        (Resumed, "resumed", ""),
        (LockRetaken { pid: 812 }, "lock_retaken", r#","pid":812"#),
        (LockLost { pid: 812, holder: None }, "lock_lost", r#","pid":812,"holder":null"#),
        (LockLost { pid: 812, holder: Some(9) }, "lock_lost", r#","pid":812,"holder":9"#),
        (Degraded { place, reason: s("full") }, "degraded", r#","where":"outbox","reason":"full""#),
        (
            DegradedEnded { place, reason: s("full"), seconds: 0.25 },
            "degraded_ended",
            r#","where":"outbox","reason":"full","seconds":0.25"#,
        ),
        (AuditTailRepaired, "audit_tail_repaired", ""),
        (AuditRotated { previous: s("/x.1") }, "audit_rotated", r#","previous":"/x.1""#),
    ]
}

fn table() -> Vec<Row> {
    [of_dispatches(), of_the_daemon()].concat()
}

#[test]
fn each_event_has_its_line_and_is_read_back() {
    for (event, word, fields) in table() {
        for id in ["", "dispatch-a", "a \"file\".json"] {
            let escaped = Value::from(id);
            let text =
                format!(r#"{{"ts":"{TS}","event":"{word}","dispatch_id":{escaped}{fields}}}"#);
            assert_eq!(event.line(TS, id), format!("{text}\n"));
            let (ts, dispatch_id, word) = (s(TS), s(id), s(word));
            let read = AuditLine { ts, dispatch_id, word, event: Some(event.clone()), text };
            assert_eq!(AuditLine::read(&read.text), read);
        }
    }
}

#[test]
fn the_topic_names_each_event_and_no_other() {
    let rows = TOPIC.split("| event | more fields |\n").nth(1).expect("the table");
    let rows = rows.lines().skip(1).take_while(|line| line.starts_with('|'));
    let names = rows.filter_map(|row| row.split('|').nth(1));
    let told: BTreeSet<&str> = names.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let known: BTreeSet<&str> = table().into_iter().map(|(_, word, _)| word).collect();
    assert_eq!(told, known);
}

#[test]
fn a_line_that_is_not_known_keeps_its_text() {
    for (text, ts, word, id) in [
        (
            r#"{"ts":"t","event":"gated","dispatch_id":"dispatch-a","by":7}"#,
            "t",
            "gated",
            "dispatch-a",
        ),
        (
            r#"{"ts":"t","event":"received","dispatch_id":"dispatch-a"}"#,
            "t",
            "received",
            "dispatch-a",
        ),
        (r#"{"ts":5,"event":["paused"]}"#, "", "", ""),
        (r#"{"ts":"2026-04"#, "", "", ""),
        ("", "", "", ""),
        ("[]", "", "", ""),
    ] {
        let read = AuditLine::read(text);
        assert_eq!(
            (read.ts.as_str(), read.word.as_str(), read.dispatch_id.as_str()),
            (ts, word, id)
        );
        assert_eq!((read.event, read.text.as_str()), (None, text));
    }
    let newer = AuditLine::read(r#"{"ts":"t","event":"paused","dispatch_id":"","until":"noon"}"#);
    assert_eq!(newer.event, Some(Paused));
}

fn attempt(resume: ResumeAttempt) -> Step {
    Step::Resume(Resume::Attempt(resume))
}

#[test]
fn the_steps_of_recovery_are_called_as_they_always_were() {
    let words: BTreeSet<String> = step_word::all().map(step_word::word).collect();
    let plain = [
        "adopt",
        "conclude",
        "discard",
        "giveup(none)",
        "gone",
        "judge",
        "publish",
        "queue",
        "queueagain",
        "queueretry",
        "stands",
    ];
    let causes = [
        "ttl",
        "cancelled",
        "shutdown",
        "stalled",
        "starttimeout",
        "outputlimit",
        "resultgrace",
        "tmplimit",
        "queuetimeout",
        "unanswered",
        "taskrevoked",
        "taskdenied",
        "taskcancelled",
    ];
    let stopped = causes.map(|cause| format!("goonstopping({cause})"));
    let given_up = causes.map(|cause| format!("giveup(some({cause}))"));
    let all = plain.map(s).into_iter().chain(stopped).chain(given_up);
    assert_eq!(words, all.collect());
    for step in [
        Step::Resume(Resume::Gone),
        attempt(ResumeAttempt::GoOnStopping(StopCause::StartTimeout)),
        attempt(ResumeAttempt::GiveUp(Some(StopCause::Ttl))),
        attempt(ResumeAttempt::GiveUp(None)),
    ] {
        let read = AuditLine::read(&Recovered { step }.line(TS, "dispatch-a"));
        assert_eq!(read.event, Some(Recovered { step }));
    }
}

#[test]
fn a_word_is_the_same_in_the_log_and_in_the_audit_log() {
    let word = |value: Value| value.as_str().map(s);
    for why in [Why::Probe, Why::Time, Why::Released, Why::AllProjects] {
        assert_eq!(word(serde_json::json!(why)), Some(s(why.name())));
    }
    for place in [
        Subsystem::Lock,
        Subsystem::Room,
        Subsystem::Answer,
        Subsystem::Start,
        Subsystem::Inbox,
        Subsystem::File,
        Subsystem::Audit,
        Subsystem::Outbox,
        Subsystem::Heartbeat,
    ] {
        assert_eq!(word(serde_json::json!(place)), Some(s(place.name())));
    }
    for reason in [
        Reason::NotJson,
        Reason::NotAnObject,
        Reason::Schema,
        Reason::UnsafeId,
        Reason::Nul,
        Reason::TooLarge,
        Reason::Symlink,
        Reason::NotAFile,
        Reason::Unreadable,
        Reason::ForeignOwner,
        Reason::WritableByOthers,
        Reason::HardLink,
        Reason::DuplicateId,
    ] {
        assert_eq!(word(serde_json::json!(reason)), Some(s(reason.name())));
    }
}

#[test]
fn the_last_event_of_a_dispatch_follows_from_its_report() {
    let report = |status| Report { duration: 7, ..Report::empty(status) };
    let ran = |status| Report { attempts: vec![AttemptReport::default()], ..report(status) };
    let exit_code = Some(None);
    let nothing = |status, exit_code| NotCompleted {
        error_type: None,
        retry_count: 0,
        ..not_completed(status, exit_code)
    };
    for (report, event) in [
        (ran(Status::Completed), Completed { duration: 7, exit_code }),
        (ran(Status::Timeout), Failed(nothing(Status::Timeout, exit_code))),
        (report(Status::Failed), Failed(nothing(Status::Failed, None))),
        (report(Status::Cancelled), Cancelled(nothing(Status::Cancelled, None))),
    ] {
        assert_eq!(AuditEvent::of_report(&report), event);
    }
}

#[test]
fn what_becomes_of_a_hold_is_an_event() {
    let hold: Hold = serde_json::from_value(serde_json::json!({
        "agent": "claude", "kind": "auth", "since_ms": 0, "until_ms": 1_775_226_600_000_i64,
        "reason": "401", "project": HeldProject { name: s("shop"), dir: s("/git/shop") },
    }))
    .expect("a hold");
    let of = |change| AuditEvent::of_hold(change);
    assert_eq!(of(HoldChange::Started(hold.clone())), HoldStarted(begun(Some("shop"))));
    assert_eq!(of(HoldChange::Prolonged(hold.clone())), HoldProlonged(begun(Some("shop"))));
    let HoldBegun { agent, kind, project, project_dir, .. } = begun(Some("shop"));
    let ended = HoldEnded { agent, kind, project, project_dir, why: Why::Time };
    assert_eq!(of(HoldChange::Ended(hold, Why::Time)), ended);
}
