//! The processes of real sessions: ended at the TTL or on a cancel, left behind by the agent, and
//! adopted.
//!
//! What matters is what is alive at the moment when the report can first be seen. The children
//! write down their pids, so that none is looked for by anything that the daemon itself looks for.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{SESSION_MAX, attempts, completed, daemon, report};
use crate::api::{Api, Script, Step, mentions, session_of};
use crate::util::*;

/// `$1`: where each process writes its pid. Children of all kinds that a kill of one process group
/// misses.
const CHILDREN: &str = r#"
export PIDS=$1
child='echo $$ >>"$PIDS"; exec sleep 7100'
exec </dev/null >/dev/null 2>&1
bash -c "$child" &
nohup bash -c "$child" &
setsid bash -c "$child" &
setsid bash -c "trap '' TERM HUP INT; $child" &
(setsid bash -c "(bash -c '$child' &)" &)
(setsid bash -c "(nohup setsid bash -c '$child' &)" &)
echo $$ >>"$PIDS"
exec tail -f /dev/null
"#;
const CHILDREN_COUNT: usize = 7;

/// `$1`: the same. One that the agent forgets, and that is there before its tool is done.
const FORGOTTEN: &str = r#"
export PIDS=$1
setsid bash -c 'echo $$ >>"$PIDS"; exec sleep 7200' </dev/null >/dev/null 2>&1 &
until [ -s "$PIDS" ]; do sleep 0.02; done
"#;

/// A Bash call that runs a script which writes pids to that file.
fn run(lab: &Lab, script: &str, pids: &Path) -> Step {
    let path = lab.path("script.sh");
    fs::write(&path, script).expect("write a script");
    Step::bash(&format!("bash {} {}", path.display(), pids.display()))
}

fn pids(path: &Path) -> Vec<i32> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

fn none_alive(pids: &[i32], report: &Value) {
    let left: Vec<_> = pids.iter().filter(|pid| alive(**pid)).collect();
    assert!(left.is_empty(), "{left:?} of {pids:?} are alive at the report: {report:#}");
}

fn leftovers(report: &Value) -> &[Value] {
    report["leftover_processes"].as_array().map_or(&[], Vec::as_slice)
}

/// On a machine too slow for the first TTL the session gets a longer one: it is to be cut in the
/// middle of its tool.
pub fn a_session_cut_at_its_ttl_while_its_tool_has_children(claude: &Path) {
    [4, 12, 40].into_iter().find(|ttl| cut_at_its_ttl(claude, *ttl)).expect("a tool that runs");
}

/// False: the TTL came before the children were there.
fn cut_at_its_ttl(claude: &Path, ttl: u64) -> bool {
    let lab = Lab::new();
    let noted = lab.path("pids");
    let api = Api::start(run(&lab, CHILDREN, &noted));
    let _daemon = daemon(&lab, &api, claude).set("--allow-tools", "Bash").start();
    lab.send(&lab.task("a", "Run it.").with("ttl_seconds", ttl));
    let path = lab.report_path("a");
    wait_until("the report", SESSION_MAX + Duration::from_secs(ttl), || path.exists());
    let pids = pids(&noted);
    none_alive(&pids, &json_file(&path));
    let report = report(&lab, "a", "timeout");
    if pids.len() < CHILDREN_COUNT {
        return false;
    }
    assert_eq!(
        (&report["error_type"], attempts(&report).len()),
        (&json!("timeout"), 1),
        "{report:#}"
    );
    assert_eq!(report["error"], format!("timed out after {ttl} seconds"), "{report:#}");
    assert!(report["duration"].as_u64() >= Some(ttl), "{report:#}");
    assert!(!lab.events("a").contains(&"retried".to_string()));
    // Some were still there after the agent had ended, in whichever way.
    let left = leftovers(&report);
    assert!(left.iter().any(|process| process["name"] == "sleep"), "{report:#}");
    assert!(left.iter().all(|process| process["ended"] == true), "{report:#}");
    true
}

pub fn a_session_that_ends_well_and_leaves_a_child(claude: &Path) {
    let lab = Lab::new();
    let noted = lab.path("pids");
    let steps = vec![run(&lab, FORGOTTEN, &noted), Step::text("The server runs.")];
    let api = Api::start(Script::steps(steps));
    let _daemon = daemon(&lab, &api, claude).set("--allow-tools", "Bash").start();
    lab.send(&lab.task("a", "Start the server."));
    let path = lab.report_path("a");
    wait_until("the report", SESSION_MAX, || path.exists());
    let pids = pids(&noted);
    none_alive(&pids, &json_file(&path));
    let report = completed(&lab, "a");
    assert_eq!((&report["result"], &report["exit_code"]), (&json!("The server runs."), &json!(0)));
    let [child] = pids[..] else { panic!("{pids:?}") };
    let left = json!([{"pid": child, "name": "sleep", "ended": true}]);
    assert_eq!(report["leftover_processes"], left, "{report:#}");
}

pub fn a_running_session_is_adopted(claude: &Path) {
    adopted_after(claude, |first| first.crash());
}

/// What a service manager does when it puts a new binary in place.
pub fn a_running_session_does_not_notice_an_upgrade(claude: &Path) {
    adopted_after(claude, |mut first| {
        assert_eq!(first.stop(), 0);
        first.left();
    });
}

