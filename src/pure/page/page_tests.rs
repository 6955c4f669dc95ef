//! The page as text: what stands on it, and that nothing of it can run or load.

use super::*;
use crate::pure::human::zone::Zone;
use crate::pure::report::{AttemptReport, ErrorType, Report, Status};
use crate::pure::tally::Window;
use crate::pure::tally::holds::HoldSpan;
use crate::pure::text::time::rfc3339;

const HOUR_MS: i64 = 3_600_000;

fn look() -> Look {
    Look { width: None, has_colour: false, zone: Zone::utc(), now_ms: 24 * HOUR_MS, home: None }
}

fn ended(n: i64, status: Status, task: &str) -> EndedDispatch {
    let attempt = |number: u32, from: i64| AttemptReport {
        attempt: number,
        started_at: Some(rfc3339(from)),
        duration: Some(60.0),
        error_type: (number == 1).then_some(ErrorType::RateLimit),
        ..AttemptReport::default()
    };
    let from = n * 10_000;
    let report = Report {
        dispatch_id: format!("dispatch-{n}"),
        project: Some(format!("project-{}", n % 7)),
        started_at: Some(rfc3339(from)),
        finished_at: Some(rfc3339(from + 180_000)),
        attempts: vec![attempt(1, from), attempt(2, from + 120_000)],
        result: Some(task.into()),
        pr: Some("https://github.com/a/b/pull/7".into()),
        ..Report::empty(status)
    };
    let project_dir = Some(format!("/p/project-{}", n % 7));
    EndedDispatch { report, project_dir, task: task.into(), accepted_at_ms: Some(from - 60_000) }
}

fn made(ended: &[EndedDispatch]) -> String {
    let window = Window { since_ms: Some(0), until_ms: 24 * HOUR_MS };
    let hold = HoldSpan {
        agent: "claude".into(),
        kind: "usage_limit".into(),
        project: None,
        from_ms: HOUR_MS,
        until_ms: 2 * HOUR_MS,
    };
    page(&Tally::new(window, ended, 2, vec![hold]), ended, &look(), "1")
}

#[test]
fn a_page_has_its_numbers_its_bars_and_its_stories() {
    let page = made(&[ended(1, Status::Completed, "say hi"), ended(2, Status::Failed, "break")]);
    for part in [
        "<dt>Success</dt><dd>50 %</dd>",
        "class=ok ",
        "class=fail ",
        "class=again ",
        "class=wait ",
        "class=held ",
        "aria-label=\"project-1: 1 dispatches in 2 sessions, 1 completed\"",
        "<summary>say hi</summary>",
        "attempt 1, 1m 00s, rate_limit",
        "waited 1m 00s",
        "href=\"https://github.com/a/b/pull/7\"",
        "gstack-dispatch-daemon show dispatch-1",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("{{") && page.ends_with("</html>\n"));
}

#[test]
fn nothing_from_outside_becomes_a_part_of_the_page() {
    let evil =
        "</pre></script><script>alert(1)</script><img src=x onerror=alert(1)>\" ' & \u{202e}\u{1b}";
    let mut one = ended(1, Status::Completed, evil);
    one.report.project = Some(evil.into());
    one.report.target_agent = evil.into();
    one.report.error = Some(evil.into());
    one.report.warnings = vec![evil.into()];
    one.project_dir = Some(evil.into());
    one.report.pr = Some("javascript:alert(1)//https://x".into());
    let page = made(&[one]);
    assert_eq!(page.matches("<script>").count(), 1);
    assert!(!page.contains("<img") && !page.contains('\u{202e}') && !page.contains('\u{1b}'));
    assert!(!page.contains("&gt;\" ") && !page.contains("' &"));
    assert!(!page.contains("href=\"java") && !page.contains(" style="));
    for (address, is_one) in [
        ("https://github.com/a/b/pull/7", true),
        ("http://[::1]:8080/x?y=z#w", true),
        ("HTTPS://x", false),
        ("https://", false),
        ("https://x\" onclick=\"y", false),
        ("https://x\n", false),
        ("ftp://x", false),
        ("//x", false),
    ] {
        assert_eq!(html::is_web_address(address), is_one, "{address}");
    }
}

#[test]
fn the_policy_names_the_style_and_the_script_that_are_there() {
    let page = made(&[]);
    let between = |from: &str, to: &str| {
        let begin = page.find(from).expect(from) + from.len();
        page[begin..].split(to).next().expect("an end").to_string()
    };
    let (style, script) = (between("<style>", "</style>"), between("<script>", "</script>"));
    assert!(page.contains(&format!("style-src '{}'", digest(&style))));
    assert!(page.contains(&format!("script-src '{}'", digest(&script))));
    assert!(page.contains("default-src 'none'"));
    assert!(!style.contains("url(") && !style.contains("@import"));
}

#[test]
fn a_page_of_many_dispatches_has_an_end() {
    let many = |count: i64| {
        let task = "<&\"'> ".repeat(2000);
        (0..count).map(|n| ended(n, Status::Completed, &task)).collect::<Vec<_>>()
    };
    assert!(made(&many(2000)).len() < 8_000_000);
    let page = made(&many(5001));
    assert!(page.len() < 14_000_000, "{}", page.len());
    assert!(page.contains("The newest 5000 of 5001"));
    let none = made(&[]);
    assert!(none.contains("None.") && none.len() < 20_000);
}

#[test]
fn a_window_of_no_time_divides_by_nothing() {
    let window = Window { since_ms: None, until_ms: 0 };
    let one = [ended(0, Status::Timeout, "x")];
    let page = page(&Tally::new(window, &one, 0, Vec::new()), &one, &look(), "1");
    assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
}
