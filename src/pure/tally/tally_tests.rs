//! The sums, the holds, and both of their forms.

use super::holds::HoldReader;
use super::*;
use crate::pure::audit_event::AuditLine;
use crate::pure::human::look::Look;
use crate::pure::human::zone::Zone;
use crate::pure::report::{AttemptReport, ErrorType};

fn ended(project: &str, agent: &str, report: Report) -> EndedDispatch {
    let report = Report {
        project: Some(project.into()),
        target_agent: agent.into(),
        attempts: vec![AttemptReport::default()],
        ..report
    };
    let project_dir = Some(format!("/p/{project}"));
    EndedDispatch { report, project_dir, task: "t".into(), accepted_at_ms: None }
}

fn some() -> Vec<EndedDispatch> {
    let done = || Report {
        duration: 60,
        retry_count: Some(1),
        total_cost_usd: Some(0.1),
        input_tokens: Some(1000),
        output_tokens: Some(10),
        commits: Some(2),
        ..Report::empty(Status::Completed)
    };
    let failed = Report {
        error_type: Some(ErrorType::RateLimit),
        total_cost_usd: Some(0.2),
        ..Report::empty(Status::Failed)
    };
    let cancelled = Report {
        error_type: Some(ErrorType::Cancelled),
        attempts: Vec::new(),
        ..Report::empty(Status::Cancelled)
    };
    let mut last = ended("api", "claude", cancelled);
    last.report.attempts.clear();
    vec![
        ended("shop", "claude", done()),
        ended("shop", "codex", done()),
        ended("api", "claude", failed),
        last,
    ]
}

fn window() -> Window {
    Window { since_ms: Some(0), until_ms: 86_400_000 }
}

