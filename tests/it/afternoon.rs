//! One afternoon: forty dispatches for six projects, a usage window that closes in the middle of
//! it, a project whose own settings are wrong all the time, and one of everything else that goes
//! wrong.
//!
//! What each of these does alone is tested elsewhere; here they happen to one daemon at once, and
//! must not be mistaken for one another. The heartbeat is read all along: who looked at it would
//! have known.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::util::*;

/// The dispatch `n` is for the project `n % 6`.
const PROJECTS: [&str; 6] = ["shop", "site", "docs", "tools", "blog", "broken"];
const DISPATCHES: usize = 40;
const SLOTS: usize = 3;
/// In the broken project only: its own settings, which name a model that does not exist.
const BLAME: &str = ".claude/settings.json";

const OVERFLOWS_BY_LEARNINGS: usize = 1;
const HANGS: usize = 3;
const FIRST_BROKEN: usize = 5;
const REFUSED: usize = 14;
const LEAVES_A_SERVER: usize = 22;
/// In the shop, which is a repository: git knows that nothing changed.
const DENIED: usize = 24;
const OVERFLOWS: usize = 26;

/// These are there when the window closes; the others arrive while it is.
const SENT_FIRST: usize = 25;
const CLOSED_FROM_SESSION: usize = 10;
/// More than a machine under load takes for what must happen meanwhile: the end of the one that
/// hangs.
const CLOSED_SECONDS: i64 = 20;
const PROBE_SECONDS: u64 = 2;
/// All of it. Only failures wait for it.
const AFTERNOON: Duration = Duration::from_secs(120);

fn name(n: usize) -> String {
    format!("{n:02}")
}

fn project(n: usize) -> &'static str {
    PROJECTS[n % PROJECTS.len()]
}

fn is_broken(n: usize) -> bool {
    project(n) == "broken"
}

fn recorded(scenario: &str) -> String {
    format!("fake: replay {FIXTURES}/streams/2.1.330/{scenario}.jsonl")
}

/// The forty, and what they share.
struct Afternoon {
    lab: Lab,
    /// How many sessions there were, and when the usage window opens.
    account: PathBuf,
    /// Who was let work.
    worked: PathBuf,
    server: PathBuf,
    /// Each heartbeat that was seen.
    beats: Vec<Value>,
}

impl Afternoon {
    fn new() -> Afternoon {
        let lab = Lab::new();
        lab.repository("shop");
        let blame = lab.project("broken").join(BLAME);
        fs::create_dir(blame.parent().expect("its folder")).expect("create .claude");
        fs::write(blame, r#"{"model": "claude-nonesuch"}"#).expect("write the settings");
        let (worked, server) = (lab.path("worked"), lab.path("server"));
        Afternoon { account: lab.project("account"), lab, worked, server, beats: Vec::new() }
    }

    fn dispatch(&self, n: usize) -> Dispatch {
        let work = match n {
            OVERFLOWS_BY_LEARNINGS => "fake: tool Read".into(),
            OVERFLOWS => recorded("prompt-too-long"),
            HANGS => "fake: turn I wait for it.\nfake: sleep 7777".into(),
            REFUSED => recorded("refusal"),
            LEAVES_A_SERVER => format!("fake: setsid-child {}", self.server.display()),
            DENIED => "fake: tool Bash git push\nfake: deny Bash\nfake: deny Bash".into(),
            _ => {
                "fake: tool Read\nfake: answer x\nfake: sleep 0.3\nfake: result success done".into()
            }
        };
        let account = format!("{} {CLOSED_FROM_SESSION} {CLOSED_SECONDS}", self.account.display());
        let refusal = recorded("model-not-found-404").replace("fake: ", "");
        let task = format!(
            "fake: account {account}\nfake: while {BLAME} {refusal}\nfake: while {BLAME} exit 1\n\
             fake: mark {}\n{work}\n",
            self.worked.display()
        );
        let dispatch = self.lab.task(&name(n), task).in_dir(&self.lab.project(project(n)));
        let dispatch = dispatch.with("project", project(n));
        match n {
            OVERFLOWS_BY_LEARNINGS => {
                dispatch.with("learnings", json!([recorded("prompt-too-long")]))
            }
            HANGS => dispatch.with("ttl_seconds", 4),
            _ => dispatch,
        }
    }

    fn send(&self, numbers: std::ops::Range<usize>) {
        numbers.for_each(|n| self.lab.send(&self.dispatch(n)));
    }

    /// Reads the heartbeat while it waits.
    fn wait(&mut self, what: &str, mut so: impl FnMut(&Lab, &[Value]) -> bool) {
        let mut last = String::new();
        let (lab, beats) = (&self.lab, &mut self.beats);
        wait_until(what, AFTERNOON, || {
            let text = fs::read_to_string(lab.heartbeat_path()).unwrap_or_default();
            if !text.is_empty() && text != last {
                beats.push(serde_json::from_str(&text).expect("a whole heartbeat"));
                last = text;
            }
            so(lab, beats)
        });
    }

    /// Beats that tell of a hold of that kind.
    fn beats_with(&self, kind: &str) -> Vec<(&Value, &Value)> {
        self.beats.iter().filter_map(|beat| Some((beat, held(beat, kind)?))).collect()
    }
}

fn held<'b>(beat: &'b Value, kind: &str) -> Option<&'b Value> {
    beat["holds"].as_array()?.iter().find(|hold| hold["kind"] == kind)
}

