use super::*;
use crate::pure::attempt::record::{Mode, NextStep};
use crate::pure::dispatch::DispatchId;
use crate::pure::gate::PendingWhy;
use crate::pure::heartbeat::{Heartbeat, HeartbeatHold, HeartbeatParked};
use crate::pure::liveness::Liveness;
use crate::pure::record::facts::LastAttempt;
use crate::pure::record::fields::DispatchFields;
use crate::pure::record::waits::WaitReason;
use crate::pure::schedule::hold::HoldKind;
use crate::pure::schedule::pause::Pause;

const NOW_MS: i64 = 1_800_000_000_000;

fn id(name: &str) -> DispatchId {
    DispatchId::parse(&format!("dispatch-{name}")).expect(name)
}

fn facts(name: &str, stage: Stage) -> DispatchFacts {
    let agent = Some("claude".into());
    let fields = DispatchFields { target_agent: agent, ..DispatchFields::default() };
    DispatchFacts { fields: Some(fields), ..DispatchFacts::new(Some(id(name)), stage) }
}

fn in_lane(lane: &str, last: Option<LastAttempt>) -> Stage {
    let first_started_ms = last.as_ref().map(|last| NOW_MS - 60_000 - i64::from(last.number));
    let lane = Some(lane.into());
    Stage::Active(OpenFacts { first_started_ms, last, lane, is_bare: false })
}

fn queued(lane: &str) -> Stage {
    in_lane(lane, None)
}

fn attempt(number: u32, next: Option<NextStep>) -> Option<LastAttempt> {
    let end = next.map(|next| {
        let end = serde_json::json!({
            "ending": {"status": "failed", "warnings": []}, "next": {"what": "report"}, "finished_at_ms": 0,
            "elapsed_ms": 0, "retries": 0, "first": {"at_ms": 0, "monotonic_ms": 0, "boot_id": ""},
            "attempt": {"attempt": number}, "output_length": 0,
        });
        let end = serde_json::from_value(end).expect("an attempt's end");
        Box::new(crate::pure::attempt::record::AttemptEnd { next, ..end })
    });
    Some(LastAttempt { number, end, output_bytes: Some(7), last_activity_ms: Some(NOW_MS - 2000) })
}

fn retry() -> NextStep {
    let (mode, not_before_ms, delay_ms) = (Mode::AsIs, NOW_MS + 30_000, 60_000);
    NextStep::Retry { mode, retries: 1, not_before_ms, delay_ms }
}

fn again() -> NextStep {
    NextStep::Queue { mode: Mode::AsIs, retries: 0, waits: 1 }
}

fn daemon(liveness: Liveness) -> DaemonFacts {
    let beat = Heartbeat { max_concurrent: Some(2), ..Heartbeat::default() };
    DaemonFacts { liveness, beat, now_ms: NOW_MS, max_per_lane: 1, ..DaemonFacts::default() }
}

fn degraded(mut daemon: DaemonFacts) -> DaemonFacts {
    daemon.beat.degraded = Some("no space".into());
    daemon
}

fn paused(daemon: DaemonFacts) -> DaemonFacts {
    DaemonFacts { pause: Some(Pause::UntilResumed), ..daemon }
}

fn holding(mut daemon: DaemonFacts, kind: HoldKind, dir: Option<&str>) -> DaemonFacts {
    daemon.beat.holds.push(HeartbeatHold {
        agent: if kind == HoldKind::Budget { String::new() } else { "claude".into() },
        kind,
        probe: None,
        project: dir.map(|_| "shop".into()),
        project_dir: dir.map(str::to_string),
        reason: "five_hour".into(),
        until: rfc3339(NOW_MS + 60_000),
        waiting: 1,
    });
    daemon
}

#[test]
fn the_first_reason_that_applies_is_told() {
    use WaitReason::*;
    let run = || daemon(Liveness::Run);
    let pending = || Stage::Pending(Some(PendingWhy::UntrustedProject));
    let inbox = || Stage::Inbox { file: None };
    let everything = || holding(paused(degraded(run())), HoldKind::UsageLimit, None);
    let mut parked = everything();
    parked.beat.parked.push(HeartbeatParked { id: "dispatch-a".into(), reason: "x".into() });
    for (at, (stage, daemon, want)) in [
        (pending(), daemon(Liveness::None), Some(Approval)),
        (pending(), everything(), Some(Approval)),
        (inbox(), daemon(Liveness::None), Some(Daemon)),
        (inbox(), daemon(Liveness::Drain), Some(Daemon)),
        (inbox(), everything(), Some(Acceptance)),
        (queued("/free"), daemon(Liveness::Stopped), Some(Daemon)),
        (queued("/free"), daemon(Liveness::Drain), Some(Daemon)),
        (queued("/free"), degraded(daemon(Liveness::Dead)), Some(Daemon)),
        (queued("/free"), everything(), Some(Trouble)),
        (queued("/free"), parked.clone(), Some(Trouble)),
        (in_lane("/free", attempt(1, None)), parked, Some(Trouble)),
        (queued("/free"), holding(paused(run()), HoldKind::Auth, None), Some(Pause)),
        (queued("/free"), holding(run(), HoldKind::Auth, None), Some(Hold)),
        (queued("/free"), holding(run(), HoldKind::Budget, None), Some(Budget)),
        (queued("/free"), holding(run(), HoldKind::Auth, Some("/free")), Some(Hold)),
        (queued("/free"), holding(run(), HoldKind::Auth, Some("/fre")), Some(Slot)),
        (queued("/busy"), run(), Some(Project)),
        (queued("/free"), run(), Some(Slot)),
        (queued("/free"), daemon(Liveness::Hung), Some(Slot)),
        (in_lane("/free", attempt(1, Some(again()))), run(), Some(Slot)),
        (in_lane("/free", attempt(1, Some(retry()))), run(), Some(Retry)),
        (in_lane("/free", attempt(1, Some(retry()))), paused(run()), Some(Pause)),
        (in_lane("/free", attempt(1, Some(retry()))), daemon(Liveness::Drain), Some(Daemon)),
        (in_lane("/free", attempt(1, None)), everything(), None),
        (in_lane("/free", attempt(1, None)), daemon(Liveness::Drain), None),
        (in_lane("/free", attempt(1, None)), daemon(Liveness::Dead), Some(Daemon)),
        (in_lane("/free", attempt(1, Some(NextStep::Report))), everything(), None),
    ]
    .into_iter()
    .enumerate()
    {
        let facts = facts("a", stage);
        let busy = in_lane("/busy", attempt(1, None));
        let others = [self::facts("busy", busy), facts.clone()];
        let waits = waits::waits_for(&facts, &daemon, &Peers::new(others.iter()));
        assert_eq!(waits.as_ref().map(|waits| waits.what), want, "row {at}: {waits:?}");
    }
}

