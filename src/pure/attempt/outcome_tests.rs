//! Tests of how endings are judged, from summaries as any agent's driver may make them. Must not
//! use an agent's own words, except those of the driver made up here: their meaning is tested
//! beside each driver.

use super::*;
use crate::pure::agent::{ApiRetry, claude};
use crate::pure::attempt::warnings::warnings_of_work;
use crate::pure::config::launcher::Launcher;
use crate::pure::report::Denial;
use crate::pure::report::GitFacts;

const CODE_0: Option<Exit> = Some(Exit { code: Some(0), signal: None });
const CODE_1: Option<Exit> = Some(Exit { code: Some(1), signal: None });
const SIGTERM: Option<Exit> = Some(Exit { code: Some(143), signal: None });
const SIGKILL: Option<Exit> = Some(Exit { code: None, signal: Some(9) });

const LIMITS: StopLimits = StopLimits {
    start_ms: Some(120_000),
    queue_ms: Some(90_000),
    stall_ms: Some(1_500),
    result_grace_ms: Some(30_000),
    first_answer_ms: Some(900_000),
    stdout_bytes_max: Some(1_500_000),
    tmp_bytes_max: Some(2_500_000),
};

/// An agent with one word of its own.
const ROBOT: Driver = Driver { name: "robot", start_failure: refusal, ..claude::DRIVER };

fn refusal(stderr: &str) -> Option<Failure> {
    let message = stderr.lines().find(|line| line.starts_with("I refuse"))?.to_string();
    Some(Failure { error_type: ErrorType::Auth, message })
}

fn ending_with(
    summary: &Summary,
    exit: Option<Exit>,
    stop: Option<StopCause>,
    stderr: &str,
) -> Ending {
    launched_ending(summary, exit, stop, (stderr, None))
}

fn launched_ending(
    summary: &Summary,
    exit: Option<Exit>,
    stop: Option<StopCause>,
    (stderr, launcher): (&str, Option<&Launcher>),
) -> Ending {
    classify(&Evidence {
        driver: &ROBOT,
        stop,
        ttl_seconds: 3600,
        limits: &LIMITS,
        launcher,
        exit,
        summary,
        clawvisor_task: "t-1",
        stdout_bytes: 100 * summary.lines,
        stderr_tail: stderr,
    })
}

fn ending(summary: &Summary, exit: Option<Exit>) -> Ending {
    ending_with(summary, exit, None, "")
}

fn begun() -> Summary {
    Summary { lines: 1, ..Summary::default() }
}

fn answered(result: ResultEvent) -> Summary {
    Summary { lines: 2, result: Some(result), ..Summary::default() }
}

fn done() -> Summary {
    answered(ResultEvent::default())
}

fn failed_by_itself(error_type: ErrorType, message: &str) -> Summary {
    let failure = Some(Failure { error_type, message: message.into() });
    answered(ResultEvent { failure, ..ResultEvent::default() })
}

#[test]
fn what_the_driver_says_of_an_error_stands_whatever_the_exit() {
    for error_type in [ErrorType::RateLimit, ErrorType::Config, ErrorType::ToolFailure] {
        for exit in [CODE_1, CODE_0, None, SIGKILL] {
            let ending = ending(&failed_by_itself(error_type, "its words"), exit);
            assert_eq!((ending.status, ending.error_type), (Status::Failed, Some(error_type)));
            assert_eq!(ending.error.as_deref(), Some("its words"));
            assert_eq!(ending.warnings, Vec::<String>::new());
        }
    }
}

