//! Secrets: none that a dispatch, an agent or a project shows gets into a text of ours, and nobody
//! reads those of the daemon.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::util::*;

/// What only others wrote is kept as it is.
const RAW: [&str; 7] = [
    "dispatch.json",
    "attempt.json",
    "prompt.txt",
    "stdout.jsonl",
    "stderr.log",
    "verify.log",
    "on_finish.log",
];

/// A fake secret, and a text that it stands in.
struct Planted {
    secret: String,
    text: String,
}

fn noise(seed: usize, length: usize) -> String {
    let letters = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
    let mut state = seed as u64 * 7919 + 17;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        letters[(state >> 33) as usize % letters.len()] as char
    };
    (0..length).map(|_| letter()).collect()
}

/// Sixty of them. The texts hold no line break, and no blank follows another.
fn planted() -> Vec<Planted> {
    let shapes = [
        "sk-",
        "sk-ant-api03-",
        "sk-proj-",
        "sk_live_",
        "rk_live_",
        "ghp_",
        "gho_",
        "ghu_",
        "ghs_",
        "ghr_",
        "github_pat_",
        "glpat-",
        "xoxa-2-",
        "xoxb-1-",
        "xoxp-1-",
        "xoxr-1-",
        "xoxs-1-",
        "xapp-1-",
        "AIza",
        "ya29.a0",
        "npm_",
        "pypi-AgE",
        "hf_",
        "dop_v1_",
        "AGE-SECRET-KEY-1",
        "123456789:AA",
        "cvis_",
        "cbsec_",
        "whsec_",
        "SG.0123456789abcdef.",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.",
    ];
    let mut all: Vec<Planted> = Vec::new();
    let mut plant = |secret: String, text: &str| {
        all.push(Planted { text: text.replace('@', &secret), secret });
    };
    for (seed, prefix) in shapes.iter().enumerate() {
        plant(format!("{prefix}{}", noise(seed, 40)), "here is @ and more");
    }
    plant("AKIAQ3EGRIFAKEKEY234".into(), "key @ and more");
    plant("ASIAQ3EGRIFAKEKEY567".into(), "key @ and more");
    let named = [
        "password=@ next",
        "PASSWD: @ next",
        "db_pwd=@ next",
        "client_secret=@ next",
        "access_token=@ next",
        "API_KEY=@ next",
        "api-key: @ next",
        "secretAccessKey=@ next",
        "private_key=@ next",
        "AccountKey=@ next",
        "my credential: @ next",
        "{\"password\":\"@\",\"n\":1}",
        "{\"apiKey\": \"@\"}",
        "{\\\"token\\\":\\\"@\\\"}",
        "secret = '@' next",
        "https://example.org/p?a=1&token=@&b=2",
        "https://example.org/?client_secret=@",
        "Authorization: Bearer @ next",
        "Authorization: Basic @ next",
        "Bearer @7 next",
        "X-Api-Key: @ next",
        "Private-Token: @ next",
        "git clone https://me:@@example.org/x",
        "postgres://app:@@db.example.org:5432/app",
        "tool --password @ --verbose",
        "https://hooks.slack.com/services/T0/B0/@",
        "https://discord.com/api/webhooks/123/@",
    ];
    for (seed, text) in named.iter().enumerate() {
        let secret = noise(100 + seed, 22);
        let text = text.replacen("@@", &format!("{secret}@"), 1);
        let text = if text.contains(&secret) { text } else { text.replace('@', &secret) };
        all.push(Planted { secret, text });
    }
    assert_eq!(all.len(), 60);
    all
}

fn together(all: &[Planted]) -> String {
    all.iter().map(|one| one.text.as_str()).collect::<Vec<_>>().join(" ; ")
}

/// An order that says this event, and one that gives the final result with a denied call.
fn raw(event: &Value) -> String {
    format!("fake: raw {event}\n")
}

fn result_of(said: &str) -> Value {
    json!({"type": "result", "subtype": "success", "is_error": false, "result": said,
        "stop_reason": "end_turn", "num_turns": 1, "total_cost_usd": 0.01,
        "usage": {"input_tokens": 10, "output_tokens": 5, "note": said},
        "permission_denials": [{"tool_name": "Bash", "tool_input": {"command": said}}]})
}

fn files_below(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a folder").flatten() {
        match entry.file_type().expect("its type").is_dir() {
            true => files_below(&entry.path(), found),
            false => found.push(entry.path()),
        }
    }
}

