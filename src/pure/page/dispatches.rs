//! The table of dispatches, with a filter, and the story of each.
//!
//! Owns how much of a dispatch the page tells: there is an end to each text and to all of them
//! together, so that the page of a busy month still opens at once.

use std::fmt::Write;

use super::html::{Html, clipped, is_web_address, text};
use crate::pure::human::look::Look;
use crate::pure::human::{amount, span};
use crate::pure::report::{AttemptReport, Report, Status};
use crate::pure::tally::{EndedDispatch, word};
use crate::pure::text::time::parse_rfc3339;

/// The newest are listed.
const ROWS_MAX: usize = 5000;
/// What all the texts from outside may take together, and those of one dispatch.
const ALL_TEXTS_BYTES_MAX: usize = 4_000_000;
const TEXTS_BYTES_MAX: usize = 6_000;
const TITLE_BYTES_MAX: usize = 240;
/// Attempts that a story tells of: the last ones.
const ATTEMPTS_MAX: usize = 8;
const WARNINGS_MAX: usize = 5;

pub(super) fn dispatches(ended: &[EndedDispatch], look: &Look, page: &mut Html) {
    page.push_str("<h2 id=dispatches>Dispatches</h2>\n");
    let rows = &ended[..ended.len().min(ROWS_MAX)];
    if rows.is_empty() {
        page.push_str("<p>None.</p>\n");
        return;
    }
    if rows.len() < ended.len() {
        let _ = write!(
            page,
            "<p class=note>The newest {} of {}; all of them are in the numbers above.</p>",
            rows.len(),
            ended.len()
        );
    }
    filter(rows, page);
    page.push_str(
        "<table class=all role=table aria-labelledby=dispatches><thead role=rowgroup>\
         <tr role=row>",
    );
    for head in ["Ended", "State", "Project", "Agent", "Took", "Cost", "Task"] {
        let _ = write!(page, "<th role=columnheader scope=col>{head}");
    }
    page.push_str("<tbody role=rowgroup>");
    let texts_bytes = (ALL_TEXTS_BYTES_MAX / rows.len()).min(TEXTS_BYTES_MAX);
    for (at, dispatch) in rows.iter().enumerate() {
        row(at, dispatch, texts_bytes, look, page);
    }
    page.push_str("\n</table>\n");
}

/// It is shown by the script, which it needs.
fn filter(rows: &[EndedDispatch], page: &mut Html) {
    page.push_str(
        "<div class=filter hidden><label>Filter<input type=search autocomplete=off></label>\
         <label>State<select><option value=\"\">all</option>",
    );
    for status in [Status::Completed, Status::Failed, Status::Timeout, Status::Cancelled] {
        let _ = write!(page, "<option>{}</option>", word(&status));
    }
    page.push_str("</select></label><label>Project<select><option value=\"\">all</option>");
    let mut projects: Vec<&str> = rows.iter().map(EndedDispatch::project).collect();
    projects.sort_unstable();
    projects.dedup();
    for project in projects {
        page.push_str("<option>");
        text(page, project);
        page.push_str("</option>");
    }
    page.push_str("</select></label><output></output></div>\n");
}

fn row(at: usize, dispatch: &EndedDispatch, texts_bytes: usize, look: &Look, page: &mut Html) {
    let report = &dispatch.report;
    let (class, sign) = match report.status {
        Status::Completed => ("s-ok", "✓"),
        Status::Failed => ("s-fail", "✗"),
        Status::Timeout => ("s-late", "◷"),
        Status::Cancelled => ("s-gone", "⊘"),
    };
    let ended = dispatch.finished_at_ms().map(|at| local(look, at)).unwrap_or_default();
    let _ = write!(page, "\n<tr role=row id=d{at}><td role=cell>{ended}");
    let state = word(&report.status);
    let _ =
        write!(page, "<td role=cell class={class}><span aria-hidden=true>{sign} </span>{state}");
    let cost = report.total_cost_usd.map(amount::usd).unwrap_or_default();
    let took = span::show(report.duration);
    for cell in [dispatch.project(), &report.target_agent, &took, &cost] {
        page.push_str("<td role=cell>");
        text(page, cell);
    }
    page.push_str("<td role=cell><details><summary>");
    let title = dispatch.task.lines().find(|line| !line.trim().is_empty()).unwrap_or("no task");
    clipped(page, title, TITLE_BYTES_MAX);
    page.push_str("</summary><pre>");
    story(dispatch, texts_bytes, look, page);
    page.push_str("</pre></details>");
}

/// `2026-11-20 14:05`.
fn local(look: &Look, at_ms: i64) -> String {
    let local = look.zone.local(at_ms);
    format!("{} {}", local.date(), local.clock())
}