#[test]
fn our_own_stop_comes_first() {
    let limited = failed_by_itself(ErrorType::RateLimit, "x");
    for summary in [done(), limited, begun(), Summary::default()] {
        for exit in [CODE_0, CODE_1, SIGTERM, SIGKILL, None] {
            for (stop, status, error_type) in [
                (StopCause::Ttl, Status::Timeout, ErrorType::Timeout),
                (StopCause::Cancelled, Status::Cancelled, ErrorType::Cancelled),
                (StopCause::Shutdown, Status::Cancelled, ErrorType::Shutdown),
                (StopCause::TaskRevoked, Status::Cancelled, ErrorType::NotAuthorized),
            ] {
                let ending = ending_with(&summary, exit, Some(stop), "I refuse");
                assert_eq!((ending.status, ending.error_type), (status, Some(error_type)));
                assert_eq!(ending.warnings.len(), usize::from(summary == done()));
            }
        }
    }
    let error = Some("server_error".to_string());
    let retry = Some(ApiRetry { attempt: 4, error_status: Some(529), error });
    let retrying = Summary { api_retry: retry, ..begun() };
    assert_eq!(
        ending_with(&retrying, SIGTERM, Some(StopCause::Ttl), "").error.as_deref(),
        Some(
            "timed out after 3600 seconds; it was repeating an API request after server_error 529 (attempt 4)"
        )
    );
}

#[test]
fn no_result_is_a_failure_whatever_the_exit_code() {
    use ErrorType::*;
    let unknown = Some(Exit::default());
    let refusal = "warning\nI refuse\n";
    let (silent, begun) = (Summary::default(), begun());
    #[rustfmt::skip]
    let rows: &[(&Summary, Option<Exit>, &str, ErrorType, &str)] = &[
        (&begun, CODE_0, "", ToolFailure, "robot ended without a result (exit code 0)"),
        (&silent, CODE_0, refusal, ToolFailure, "robot ended without a result (exit code 0); stderr: warning"),
        (&silent, CODE_1, refusal, Auth, "I refuse"),
        (&silent, CODE_1, "", ToolFailure, "robot ended without a result (exit code 1)"),
        (&silent, CODE_1, "\n Segmentation fault\nx", ToolFailure, "robot ended without a result (exit code 1); stderr: Segmentation fault"),
        (&silent, SIGKILL, refusal, ToolFailure, "robot ended without a result (killed by signal 9); stderr: warning"),
        (&begun, CODE_1, refusal, ToolFailure, "robot ended without a result (exit code 1); stderr: warning"),
        (&begun, SIGTERM, "", ToolFailure, "robot ended without a result (exit code 143)"),
        (&begun, None, "", Interrupted, "robot ended unseen, without a result"),
        (&silent, None, refusal, Interrupted, "robot ended unseen, without a result"),
        (&begun, unknown, "", Interrupted, "robot ended unseen, without a result"),
    ];
    for (summary, exit, stderr, error_type, error) in rows {
        let ending = ending_with(summary, *exit, None, stderr);
        assert_eq!(ending.status, Status::Failed);
        assert_eq!((ending.error_type, ending.error.as_deref()), (Some(*error_type), Some(*error)));
    }
}

#[test]
fn a_success_and_its_exit() {
    use ErrorType::*;
    let plain = done();
    let busy = Summary { outstanding_tasks: 2, ..done() };
    let again = Summary { working_after_result: true, ..done() };
    type Row<'a> = (&'a Summary, Option<Exit>, Option<ErrorType>, &'a [&'a str]);
    let rows: &[Row] = &[
        (&plain, CODE_0, None, &[]),
        (&plain, None, None, &[]),
        (&plain, CODE_1, None, &["robot did not exit cleanly after its result (exit code 1)"]),
        (
            &plain,
            SIGKILL,
            None,
            &["robot did not exit cleanly after its result (killed by signal 9)"],
        ),
        (&busy, CODE_0, None, &["2 background tasks were outstanding when the session ended"]),
        (&busy, SIGKILL, Some(ToolFailure), &[]),
        (&busy, SIGTERM, Some(ToolFailure), &[]),
        (&busy, None, Some(Interrupted), &[]),
        (&again, CODE_0, None, &["another turn was running when the session ended"]),
        (&again, SIGKILL, Some(ToolFailure), &[]),
    ];
    for (summary, exit, error_type, warnings) in rows {
        let ending = ending(summary, *exit);
        assert_eq!(ending.error_type, *error_type, "{summary:?} {exit:?}");
        assert_eq!(ending.status == Status::Completed, error_type.is_none());
        assert_eq!(ending.warnings, *warnings);
    }
}