#[test]
fn sums_are_made_in_all_by_project_and_by_agent() {
    let tally = Tally::new(window(), &some(), 3, Vec::new());
    let json = tally.json();
    let wanted = json!({
        "since": "1970-01-01T00:00:00.000Z", "until": "1970-01-02T00:00:00.000Z",
        "dispatches": 4, "completed": 2, "failed": 1, "timeout": 0, "cancelled": 1, "retries": 2,
        "duration": 120, "total_cost_usd": 0.4, "input_tokens": 2000, "output_tokens": 20,
        "commits": 4, "success_rate": 0.5, "rejected": 3,
        "error_types": {"cancelled": 1, "rate_limit": 1}, "holds": [],
    });
    for (key, value) in wanted.as_object().expect("an object") {
        assert_eq!(json[key], *value, "{key}");
    }
    let names = |key: &str, name: &str| {
        let shares = json[key].as_array().expect("shares").iter();
        shares
            .map(|share| {
                format!("{}: {}", share[name].as_str().expect("a name"), share["dispatches"])
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(names("projects", "project"), ["api: 2", "shop: 2"]);
    assert_eq!(names("agents", "target_agent"), ["claude: 3", "codex: 1"]);
    assert_eq!(json["projects"][1]["project_dir"], "/p/shop");
}

#[test]
fn what_nobody_told_is_unknown_and_nothing_is_nothing() {
    let untold = ended("a", "b", Report::empty(Status::Completed));
    let json = Tally::new(window(), &[untold], 0, Vec::new()).json();
    assert!(json.get("total_cost_usd").is_none() && json.get("input_tokens").is_none(), "{json}");
    let none = Tally::new(Window { since_ms: None, ..window() }, &[], 0, Vec::new()).json();
    assert!(none.get("success_rate").is_none() && none.get("since").is_none(), "{none}");
    assert_eq!((&none["total_cost_usd"], &none["dispatches"]), (&json!(0.0), &json!(0)));
    let untouched = some().pop().expect("the last");
    let json = Tally::new(window(), &[untouched], 0, Vec::new()).json();
    assert_eq!((&json["total_cost_usd"], &json["input_tokens"]), (&json!(0.0), &json!(0)));
}

fn line(second: u32, event: &str) -> AuditLine {
    AuditLine::read(&format!(
        r#"{{"ts":"1970-01-01T00:00:{second:02}.000Z","dispatch_id":"",{event}}}"#
    ))
}

#[test]
fn holds_last_until_they_end_or_as_long_as_they_were_meant_to() {
    let begun = |word: &str, agent: &str, until: u32| {
        format!(
            r#""event":"{word}","agent":"{agent}","kind":"usage_limit","reason":"r","until":"1970-01-01T00:00:{until}.000Z""#
        )
    };
    let ended = r#""event":"hold_ended","agent":"claude","kind":"usage_limit","why":"time""#;
    let mut reader = HoldReader::default();
    for line in [
        line(1, &begun("hold_started", "claude", 20)),
        line(2, &begun("hold_started", "codex", 50)),
        line(3, &begun("hold_prolonged", "claude", 40)),
        line(10, ended),
        line(30, &begun("hold_started", "claude", 33)),
        line(45, &begun("hold_started", "claude", 55)),
        line(46, r#""event":"paused""#),
    ] {
        assert!(HoldReader::may_tell(&line.text) || line.word == "paused");
        reader.read(&line);
    }
    let spans = reader.spans(Window { since_ms: Some(11_000), until_ms: 60_000 });
    let told: Vec<_> = spans.iter().map(|s| (s.agent.as_str(), s.from_ms, s.until_ms)).collect();
    assert_eq!(
        told,
        [("codex", 2000, 50_000), ("claude", 30_000, 33_000), ("claude", 45_000, 55_000)]
    );
    assert_eq!(
        spans[0].json(),
        json!({"agent": "codex", "kind": "usage_limit", "from": "1970-01-01T00:00:02.000Z",
            "until": "1970-01-01T00:00:50.000Z"})
    );
}

#[test]
fn tables_have_the_same_numbers_and_fit_the_terminal() {
    let held = HoldSpan {
        agent: "claude".into(),
        kind: "usage_limit".into(),
        project: None,
        from_ms: 1000,
        until_ms: 2000,
    };
    let tally = Tally::new(window(), &some(), 1, vec![held]);
    let look =
        Look { width: Some(80), has_colour: false, zone: Zone::utc(), now_ms: 3000, home: None };
    let text = text(&tally, &look);
    assert_eq!(
        text,
        "1970-01-01 00:00:00 +00:00 until 1970-01-02 00:00:00 +00:00
4 dispatches ended; 1 file was rejected

PROJECT  ENDED  COMPLETED  FAILED  TIMEOUT  CANCELLED  RETRIES  SUCCESS
api      2      0          1       0        1          0        0 %
shop     2      2          0       0        0          2        100 %
all      4      2          1       0        1          2        50 %

PROJECT  TIME    COST   TOKENS IN  TOKENS OUT  COMMITS
api      0s      $0.20  0          0           0
shop     2m 00s  $0.20  2.0k       20          4
all      2m 00s  $0.40  2.0k       20          4

AGENT   ENDED  COMPLETED  FAILED  TIMEOUT  CANCELLED  RETRIES  SUCCESS
claude  3      1          1       0        1          1        33 %
codex   1      1          0       0        0          1        100 %

AGENT   TIME    COST   TOKENS IN  TOKENS OUT  COMMITS
claude  1m 00s  $0.30  1.0k       10          2
codex   1m 00s  $0.10  1.0k       10          2

ERROR       COUNT
cancelled   1
rate_limit  1

HELD    KIND         FROM    UNTIL
claude  usage_limit  2s ago  1s ago
"
    );
    let mut long = some();
    long[0].report.project = Some("a-project-with-a-very-long-name-\u{1b}[2J".repeat(3));
    let tally = Tally::new(window(), &long, 0, Vec::new());
    for line in super::text(&tally, &look).lines() {
        assert!(line.chars().count() <= 80 && !line.contains('\u{1b}'), "{line}");
    }
    let none = super::text(&Tally::new(window(), &[], 0, Vec::new()), &look);
    assert_eq!(none.lines().nth(1), Some("nothing ended"));
}