fn is_answered(lab: &Lab, n: usize) -> bool {
    lab.report_path(&name(n)).exists()
}

/// Status, reason and retries that a dispatch must have in the end.
fn wanted(n: usize) -> (&'static str, Option<&'static str>, u64) {
    match n {
        OVERFLOWS_BY_LEARNINGS => ("completed", None, 1),
        OVERFLOWS => ("failed", Some("context_overflow"), 0),
        HANGS => ("timeout", Some("timeout"), 0),
        REFUSED => ("failed", Some("logic_error"), 0),
        FIRST_BROKEN => ("failed", Some("config"), 0),
        _ => ("completed", None, 0),
    }
}

#[test]
fn an_afternoon_in_which_everything_goes_wrong_once() {
    let mut day = Afternoon::new();
    let daemon = day.lab.daemon().set("--max-concurrent", SLOTS).set("--heartbeat", 0.2);
    let daemon = daemon.set("--probe", PROBE_SECONDS).start();
    day.send(0..SENT_FIRST);
    day.wait("the closed window told", |_, beats| {
        beats.last().is_some_and(|beat| held(beat, "usage_limit").is_some())
    });
    day.send(SENT_FIRST..DISPATCHES);

    // The broken project stays so until all others are done: they cannot have waited for it.
    let others = |n: &usize| !is_broken(*n);
    day.wait("the reports of all other projects", |lab, _| {
        (0..DISPATCHES).filter(others).all(|n| is_answered(lab, n))
    });
    let broken: Vec<usize> = (FIRST_BROKEN + 1..DISPATCHES).filter(|n| is_broken(*n)).collect();
    assert!(!broken.iter().any(|n| is_answered(&day.lab, *n)));
    let probes = |lab: &Lab| {
        let is_probe = |l: &&Value| l["event"] == "hold_prolonged" && l["kind"] == "config";
        lab.audit().iter().filter(is_probe).count()
    };
    let before = probes(&day.lab);
    day.wait("a probe of the broken project, and those that wait for it", |lab, beats| {
        let last = beats.last().and_then(|beat| Some((beat, held(beat, "config")?)));
        last.is_some_and(|(beat, hold)| beat["active"] == 0 && hold["waiting"] == broken.len())
            && probes(lab) > before
    });
    // No session runs now that could see one half of it.
    fs::remove_file(day.lab.path("broken").join(BLAME)).expect("mend the broken project");
    day.wait("the end of it all", |lab, beats| {
        let is_idle = |beat: &Value| beat["active"] == 0 && beat["queued"] == 0;
        let is_free = |beat: &Value| is_idle(beat) && beat.get("holds").is_none();
        (0..DISPATCHES).all(|n| lab.finished(&name(n)).exists())
            && beats.last().is_some_and(is_free)
    });

    let reports: Vec<Value> = (0..DISPATCHES).map(|n| day.lab.report(&name(n))).collect();
    each_has_its_answer(&day, &reports);
    each_worked_once(&day);
    the_closed_window_was_heeded(&day.lab, &reports);
    the_broken_project_took_nothing_from_others(&day.lab, &reports);
    the_heartbeat_told_it(&day);
    let running = day.lab.processes();
    assert!(running.iter().all(|(pid, _)| *pid == daemon.pid), "{running:?}");
    drop(daemon);
}