/// Where which of the secrets stands, among our files and these other texts of ours.
fn shown(lab: &Lab, all: &[Planted], others: &[(String, String)]) -> Vec<String> {
    let mut files = Vec::new();
    files_below(&lab.gstack, &mut files);
    let mut texts = others.to_vec();
    for path in files {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let is_dropped = path.parent() == Some(&lab.inbox()) && name.ends_with(".json");
        let is_rejected = path.to_string_lossy().contains("/rejected/") && name != "reason.json";
        if RAW.contains(&name.as_str()) || is_dropped || is_rejected || name == "config.json" {
            continue;
        }
        let mut text = String::from_utf8_lossy(&fs::read(&path).expect("a file")).into_owned();
        if path.to_string_lossy().contains("/outbox/") {
            let mut entry: Value = serde_json::from_str(&text).expect("an entry");
            entry["url"] = Value::Null;
            text = entry.to_string();
        }
        texts.push((path.display().to_string(), text));
    }
    let hits = |(name, text): &(String, String)| {
        let found = all.iter().filter(|one| text.contains(&one.secret));
        found.map(|one| format!("{name}: {}", one.text)).collect::<Vec<_>>()
    };
    texts.iter().flat_map(hits).collect()
}

#[test]
fn sixty_secrets_in_all_that_others_say_are_in_no_file_of_ours_and_no_callback() {
    let lab = Lab::new();
    let all = planted();
    let said = together(&all);
    let server = Server::start(vec![Answer::Status(200)]);
    let verify = json!({"project-checked": {"argv": ["printf", "%s\\n", said]}}).to_string();
    let mut daemon = lab.daemon().set("--verify", verify).set("--heartbeat", 0.2).start();
    let everywhere = |dispatch: Dispatch| {
        dispatch
            .with("constraints", vec![said.clone()])
            .with("learnings", vec![said.clone()])
            .with("dispatched_by", said.clone())
            .with(&all[5].secret, 1)
    };
    let branch = format!("feature/{}", all[5].secret);
    let repository = lab.repository("repository");
    git(&repository, &format!("checkout -q -b {branch}"));
    let tool = json!({"type": "assistant", "message": {"id": "m", "model": "fake-1",
        "role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": all[6].secret,
        "input": {"command": said}}]}});
    let gate = lab.gate("gate");
    let orders = format!(
        "{said}\nfake: no-result\n{}fake: block {}\n{}",
        raw(&tool),
        gate.display(),
        raw(&result_of(&said))
    );
    let a = everywhere(lab.task("a", orders).in_dir(&repository))
        .with("project", all[7].text.clone())
        .with("callback_url", format!("{}/hooks/{}?token=x", server.url, all[8].secret));
    lab.send(&a);
    let held = gate.held();
    lab.heartbeat("its tool", |beat| beat["sessions"][0].get("last_tool").is_some());
    let during = shown(&lab, &all, &[]);
    assert!(during.is_empty(), "{during:#?}");
    held.release();
    let report = lab.completed("a");
    assert_eq!(report["git"]["branch"], "feature/[redacted]", "{report:#}");
    assert!(report["result"].as_str().is_some_and(|said| said.contains("here is [redacted] and")));

    let dead = format!("{said}\nfake: silent\nfake: stderr {said}\nfake: exit 1");
    lab.send(&everywhere(lab.task("dead", dead)).with(
        "callback_url",
        format!("http://127.0.0.1:1/hooks/{}?token={}", all[8].secret, all[36].secret),
    ));
    lab.settled("dead");
    let raw_result = format!("fake: no-result\n{}", raw(&result_of("done")));
    lab.send(&lab.task("checked", raw_result));
    lab.settled("checked");
    lab.send(&lab.task("where", "x").in_dir(&lab.dir.join(&all[5].secret)));
    lab.settled("where");
    lab.send(&lab.task("who", "x").with("target_agent", all[5].secret.clone()));
    lab.rejected("dispatch-who.json");
    lab.send(&lab.task("schema", said.clone()).with("ttl_seconds", said.clone()));
    lab.rejected("dispatch-schema.json");
    let limit = json!({"type": "rate_limit_event", "rate_limit_info": {"status": "rejected",
        "resetsAt": 4_000_000_000_u64, "rateLimitType": said}});
    let limited = format!("{}fake: result error 429 rate_limit {}\n", raw(&limit), all[5].secret);
    lab.send(&lab.task("limited", limited));
    lab.event("", "hold_started");
    lab.heartbeat("a hold", |beat| beat["holds"].as_array().is_some());

    let body = server.requests(1)[0].body.clone();
    assert_eq!(daemon.stop(), 0);
    let texts = [
        ("callback".to_string(), String::from_utf8_lossy(&body).into_owned()),
        ("log".to_string(), daemon.stderr()),
    ];
    let hits = shown(&lab, &all, &texts);
    assert!(hits.is_empty(), "{hits:#?}");
    assert!(text_file(lab.ours().join("holds.json")).contains("[redacted]"));
    assert!(text_file(lab.inbox().join("audit.jsonl")).contains("[redacted]"));
    // What others wrote is there, or this test would prove nothing.
    let prompt = text_file(lab.finished("a").join("attempt-1/prompt.txt"));
    assert!(all.iter().all(|one| prompt.contains(&one.secret)));
}