fn adopted_after(claude: &Path, end: impl FnOnce(Daemon)) {
    let lab = Lab::new();
    let file = lab.project("project-a").join("x.txt");
    let write = Step::write(file.to_str().expect("UTF-8"), "x\n");
    let (go, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let api = Api::start(Script::choose(move |_, n| match n {
        0 => write.clone(),
        _ => {
            // Until the test says so, or fails.
            let _ = held.lock().expect("the only one").recv();
            Step::text("I went on while nobody looked.")
        }
    }));
    let go = go; // Ends before the server, which waits for its threads.
    let first = daemon(&lab, &api, claude).set("--on-shutdown", "leave").start();
    lab.send(&lab.task("a", "Write x."));
    wait_until("the second request", SESSION_MAX, || api.requests() == 2);
    end(first);
    let second = daemon(&lab, &api, claude).start();
    let adopted = lab.event("a", "adopted");
    assert!(!lab.report_path("a").exists(), "a report of a session that runs");
    go.send(()).expect("a waiting API");
    let report = completed(&lab, "a");
    assert_eq!(report["result"], "I went on while nobody looked.", "{report:#}");
    assert_eq!((&report["num_turns"], attempts(&report).len()), (&json!(2), 1), "{report:#}");
    assert_eq!(report["session_id"].as_str(), Some(session_of(&api.bodies()[0]).as_str()));
    assert_eq!((text_file(&file).as_str(), api.requests()), ("x\n", 2));
    assert!(adopted["pid"].as_i64().is_some_and(|pid| !alive(pid as i32)), "{adopted}");
    // Once means once: not a second session, not a second answer, whoever starts again.
    lab.settled("a");
    second.crash();
    let _third = daemon(&lab, &api, claude).start();
    lab.heartbeat("nothing is left to do", |beat| beat["active"] == 0 && beat["queued"] == 0);
    let events = lab.events("a");
    for event in ["spawned", "adopted", "completed"] {
        assert_eq!(events.iter().filter(|e| *e == event).count(), 1, "{event} in {events:?}");
    }
    assert_eq!(json_file(&lab.report_path("a")), report);
}

pub fn a_running_session_is_cancelled(claude: &Path) {
    let lab = Lab::new();
    let noted = lab.path("pids");
    let api = Api::start(run(&lab, CHILDREN, &noted));
    let _daemon = daemon(&lab, &api, claude).set("--allow-tools", "Bash").start();
    lab.send(&lab.task("a", "Run it."));
    wait_until("the children", SESSION_MAX, || pids(&noted).len() == CHILDREN_COUNT);
    fs::write(lab.inbox().join("cancel-dispatch-a"), "").expect("write a cancel file");
    let path = lab.report_path("a");
    wait_until("the report", SESSION_MAX, || path.exists());
    none_alive(&pids(&noted), &json_file(&path));
    let report = report(&lab, "a", "cancelled");
    assert_eq!(
        (&report["error_type"], attempts(&report).len()),
        (&json!("cancelled"), 1),
        "{report:#}"
    );
    wait_until("the cancel file's end", PATIENCE, || {
        !lab.inbox().join("cancel-dispatch-a").exists()
    });
}

pub fn a_session_whose_api_never_answers(claude: &Path) {
    let lab = Lab::new();
    let api = Api::start(Script::steps(vec![Step::Hang, Step::text("Now I answer.")]));
    let _daemon = daemon(&lab, &api, claude).set("--first-answer-timeout", 4).start();
    lab.send(&lab.task("a", "Say something."));
    let report = completed(&lab, "a");
    let [first, second] = attempts(&report) else { panic!("{report:#}") };
    assert_eq!(
        (&first["error_type"], &first["error"]),
        (&json!("tool_failure"), &json!("ended: no word of its model for 4 seconds"))
    );
    assert!(second.get("resumed").is_none(), "{report:#}");
    assert_eq!((&report["result"], api.requests()), (&json!("Now I answer."), 2));
}

/// A person would type the line alone; here the CLI must not wait for one.
pub fn the_line_of_the_report_goes_on_with_the_session(claude: &Path) {
    let lab = Lab::new();
    let api = Api::start(Step::text("A zebra finch."));
    let _daemon = daemon(&lab, &api, claude).start();
    lab.send(&lab.task("a", "Name a bird.").in_dir(&lab.project("it's a project")));
    let report = completed(&lab, "a");
    let line = report["resume"].as_str().expect("a line");
    let typed = Command::new("sh")
        .args(["-c", &format!("{line} --print 'And another one?'")])
        .current_dir("/")
        .env("HOME", &lab.home)
        .env("ANTHROPIC_BASE_URL", api.url())
        .env("ANTHROPIC_API_KEY", "sk-ant-api03-dummy")
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .env("TMPDIR", lab.path("tmp"))
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    assert!(typed.status.success(), "{typed:?}");
    let asked = api.bodies().pop().expect("a request");
    assert!(mentions(&asked, "And another one?") && mentions(&asked, "Task: Name a bird."));
    assert_eq!(report["session_id"].as_str(), Some(session_of(&asked).as_str()));
}