#[test]
fn denials_and_broken_lines_are_warnings() {
    let denied = |names: &[&str]| {
        let denial = |name: &&str| Denial { tool_name: name.to_string(), input: None };
        let (denials, denials_total) = (names.iter().map(denial).collect(), names.len());
        answered(ResultEvent { denials, denials_total, ..ResultEvent::default() })
    };
    for (names, wanted) in [
        (&["Bash"][..], "1 tool call was denied (Bash): see permission_denials"),
        (
            &["Bash", "Write", "Bash"],
            "3 tool calls were denied (Bash, Write): see permission_denials",
        ),
        (
            &["a", "b", "c", "d", "e", "f"],
            "6 tool calls were denied (a, b, c, d, e, …): see permission_denials",
        ),
    ] {
        let ending = ending(&Summary { broken_lines: 1, ..denied(names) }, CODE_0);
        assert_eq!(ending.status, Status::Completed);
        assert_eq!(ending.warnings, [wanted, "1 line of the stream could not be read"]);
    }
}

#[test]
fn each_clock_says_what_it_waited_for() {
    use ErrorType::*;
    for (cause, error_type, error) in [
        (StopCause::Stalled, Stalled, "ended: no output and no work for 1.5 seconds"),
        (
            StopCause::StartTimeout,
            StartTimeout,
            "ended: nothing on its stream within 120 seconds of its start",
        ),
        (StopCause::OutputLimit, OutputLimit, "ended: it wrote more than 1.5 MB on stderr"),
        (StopCause::TmpLimit, OutputLimit, "ended: its TMPDIR took up more than 2.5 MB"),
        (StopCause::Unanswered, ToolFailure, "ended: no word of its model for 900 seconds"),
    ] {
        let got = ending_with(&begun(), SIGTERM, Some(cause), "");
        assert_eq!((got.status, got.error_type), (Status::Failed, Some(error_type)), "{cause:?}");
        assert_eq!(got.error.as_deref(), Some(error));
    }
}

#[test]
fn an_agent_that_answered_and_stayed_is_judged_by_its_answer() {
    let stayed = "robot did not exit within 30 seconds of its result, and was ended";
    let grace = Some(StopCause::ResultGrace);
    for exit in [SIGTERM, SIGKILL, CODE_0, None] {
        let got = ending_with(&done(), exit, grace, "");
        assert_eq!((got.status, got.error_type), (Status::Completed, None), "{exit:?}");
        assert_eq!(got.warnings, [stayed]);
    }
    let error = failed_by_itself(ErrorType::RateLimit, "429");
    let got = ending_with(&error, SIGTERM, grace, "");
    assert_eq!((got.status, got.error_type), (Status::Failed, Some(ErrorType::RateLimit)));
    assert_eq!(got.warnings, [stayed]);
    // The agent began to work again just before our signal, and did not finish that work.
    let woken = Summary { working_after_result: true, ..done() };
    assert_eq!(ending_with(&woken, SIGTERM, grace, "").error_type, Some(ErrorType::ToolFailure));
    // The stream no longer holds the result.
    assert_eq!(ending_with(&begun(), SIGTERM, grace, "").status, Status::Failed);
}

#[test]
fn an_answer_that_came_while_its_session_was_ended_for_want_of_one_stands() {
    let unanswered = Some(StopCause::Unanswered);
    let got = ending_with(&done(), CODE_0, unanswered, "");
    assert_eq!((got.status, got.warnings.len()), (Status::Completed, 0));
    let error = failed_by_itself(ErrorType::Auth, "401");
    let got = ending_with(&error, CODE_1, unanswered, "");
    assert_eq!((got.status, got.error_type), (Status::Failed, Some(ErrorType::Auth)));
    let retry = ApiRetry { attempt: 2, error_status: None, error: Some("timeout".into()) };
    let waiting = Summary { api_retry: Some(retry), ..begun() };
    let error = ending_with(&waiting, SIGTERM, unanswered, "").error.expect("an error");
    assert!(error.ends_with("; it was repeating an API request after timeout (attempt 2)"));
}