/// Runs the daemon as somebody who may not read everything, which root may.
fn as_nobody(lab: &Lab) -> Option<Vec<String>> {
    if !is_root() {
        return Some(Vec::new());
    }
    let drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    if !can_run_under(&drop) {
        return None;
    }
    fs::create_dir_all(lab.inbox()).expect("create the inbox");
    fs::create_dir_all(lab.ours()).expect("create our folder");
    // Neither the program nor the fake agent need lie where others may look.
    fs::copy(DAEMON, lab.path("daemon")).expect("copy the daemon");
    fs::create_dir(lab.path("bin")).expect("a folder");
    fs::copy(format!("{FIXTURES}/bin/claude"), lab.path("bin/claude")).expect("copy the agent");
    for dir in [&lab.dir, &lab.home, &lab.gstack, &lab.inbox(), &lab.ours()] {
        chown(dir, Some(65534), Some(65534)).expect("chown");
    }
    let exec = format!("exec {} {} \"$@\"", drop.join(" "), lab.path("daemon").display());
    Some(vec!["sh".into(), "-c".into(), exec])
}

#[test]
fn nobody_reads_the_daemon_and_it_still_finds_and_adopts_its_sessions() {
    let lab = Lab::new();
    let Some(prefix) = as_nobody(&lab) else {
        return skipped("setpriv is needed to run the daemon as another user");
    };
    let prefix: Vec<&str> = prefix.iter().map(String::as_str).collect();
    let path = format!("{}:{}", lab.path("bin").display(), std::env::var("PATH").expect("PATH"));
    let start = |lab: &Lab| {
        let path = if is_root() { path.clone() } else { format!("{FIXTURES}/bin:{path}") };
        lab.plain_daemon()
            .env("PATH", path)
            .env("CLAWVISOR_AGENT_TOKEN", "cvis_plain")
            .set("--kill-grace", 0.3)
            .set("--on-shutdown", "leave")
            .under(&prefix)
            .start()
    };
    let daemon = start(&lab);
    let read = |pid: i32, file: &str| {
        let mut command = Command::new("cat");
        if is_root() {
            command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "cat"]);
        }
        command.arg(format!("/proc/{pid}/{file}")).output().expect("cat")
    };
    let pid = json_file(&lab.heartbeat_path())["pid"].as_i64().expect("a pid") as i32;
    for file in ["environ", "maps", "auxv"] {
        assert!(!read(pid, file).status.success(), "{file} of the daemon can be read");
    }
    assert!(read(pid, "stat").status.success());

    let (gate, left) = (lab.gate("gate"), lab.path("left"));
    let orders = |gate: &Gate| {
        format!(
            "fake: setsid-child {0}\nfake: double-fork-child {0}\nfake: block {1}\n\
             fake: dump {2}",
            left.display(),
            gate.display(),
            lab.path("dumped").display()
        )
    };
    chown(lab.path("gate"), Some(65534), Some(65534)).ok();
    let task = lab.task("a", orders(&gate));
    chown(lab.path("project-a"), Some(65534), Some(65534)).ok();
    place_as_nobody(&lab, &task);
    let hold = gate.held();
    daemon.crash();
    let mut daemon = start(&lab);
    lab.event("a", "adopted");
    hold.release();
    let report = lab.completed("a");
    let leftovers = report["leftover_processes"].as_array().map_or(0, Vec::len);
    assert_eq!(leftovers, 2, "{report:#}");
    all_gone(&left);
    assert!(!text_file(lab.path("dumped/env")).contains("CLAWVISOR_"));
    assert_eq!(daemon.stop(), 0);
}

fn place_as_nobody(lab: &Lab, task: &Dispatch) {
    let beside = lab.path("beside");
    fs::write(&beside, task.bytes()).expect("write a dispatch");
    if is_root() {
        chown(&beside, Some(65534), Some(65534)).expect("chown");
    }
    fs::rename(&beside, lab.inbox().join("dispatch-a.json")).expect("drop it");
}