#[test]
fn a_sentence_says_all_of_it() {
    let run = || daemon(Liveness::Run);
    let busy = facts("busy", in_lane("/busy", attempt(1, None)));
    let says = |stage, daemon| {
        let facts = facts("a", stage);
        let peers = [busy.clone(), facts.clone()];
        waits::waits_for(&facts, &daemon, &Peers::new(peers.iter())).expect("it waits")
    };
    let project = says(queued("/busy"), run());
    assert_eq!(project.text, "waits for dispatch-busy in this project");
    assert_eq!(project.ids, ["dispatch-busy"]);
    let hold = says(queued("/busy"), holding(run(), HoldKind::UsageLimit, None));
    assert_eq!(
        hold.text,
        "waits: claude is held (usage_limit) until 2027-01-15T08:01:00.000Z: five_hour"
    );
    assert_eq!(hold.until.as_deref(), Some("2027-01-15T08:01:00.000Z"));
    assert_eq!(
        (hold.agent.as_deref(), hold.kind.as_deref()),
        (Some("claude"), Some("usage_limit"))
    );
    let back_off = says(in_lane("/free", attempt(1, Some(retry()))), run());
    assert_eq!(back_off.until, Some(rfc3339(NOW_MS + 30_000)));
    let pause = DaemonFacts { pause: Some(Pause::Until(NOW_MS + 1000)), ..run() };
    assert_eq!(says(queued("/free"), pause).until, Some(rfc3339(NOW_MS + 1000)));
}

#[test]
fn turns_come_by_acceptance_whatever_ran_before() {
    let seq = |name: &str, seq, stage| DispatchFacts { seq, ..facts(name, stage) };
    let all = [
        seq("c", 9, queued("/x")),
        seq("b", 3, in_lane("/x", attempt(2, Some(again())))),
        seq("a", 1, in_lane("/x", attempt(1, None))),
        seq("d", 12, queued("/y")),
    ];
    let peers = Peers::new(all.iter());
    let position = |at: usize| Record::new(&all[at], &daemon(Liveness::Run), &peers).position;
    assert_eq!(
        [position(0), position(1), position(2), position(3)],
        [Some(2), Some(1), None, Some(3)]
    );
}

#[test]
fn what_runs_is_told_from_its_files_and_from_the_heartbeat() {
    let session = HeartbeatSession {
        attempt: 2,
        id: "dispatch-a".into(),
        project: "shop".into(),
        turns: Some(3),
        output_bytes: Some(1),
        last_tool: Some("Bash".into()),
        ..HeartbeatSession::default()
    };
    let mut daemon = daemon(Liveness::Run);
    daemon.beat.sessions.push(session);
    let record = |number| {
        let facts = facts("a", in_lane("/x", attempt(number, None)));
        Record::new(&facts, &daemon, &Peers::default())
    };
    let current = record(2);
    assert_eq!(current.state, Some(DispatchState::Running));
    assert_eq!((current.elapsed, current.attempt, current.turns), (Some(60), Some(2), Some(3)));
    // Bytes and activity are those of now.
    assert_eq!(current.output_bytes, Some(7));
    assert_eq!(current.last_activity, Some(rfc3339(NOW_MS - 2000)));
    assert_eq!((current.last_tool.as_deref(), current.waits_for), (Some("Bash"), None));
    // The beat is of the attempt before this one.
    let newer = record(3);
    assert_eq!((newer.attempt, newer.turns, newer.output_bytes), (Some(3), None, Some(7)));
}

#[test]
fn a_report_that_refuses_a_file_is_no_failure() {
    use ErrorType::{InvalidDispatch, Timeout};
    for (status, error_type, want) in [
        (Status::Completed, None, DispatchState::Completed),
        (Status::Failed, None, DispatchState::Failed),
        (Status::Timeout, Some(Timeout), DispatchState::Timeout),
        (Status::Cancelled, None, DispatchState::Cancelled),
        (Status::Failed, Some(InvalidDispatch), DispatchState::Rejected),
    ] {
        assert_eq!(DispatchState::of_report(status, error_type), want);
    }
    for state in DispatchState::ALL {
        assert_eq!(serde_json::to_value(state).expect("a name"), state.name());
    }
}

#[test]
fn what_is_unknown_is_absent() {
    let facts = DispatchFacts::new(None, Stage::Inbox { file: Some("dispatch-x.json".into()) });
    let record = Record::new(&facts, &daemon(Liveness::Run), &Peers::default());
    let json = serde_json::to_value(&record).expect("JSON");
    let names: Vec<&String> = json.as_object().expect("an object").keys().collect();
    assert_eq!(names, ["file", "state", "waits_for"]);
}