/// One text: thousands of stories would be too many elements for a browser to open at once.
fn story(dispatch: &EndedDispatch, texts_bytes: usize, look: &Look, page: &mut Html) {
    let report = &dispatch.report;
    text(page, &report.dispatch_id);
    if let Some(dir) = &dispatch.project_dir {
        page.push_str(" in ");
        clipped(page, &look.path(dir), TITLE_BYTES_MAX);
    }
    page.push_str("\n\n");
    clipped(page, dispatch.task.trim(), texts_bytes / 2);
    page.push_str("\n\n");
    steps(dispatch, look, page);
    if let Some(result) = &report.result {
        page.push_str("\nIts last words:\n");
        clipped(page, result.trim(), texts_bytes / 2);
        page.push('\n');
    }
    facts(report, page);
    page.push_str("\ngstack-dispatch-daemon show ");
    text(page, &report.dispatch_id);
}

/// What happened, in order.
fn steps(dispatch: &EndedDispatch, look: &Look, page: &mut Html) {
    let report = &dispatch.report;
    let mut step = |words: &str| {
        clipped(page, words, TITLE_BYTES_MAX);
        page.push('\n');
    };
    if let Some(at) = dispatch.accepted_at_ms {
        step(&format!("{}: accepted", look.stamp(at)));
    }
    let left_out = report.attempts.len().saturating_sub(ATTEMPTS_MAX);
    if left_out > 0 {
        step(&format!("{left_out} attempts that are not listed here"));
    }
    let mut free_since = dispatch.accepted_at_ms;
    for attempt in &report.attempts[left_out..] {
        let from = attempt.started_at.as_deref().and_then(parse_rfc3339);
        if let (Some(since), Some(from)) = (free_since, from)
            && from - since >= 1000
        {
            step(&format!("waited {}", span::show(((from - since) / 1000).unsigned_abs())));
        }
        step(&told(attempt, from, look));
        let ms = attempt.duration.map(|seconds| (seconds * 1000.0) as i64);
        free_since = from.zip(ms).map(|(from, ms)| from.saturating_add(ms));
    }
    let at = dispatch.finished_at_ms().map(|at| format!("{}: ", look.stamp(at)));
    let kind = report.error_type.map(|kind| word(&kind));
    let kind = kind.filter(|kind| *kind != word(&report.status));
    let why = kind.map(|kind| format!(", {kind}")).unwrap_or_default();
    let error = report.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
    step(&format!("{}{}{why}{error}", at.unwrap_or_default(), word(&report.status)));
}

fn told(attempt: &AttemptReport, from: Option<i64>, look: &Look) -> String {
    let at = from.map(|at| format!("{}: ", look.stamp(at))).unwrap_or_default();
    let mut words = format!("{at}attempt {}", attempt.attempt);
    if attempt.resumed {
        words += ", resumed";
    }
    if let Some(seconds) = attempt.duration {
        words += &format!(", {}", span::show_seconds(seconds));
    }
    if let Some(turns) = attempt.num_turns {
        words += &format!(", {turns} turn{}", if turns == 1 { "" } else { "s" });
    }
    if let Some(cost) = attempt.total_cost_usd {
        words += &format!(", {}", amount::usd(cost));
    }
    if let Some(kind) = attempt.error_type {
        words += &format!(", {}", word(&kind));
    }
    words
}

fn facts(report: &Report, page: &mut Html) {
    let mut told = Vec::new();
    if let (Some(input), Some(output)) = (report.input_tokens, report.output_tokens) {
        told.push(format!("{} tokens in, {} out", amount::count(input), amount::count(output)));
    }
    if let Some(commits) = report.commits {
        let branch = report.git.as_ref().and_then(|git| git.branch.as_deref());
        let branch = branch.map(|branch| format!(" on {branch}")).unwrap_or_default();
        told.push(format!("{commits} commit{}{branch}", if commits == 1 { "" } else { "s" }));
    }
    if let Some(verify) = &report.verify {
        let outcome = if verify.exit_code == Some(0) { "passed" } else { "did not pass" };
        told.push(format!("the check {outcome}"));
    }
    if !report.permission_denials.is_empty() {
        told.push(format!("{} tool calls were denied", report.permission_denials.len()));
    }
    told.extend(report.warnings.iter().take(WARNINGS_MAX).map(|told| format!("warning: {told}")));
    if !told.is_empty() || report.pr.is_some() {
        page.push('\n');
    }
    for fact in told {
        clipped(page, &fact, TITLE_BYTES_MAX);
        page.push('\n');
    }
    if let Some(pr) = &report.pr {
        page.push_str("pull request: ");
        if is_web_address(pr) {
            page.push_str("<a rel=\"noopener noreferrer\" href=\"");
            text(page, pr);
            page.push_str("\">");
        }
        text(page, pr);
        page.push_str(if is_web_address(pr) { "</a>\n" } else { "\n" });
    }
}