#[test]
fn only_a_check_that_exits_with_0_passes() {
    let good = || ending(&done(), CODE_0);
    let after = |exit, timed_out, error: Option<&str>| {
        let checked = Checked { exit, timed_out, error: error.map(String::from) };
        after_check(good(), &checked, 2.0)
    };
    assert_eq!(after(CODE_0, false, None), good());
    for (exit, timed_out, error, want) in [
        (CODE_1, false, None, "exit code 1"),
        (SIGKILL, false, None, "killed by signal 9"),
        (CODE_0, true, None, "it took over 2 seconds"),
        (None, false, Some("cannot start make: x"), "cannot start make: x"),
        (None, false, None, "exit unknown"),
    ] {
        let got = after(exit, timed_out, error);
        assert_eq!((got.status, got.error_type), (Status::Failed, Some(ErrorType::VerifyFailed)));
        assert_eq!(got.error, Some(format!("the acceptance command did not pass: {want}")));
    }
    let cut = "while the finished work was verified";
    for (cause, error_type, why) in [
        (StopCause::Cancelled, ErrorType::Cancelled, "cancelled"),
        (StopCause::Shutdown, ErrorType::Shutdown, "the daemon was shut down"),
        (StopCause::TaskRevoked, ErrorType::NotAuthorized, "clawvisor task t-1 is revoked"),
    ] {
        let got = cut_check(good(), cause, "t-1");
        assert_eq!((got.status, got.error_type), (Status::Cancelled, Some(error_type)));
        assert_eq!(got.error, Some(format!("{why} {cut}")));
    }
}

#[test]
fn a_task_that_ends_is_the_error_of_its_session() {
    for (cause, status) in [
        (StopCause::TaskRevoked, "revoked"),
        (StopCause::TaskDenied, "denied"),
        (StopCause::TaskCancelled, "cancelled"),
    ] {
        let ending = ending_with(&begun(), SIGTERM, Some(cause), "");
        assert_eq!(ending.error, Some(format!("clawvisor task t-1 is {status}")));
        let end = cause.task_end().expect("a task's end");
        assert_eq!((end.name(), StopCause::of_task(end)), (status, cause));
    }
}

#[test]
fn a_session_that_was_denied_and_changed_nothing_is_told_at_a_glance() {
    let summary = |denials_total| Summary {
        result: Some(ResultEvent { denials_total, ..ResultEvent::default() }),
        ..Summary::default()
    };
    let git = |commits, dirty_files| GitFacts { commits, dirty_files, ..GitFacts::default() };
    for (denied, git, want) in [
        (1, git(Some(0), Some(0)), Some("it was denied 1 tool and changed nothing")),
        (3, git(Some(0), Some(0)), Some("it was denied 3 tools and changed nothing")),
        (0, git(Some(0), Some(0)), None),
        (1, git(Some(1), Some(0)), None),
        (1, git(Some(0), Some(2)), None),
        (1, git(None, None), None),
    ] {
        let got = warnings_of_work(&summary(denied), &git, false);
        assert_eq!(got.first().map(String::as_str), want, "{denied} {git:?}");
    }
    assert_eq!(warnings_of_work(&summary(0), &git(None, None), true).len(), 1);
}