fn each_has_its_answer(day: &Afternoon, reports: &[Value]) {
    let lab = &day.lab;
    for (n, report) in reports.iter().enumerate() {
        let retries = report["retry_count"].as_u64().expect("retry_count");
        let got = (report["status"].as_str(), report["error_type"].as_str(), retries);
        let (status, error_type, retries) = wanted(n);
        assert_eq!(got, (Some(status), error_type, retries), "{report:#}");
        let events = lab.events(&name(n));
        let count = |wanted: &[&str]| events.iter().filter(|e| wanted.contains(&&***e)).count();
        let ends = count(&["completed", "failed", "cancelled"]);
        assert_eq!((count(&["received"]), ends), (1, 1), "{n}: {events:?}");
        assert_eq!(count(&["retried"]) as u64, retries, "{n}: {events:?}");
        assert_eq!(count(&["leftover_processes"]), usize::from(n == LEAVES_A_SERVER), "{events:?}");
        let attempts = report["attempts"].as_array().map_or(0, Vec::len);
        assert_eq!(count(&["spawned"]), attempts, "{report:#} {events:?}");
    }
    let published = fs::read_dir(lab.inbox().join("completed")).expect("completed").count();
    let active = fs::read_dir(lab.ours().join("active")).expect("active").count();
    assert_eq!((published, active, lab.rejected_count()), (DISPATCHES, 0, 0));
    assert_eq!(lab.waiting(), [""; 0]);

    let server = pids_in(&day.server)[0];
    let left = &reports[LEAVES_A_SERVER]["leftover_processes"];
    assert_eq!((&left[0]["pid"], &left[0]["ended"]), (&json!(server), &json!(true)), "{left}");
    assert!(!alive(server));
    for (n, report) in reports.iter().enumerate() {
        let warnings = report["warnings"].to_string();
        let is_told = warnings.contains("it was denied 2 tools and changed nothing");
        assert_eq!(is_told, n == DENIED, "{report:#}");
    }
}

/// Who met the closed window, or the broken settings, had not begun; nobody else ran again but the
/// one that was retried.
fn each_worked_once(day: &Afternoon) {
    let worked = starts(&day.worked);
    for n in 0..DISPATCHES {
        let times = match n {
            FIRST_BROKEN => 0,
            OVERFLOWS_BY_LEARNINGS => 2,
            _ => 1,
        };
        assert_eq!(worked.iter().filter(|who| **who == name(n)).count(), times, "{n}: {worked:?}");
    }
}

fn attempts(reports: &[Value]) -> impl Iterator<Item = &Value> {
    reports.iter().filter_map(|report| report["attempts"].as_array()).flatten()
}

fn hold_event(lab: &Lab, event: &str, kind: &str) -> (usize, Value) {
    let lines = lab.audit();
    let mut found =
        lines.iter().enumerate().filter(|(_, l)| l["event"] == event && l["kind"] == kind);
    let (at, line) = found.next().unwrap_or_else(|| panic!("no {event} for {kind}"));
    assert!(found.next().is_none(), "{event} for {kind} twice");
    (at, line.clone())
}

fn the_closed_window_was_heeded(lab: &Lab, reports: &[Value]) {
    let (_, hold) = hold_event(lab, "hold_started", "usage_limit");
    let (opened, end) = hold_event(lab, "hold_ended", "usage_limit");
    assert_eq!((&end["why"], hold.get("project")), (&json!("probe"), None), "{end}");
    // The other slots cannot know at once; a moment later nobody starts any more.
    let met: Vec<_> = attempts(reports).filter(|a| a["error_type"] == "usage_limit").collect();
    let audit = lab.audit();
    let again = audit.iter().filter(|line| line["error_type"] == "usage_limit");
    assert_eq!(again.filter(|line| line["event"] == "queued_again").count(), met.len());
    assert!((1..=2 * SLOTS).contains(&met.len()), "{met:#?}");
    // Those that met it a moment later may have been told the next second.
    let told = audit.iter().filter(|line| line["kind"] == "usage_limit");
    let until = told.filter_map(|line| line["until"].as_str()).max();
    for attempt in attempts(reports) {
        let start = &attempt["started_at"];
        let is_meanwhile = start.as_str() > hold["ts"].as_str() && start.as_str() < until;
        let is_late = is_meanwhile && millis_between(&hold["ts"], start) > 1000;
        assert!(!is_late, "{attempt:#} started between {hold} and {until:?}");
    }
    // One goes first, and the others when it works.
    let is_first = |line: &&Value| line["event"] == "spawned" && line["project"] != "broken";
    let after = audit[..opened].iter().filter(|line| line["ts"].as_str() >= until);
    assert_eq!(after.filter(is_first).count(), 1);
}

