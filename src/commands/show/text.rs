//! `show` for people: a line for each thing that is known, what was written by others in whole.
//! Owns the labels and their order.

use super::Shown;
use crate::commands::list::style_of;
use crate::commands::status::text::in_local_time;
use crate::pure::human::look::{Look, Style};
use crate::pure::human::{amount, span, width};
use crate::pure::record::DispatchState;
use crate::pure::report::{AttemptReport, GitFacts, Report, VerifyReport};
use crate::pure::text::escape;
use crate::pure::text::time::parse_rfc3339;

/// Where what belongs to a label begins.
const COLUMN: usize = 13;

/// Lines, one after the other.
struct Page<'l> {
    look: &'l Look,
    text: String,
}

pub(super) fn render(shown: &Shown, look: &Look) -> String {
    let mut page = Page { look, text: String::new() };
    page.head(shown);
    page.place(shown);
    page.times(shown);
    page.task(shown);
    page.attempts(&shown.attempts);
    if let Some(report) = &shown.report {
        page.result(report);
    }
    page.rest(shown);
    page.text
}

impl Page<'_> {
    /// A label and its value, wrapped to the terminal.
    fn line(&mut self, label: &str, value: &str) {
        self.styled(label, value, Style::Plain);
    }

    fn styled(&mut self, label: &str, value: &str, style: Style) {
        let value = escape::line(value);
        let lines = match self.look.width {
            Some(columns) => width::wrap(&value, columns.saturating_sub(COLUMN).max(10)),
            None => vec![value],
        };
        for (at, line) in lines.iter().enumerate() {
            let label = if at == 0 { label } else { "" };
            let label = self.look.paint(Style::Bold, &width::pad(label, COLUMN));
            let line = self.look.paint(style, line);
            let whole = format!("{label}{line}");
            self.push(whole.trim_end());
        }
    }

    fn known(&mut self, label: &str, value: Option<&str>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.line(label, value);
        }
    }

    /// A text to its end, each of its lines behind a bar, so that none can pass for one of ours.
    fn whole(&mut self, label: &str, text: &str) {
        if text.is_empty() {
            return;
        }
        let label = self.look.paint(Style::Bold, label);
        self.push(&label);
        // A tab is as wide as the terminal likes.
        let tab = if self.look.width.is_some() { "    " } else { "\t" };
        for line in text.trim_end_matches('\n').split('\n') {
            let parts: Vec<String> = line.split('\t').map(escape::line).collect();
            let line = parts.join(tab);
            let lines = match self.look.width {
                Some(columns) => width::wrap(&line, columns.saturating_sub(4).max(10)),
                None => vec![line],
            };
            for line in lines {
                self.push(format!("  | {line}").trim_end());
            }
        }
    }

    /// The last resort for a terminal that is too narrow for the labels.
    fn push(&mut self, line: &str) {
        let is_wide = self.look.width.is_some_and(|room| width::of_painted(line) > room);
        let line = if is_wide { self.look.fit(&plain(line)) } else { line.to_string() };
        self.text += &line;
        self.text.push('\n');
    }

    fn instant(&mut self, label: &str, at: Option<&str>) {
        let at = at.and_then(parse_rfc3339).map(|at| self.look.instant(at));
        self.known(label, at.as_deref());
    }

    // ------------------------------------------------------------------------------- what is told

    fn head(&mut self, Shown { record, advice, .. }: &Shown) {
        self.line("dispatch", record.shown_id());
        let state = record.shown_state();
        let kind = record.shown_kind();
        let state_text = match kind {
            Some(kind) => format!("{} ({kind})", state.name()),
            None => state.name().to_string(),
        };
        self.styled("state", &state_text, style_of(state));
        let waits = record.waits_for.as_ref().map(|waits| in_local_time(waits, self.look));
        self.line("why", waits.as_ref().unwrap_or(&advice.why));
        self.known("error", record.error.as_deref());
        self.known("next", advice.hint.as_deref());
        if record.cancel_requested {
            self.line("cancel", "requested");
        }
        if let Some(position) = record.position {
            self.line("position", &format!("{position} in order of turn"));
        }
    }

    fn place(&mut self, Shown { record, report, fields, .. }: &Shown) {
        self.known("project", record.project.as_deref());
        let dir = record.project_dir.as_deref().map(|dir| self.look.path(dir));
        self.known("directory", dir.as_deref());
        self.known("agent", record.target_agent.as_deref());
        self.known("from", record.dispatched_by.as_deref());
        self.known("file", record.file.as_deref());
        self.known("retry of", record.retry_of.as_deref());
        self.known("retried as", Some(&record.retried_as.join(", ")));
        let ttl = fields.as_ref().and_then(|fields| fields.ttl_seconds).map(span::show);
        self.known("ttl", ttl.as_deref());
        let approval = report.as_ref().and_then(|report| report.approval.as_ref());
        let by =
            approval.and_then(|approval| approval.by).map(|by| format!("{by:?}").to_lowercase());
        self.known("approved by", by.as_deref());
    }

    fn times(&mut self, Shown { record, fields, attempts, .. }: &Shown) {
        self.instant("accepted", record.accepted_at.as_deref());
        self.instant("started", record.started_at.as_deref());
        self.instant("finished", record.finished_at.as_deref());
        let mut used: Vec<String> = Vec::new();
        used.extend(record.duration.or(record.elapsed).map(span::show));
        used.extend(record.retry_count.filter(|count| *count > 0).map(|n| format!("retries: {n}")));
        used.extend(record.num_turns.or(record.turns).map(|turns| amount::of(turns, "turn")));
        used.extend(record.total_cost_usd.map(amount::usd));
        used.extend(record.input_tokens.map(|n| format!("{} tokens in", amount::count(n))));
        used.extend(record.output_tokens.map(|n| format!("{} out", amount::count(n))));
        used.extend(record.output_bytes.map(|bytes| format!("{} of output", amount::bytes(bytes))));
        self.known("used", Some(&used.join(", ")));
        if record.state != Some(DispatchState::Running) {
            return;
        }
        let mut last: Vec<String> = record.last_tool.clone().into_iter().collect();
        let activity = record.last_activity.as_deref().and_then(parse_rfc3339);
        last.extend(activity.map(|at| self.look.when(at)));
        self.known("last", Some(&last.join(", ")));
        let began =
            attempts.last().and_then(|attempt| parse_rfc3339(attempt.started_at.as_deref()?));
        let ttl = fields.as_ref().and_then(|fields| fields.ttl_seconds);
        if let (Some(began), Some(ttl), None) = (began, ttl, &record.waits_for) {
            let left = began + ttl as i64 * 1000 - self.look.now_ms;
            let left = left.max(0).unsigned_abs() / 1000;
            self.line("time left", &format!("{} of this attempt's", span::show(left)));
        }
    }

    fn task(&mut self, Shown { fields, .. }: &Shown) {
        let Some(fields) = fields else { return };
        self.whole("task", &fields.task);
        self.whole("constraints", &fields.constraints.join("\n"));
        self.whole("learnings", &fields.learnings.join("\n"));
    }

    fn attempts(&mut self, attempts: &[AttemptReport]) {
        for attempt in attempts {
            let mut said = Vec::new();
            let at = attempt.started_at.as_deref().and_then(parse_rfc3339);
            said.extend(at.map(|at| self.look.stamp(at)));
            said.extend(attempt.duration.map(span::show_seconds));
            said.extend(attempt.resumed.then(|| "resumed".to_string()));
            said.extend(attempt.exit_code.map(|code| format!("exit {code}")));
            said.extend(attempt.signal.map(|signal| format!("signal {signal}")));
            said.extend(attempt.num_turns.map(|turns| amount::of(turns, "turn")));
            said.extend(attempt.total_cost_usd.map(amount::usd));
            said.extend(attempt.session_id.as_ref().map(|id| format!("session {id}")));
            let kind = attempt.error_type.and_then(|kind| serde_json::to_value(kind).ok());
            said.extend(kind.as_ref().and_then(|kind| kind.as_str()).map(str::to_string));
            said.extend(attempt.error.clone());
            self.line(&format!("attempt {}", attempt.attempt), &said.join(", "));
        }
    }

    fn result(&mut self, report: &Report) {
        self.whole("result", report.result.as_deref().unwrap_or_default());
        for denial in &report.permission_denials {
            let input = denial.input.as_deref().map(|input| format!(": {input}"));
            self.line("denied", &format!("{}{}", denial.tool_name, input.unwrap_or_default()));
        }
        if let Some(git) = &report.git {
            self.known("git", Some(&git_text(git)));
        }
        self.known("pull request", report.pr.as_deref());
        if let Some(verify) = &report.verify {
            self.line("verify", &verify_text(verify));
            self.whole("its output", verify.output.as_deref().unwrap_or_default());
        }
        for left in &report.leftover_processes {
            let what = if left.ended { "ended" } else { "left alone" };
            self.line("left behind", &format!("{} (pid {}), {what}", left.name, left.pid));
        }
        for warning in &report.warnings {
            self.line("warning", warning);
        }
        self.known("resume", report.resume.as_deref());
    }

    fn rest(&mut self, Shown { callback, folder, fields, .. }: &Shown) {
        let url = fields.as_ref().and_then(|fields| fields.callback_url.as_deref());
        self.known("callback", url);
        if let Some(told) = callback {
            let tries = told.tries.map(|tries| format!(", tried {tries}×")).unwrap_or_default();
            let next = told.next_try.as_deref().and_then(parse_rfc3339);
            let next = next.map(|at| format!(", next {}", self.look.until(at)));
            let state = told.state.replace('_', " ");
            self.line("", &format!("{state}{tries}{}", next.unwrap_or_default()));
        }
        let folder = folder.as_deref().map(|folder| self.look.path(folder));
        self.known("folder", folder.as_deref());
    }
}

fn plain(line: &str) -> String {
    line.split("\u{1b}[")
        .enumerate()
        .map(|(at, part)| {
            let rest = part.split_once('m').map_or("", |(_, rest)| rest);
            if at == 0 { part } else { rest }
        })
        .collect()
}

fn git_text(git: &GitFacts) -> String {
    let mut said: Vec<String> = git.branch.clone().into_iter().collect();
    said.extend(git.commits.map(|count| amount::of(count, "commit")));
    let dirty = git.dirty_files.filter(|count| *count > 0);
    said.extend(dirty.map(|count| format!("{} not committed", amount::of(count, "file"))));
    said.extend(git.head_after.as_deref().and_then(|head| head.get(..10)).map(str::to_string));
    said.join(", ")
}

fn verify_text(verify: &VerifyReport) -> String {
    let how = match (verify.timed_out, verify.exit_code, verify.signal) {
        (true, _, _) => "took too long".into(),
        (false, Some(code), _) => format!("exit {code}"),
        (false, None, Some(signal)) => format!("signal {signal}"),
        (false, None, None) => "did not run".into(),
    };
    format!("{how}, {}", span::show_seconds(verify.duration))
}