#[test]
fn what_was_dirty_before_is_told_and_is_nobodys_work() {
    let told = |denials_total, git: GitFacts| {
        let result = Some(ResultEvent { denials_total, ..ResultEvent::default() });
        warnings_of_work(&Summary { result, ..Summary::default() }, &git, false)
    };
    let git = |files, before, commits, committed| GitFacts {
        dirty_files: Some(files),
        dirty_before: before,
        commits: Some(commits),
        dirty_committed: committed,
        ..GitFacts::default()
    };
    let one = "1 file had uncommitted changes before the session";
    let two = "2 files had uncommitted changes before the session";
    for (denied, git, want) in [
        (0, git(3, None, 0, None), vec![]),
        (0, git(3, Some(0), 0, None), vec![]),
        (0, git(3, Some(1), 0, None), vec![one.to_string()]),
        (0, git(3, Some(2), 1, Some(0)), vec![two.to_string()]),
        (0, git(0, Some(1), 1, Some(1)), vec![format!("{one}: 1 of them is in its commits")]),
        (0, git(0, Some(2), 1, Some(2)), vec![format!("{two}: 2 of them are in its commits")]),
        (1, git(2, Some(1), 0, None), vec![one.to_string()]),
        (
            1,
            git(2, Some(2), 0, None),
            vec!["it was denied 1 tool and changed nothing".to_string(), two.to_string()],
        ),
    ] {
        assert_eq!(told(denied, git.clone()), want, "{denied} {git:?}");
    }
}

#[test]
fn a_launcher_that_failed_before_the_agent_is_no_failure_of_the_agent() {
    use ErrorType::*;
    let launcher = Launcher { fail_codes: vec![125, 253], ..Launcher::default() };
    let code = |code| Some(Exit { code: Some(code), signal: None });
    let banner = Summary { lines: 1, broken_lines: 1, ..Summary::default() };
    let nothing = Summary::default();
    for (name, summary, exit, want) in [
        ("no allocation", &nothing, code(253), Some(SpawnFailed)),
        ("a banner, then nothing", &banner, code(125), Some(SpawnFailed)),
        ("the agent had begun", &begun(), code(253), Some(ToolFailure)),
        ("a code that nobody named", &nothing, code(7), Some(ToolFailure)),
        ("the node went", &nothing, CODE_0, Some(ToolFailure)),
        ("nobody saw its end", &nothing, None, Some(Interrupted)),
        ("it was killed", &nothing, SIGKILL, Some(ToolFailure)),
        ("a result stands", &done(), code(253), None),
    ] {
        let told = ("srun: error: no\nI refuse", Some(&launcher));
        let got = launched_ending(summary, exit, None, told);
        assert_eq!(got.error_type, want, "{name}: {got:?}");
    }
    let failed = launched_ending(&nothing, code(253), None, ("\nsrun: no\n", Some(&launcher)));
    let said = "the launcher failed (exit code 253): the agent never ran; stderr: srun: no";
    assert_eq!(failed.error.as_deref(), Some(said));
    // Without a launcher, the first words on stderr are the agent's own.
    assert_eq!(ending_with(&nothing, CODE_1, None, "I refuse").error_type, Some(Auth));
    // Our own end of it says more than any exit code.
    let waited = Some(StopCause::QueueTimeout);
    let waited = launched_ending(&nothing, code(253), waited, ("", Some(&launcher)));
    assert_eq!((waited.status, waited.error_type), (Status::Failed, Some(QueueTimeout)));
    let said = "ended: its engine let it wait for 90 seconds without a sign of the agent";
    assert_eq!(waited.error.as_deref(), Some(said));
}

#[test]
fn what_may_be_left_in_an_engine_is_told() {
    use EngineEnd::*;
    let mut launcher = Launcher { kill: Some(vec!["scancel".into()]), ..Launcher::default() };
    let one = |launcher: &Launcher, end: Option<EngineEnd>, clean| {
        warning_of_engine(launcher, end.as_ref(), clean).is_some()
    };
    for (end, clean, want) in [
        (Done, true, false),
        (Done, false, false),
        (Refused("exit code 1".into()), true, false),
        (Refused("exit code 1".into()), false, true),
        (TimedOut, true, true),
        (NotRun("it is gone".into()), true, true),
        (NotRun("it is gone".into()), false, true),
    ] {
        assert_eq!(one(&launcher, Some(end.clone()), clean), want, "{end:?} {clean}");
    }
    launcher.kill = Some(Vec::new());
    assert!(!one(&launcher, None, false), "nothing runs elsewhere");
    launcher.kill = None;
    assert!(one(&launcher, None, true), "nobody knows");
}