fn the_broken_project_took_nothing_from_others(lab: &Lab, reports: &[Value]) {
    let (_, hold) = hold_event(lab, "hold_started", "config");
    let (_, end) = hold_event(lab, "hold_ended", "config");
    assert_eq!((&hold["project"], &end["why"]), (&json!("broken"), &json!("probe")));
    let broken = reports.iter().enumerate().filter(|(n, _)| is_broken(*n));
    let broken: Vec<Value> = broken.map(|(_, report)| report.clone()).collect();
    let refused = attempts(&broken).filter(|attempt| attempt["error_type"] == "config");
    let mut tried: Vec<&Value> = refused.map(|attempt| &attempt["started_at"]).collect();
    tried.sort_by_key(|stamp| stamp.as_str());
    assert!(tried.len() >= 2, "no probe: {broken:#?}");
    for pair in tried.windows(2) {
        assert!(millis_between(pair[0], pair[1]) + 100 >= PROBE_SECONDS as i64 * 1000, "{tried:?}");
    }
    // While it was held all slots were in use, and by others.
    let span = |attempt: &Value| {
        let start = millis_between(&hold["ts"], &attempt["started_at"]);
        let seconds = attempt["duration"].as_f64().expect("a duration");
        (start, start + (seconds * 1000.0) as i64)
    };
    let others = reports.iter().enumerate().filter(|(n, _)| !is_broken(*n));
    let others: Vec<Value> = others.map(|(_, report)| report.clone()).collect();
    let after = |a: &&Value| a["started_at"].as_str() > hold["ts"].as_str();
    let spans: Vec<_> = attempts(&others).filter(after).map(span).collect();
    let at_once = spans
        .iter()
        .map(|(at, _)| spans.iter().filter(|(start, end)| start <= at && at < end).count());
    assert_eq!(at_once.max(), Some(SLOTS), "{spans:?}");
}

fn the_heartbeat_told_it(day: &Afternoon) {
    let (_, hold) = hold_event(&day.lab, "hold_started", "usage_limit");
    let told = day.beats_with("usage_limit");
    let first = told.first().expect("the closed window");
    assert!(first.1["until"].as_str() >= hold["until"].as_str(), "{first:?}");
    assert!(first.0["ts"].as_str() < hold["until"].as_str(), "{first:?}");
    assert_eq!((&first.1["agent"], first.1.get("project")), (&json!("claude"), None));
    // All that had no answer yet waited, and no session ran.
    let is_end = |l: &&Value| ["completed", "failed"].iter().any(|event| l["event"] == *event);
    let audit = day.lab.audit();
    let before = audit.iter().filter(|line| line["ts"].as_str() < first.1["until"].as_str());
    let queued = DISPATCHES - before.filter(is_end).count();
    let waits = |(beat, hold): &(&Value, &Value)| {
        beat["active"] == 0 && beat["queued"] == queued && hold["waiting"] == queued
    };
    assert!(told.iter().any(waits), "no beat with {queued} that wait: {told:#?}");

    let config = day.beats_with("config");
    let project = |hold: &Value| hold["project"] == "broken" && hold["until"].is_string();
    assert!(!config.is_empty() && config.iter().all(|(_, hold)| project(hold)), "{config:#?}");
    assert!(config.iter().any(|(beat, _)| beat["active"].as_u64() > Some(1)), "{config:#?}");

    let sessions = |beat: &Value| beat["sessions"].as_array().cloned().unwrap_or_default();
    let hangs = |s: &Value| {
        s["id"] == id(&name(HANGS)) && s["turns"] == 1 && s["elapsed"].as_u64() > Some(0)
    };
    assert!(day.beats.iter().any(|beat| sessions(beat).iter().any(hangs)), "{:#?}", day.beats);
    for beat in &day.beats {
        assert_eq!(beat["active"], sessions(beat).len(), "{beat:#}");
        assert!(sessions(beat).len() <= SLOTS && beat.get("degraded").is_none(), "{beat:#}");
    }
}
