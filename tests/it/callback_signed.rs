//! What a callback carries: the words that receivers look for, signatures that other programs
//! check, tokens for the origins that they belong to; and what happens while a secret cannot be
//! used.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::util::*;

const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn secret_path(lab: &Lab) -> PathBuf {
    lab.gstack.join(".callback-secret")
}

/// Makes a secret file one that cannot be used.
type Spoil = fn(&PathBuf);

/// Lets another program see a request, with the secret that signed it.
fn verify(program: &str, arguments: &[&str], request: &Request, secret: &str) {
    let lab = Lab::new();
    let body = lab.path("body");
    fs::write(&body, &request.body).expect("write a body");
    let header = |name: &str| request.header(name).to_string();
    let run = Command::new(program)
        .args(arguments)
        .arg(&body)
        .args([secret.to_string(), header("webhook-id"), header("webhook-timestamp")])
        .args([header("webhook-signature"), header("x-clawvisor-signature")])
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{program}: {said}\n{request:?}");
}

const PYTHON: &str = r#"
import base64, hashlib, hmac, sys
body, secret, id, time, signatures, clawvisor = sys.argv[1:]
body = open(body, 'rb').read()
kind, rest = secret.split('_', 1)
key = bytes.fromhex(rest) if kind == 'cbsec' else base64.b64decode(rest)
tag = hmac.new(key, f'{id}.{time}.'.encode() + body, hashlib.sha256).digest()
assert 'v1,' + base64.b64encode(tag).decode() in signatures.split(' '), signatures
own = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
assert clawvisor == 'sha256=' + own, clawvisor
"#;

const NODE: &str = r#"
const { createHmac } = require('node:crypto');
const [file, secret, id, time, signatures, clawvisor] = process.argv.slice(1);
const body = require('node:fs').readFileSync(file);
const [kind, ...rest] = secret.split('_');
const key = Buffer.from(rest.join('_'), kind === 'cbsec' ? 'hex' : 'base64');
const tag = createHmac('sha256', key).update(`${id}.${time}.`).update(body).digest('base64');
if (!signatures.split(' ').includes('v1,' + tag)) throw new Error(signatures);
const own = createHmac('sha256', secret).update(body).digest('hex');
if (clawvisor !== 'sha256=' + own) throw new Error(clawvisor);
"#;

/// The library that receivers use.
const LIBRARY: &str = r#"
import base64, sys
from standardwebhooks.webhooks import Webhook
body, secret, id, time, signatures, _ = sys.argv[1:]
if secret.startswith('cbsec_'):
    secret = 'whsec_' + base64.b64encode(bytes.fromhex(secret[6:])).decode()
headers = {'webhook-id': id, 'webhook-timestamp': time, 'webhook-signature': signatures}
Webhook(secret).verify(open(body, 'rb').read().decode(), headers)
"#;

/// One callback, signed with this secret file.
fn signed(secret: &str) -> Request {
    let lab = Lab::new();
    write_secret(&secret_path(&lab), secret);
    let server = Server::start(vec![Answer::Status(503), Answer::Status(202)]);
    let daemon = lab.daemon().set("--callback-delays", "0,0.1").start();
    let task = lab.task("a.b", "fake: result success für dich").with("clawvisor_task_id", "t-1");
    lab.send(&task.with("callback_url", server.url.as_str()));
    let report = lab.completed("a.b");
    lab.event("a.b", "callback_sent");
    let requests = server.seen();
    let body = requests[1].json();
    assert_eq!((&body["type"], &body["task_id"]), (&json!("task"), &json!(id("a.b"))));
    assert_eq!(body["clawvisor_task_id"], "t-1");
    let text = format!("gstack dispatch dispatch-a.b completed in {}s", report["duration"]);
    assert_eq!(body["text"], text);
    assert_eq!(body["message"], format!("{text}. Report: completed/dispatch-a.b.json"));
    let key = requests[1].header("idempotency-key");
    assert_eq!(requests[1].header("webhook-id"), key.replace('.', "_"));
    assert_eq!(requests[0].header("webhook-id"), requests[1].header("webhook-id"));
    assert!(requests[1].header("authorization").is_empty());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("now");
    let at: u64 = requests[1].header("webhook-timestamp").parse().expect("a number");
    assert!(now.as_secs().abs_diff(at) < 300, "{at}");
    drop(daemon);
    requests[1].clone()
}

#[test]
fn both_signatures_are_what_other_programs_compute() {
    let node = Command::new("node").arg("--version").output().is_ok();
    for secret in [SECRET, WHSEC] {
        let request = signed(secret);
        verify("python3", &["-c", PYTHON], &request, secret);
        if node {
            verify("node", &["-e", NODE, "--"], &request, secret);
        } else {
            skipped("node checks no signature of a callback: there is no node");
        }
    }
    let both = signed(&format!("{SECRET}\n{WHSEC}"));
    assert_eq!(both.header("webhook-signature").split(' ').count(), 2);
    verify("python3", &["-c", PYTHON], &both, SECRET);
}

#[test]
fn the_library_of_standard_webhooks_takes_the_signature() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/standardwebhooks.sh");
    let run = Command::new(script).arg("1.1.0").output().expect("the script");
    let (said, folder) = (String::from_utf8_lossy(&run.stderr), run.stdout);
    if run.status.code() == Some(77) {
        return skipped(said.trim().trim_start_matches("SKIPPED: "));
    }
    assert!(run.status.success(), "{said}");
    let folder = String::from_utf8(folder).expect("a path");
    let program = format!("import sys; sys.path.insert(0, {:?})\n{LIBRARY}", folder.trim());
    for secret in [SECRET, WHSEC] {
        verify("python3", &["-c", &program], &signed(secret), secret);
    }
    let both = signed(&format!("{SECRET}\n{WHSEC}"));
    verify("python3", &["-c", &program], &both, SECRET);
    verify("python3", &["-c", &program], &both, WHSEC);
}

#[test]
fn a_token_goes_to_its_own_origin_and_nowhere_else() {
    let lab = Lab::new();
    let (hooks, other) =
        (Server::start(vec![Answer::Status(200)]), Server::start(vec![Answer::Status(200)]));
    write_secret(&lab.home.join("hooks-token"), "sesame-1");
    let bearer = json!({hooks.url.as_str(): "~/hooks-token"}).to_string();
    let daemon = lab.daemon().set("--callback-bearer", bearer).start();
    let port = hooks.url.rsplit(':').next().expect("a port");
    let send = |name: &str, url: String| {
        lab.send(&lab.task(name, "hello").with("callback_url", url));
        lab.event(name, "callback_sent");
    };
    send("own", format!("{}/hooks/agent", hooks.url));
    send("other", other.url.clone());
    send("name", format!("http://localhost:{port}/"));
    // It is read for each try.
    write_secret(&lab.home.join("hooks-token"), "sesame-2");
    send("again", format!("{}/hooks/wake", hooks.url));
    let seen = |server: &Server| {
        let all = server.seen();
        all.iter().map(|request| request.header("authorization").to_string()).collect::<Vec<_>>()
    };
    assert_eq!(seen(&hooks), ["Bearer sesame-1", "", "Bearer sesame-2"]);
    assert_eq!(seen(&other), [""]);
    assert!(hooks.seen().iter().all(|request| request.header("webhook-id").is_empty()));
    drop(daemon);
}

#[test]
fn a_secret_that_is_wrong_at_the_start_is_told_with_the_line_to_type() {
    let spoiled: [(&str, Spoil); 5] = [
        ("chmod 600 ", |path| {
            fs::set_permissions(path, fs::Permissions::from_mode(0o640)).expect("chmod");
        }),
        ("it is a link", |path| {
            fs::rename(path, path.with_extension("real")).expect("rename");
            symlink(path.with_extension("real"), path).expect("link");
        }),
        ("hard link", |path| fs::hard_link(path, path.with_extension("other")).expect("link")),
        ("neither cbsec_", |path| write_secret(path, "sesame")),
        ("larger than 4096 bytes", |path| write_secret(path, &"s".repeat(5000))),
    ];
    for (want, spoil) in spoiled {
        let lab = Lab::new();
        write_secret(&secret_path(&lab), SECRET);
        spoil(&secret_path(&lab));
        let out = lab.daemon().output();
        assert_eq!(out.code, 1, "{want}: {}", out.stderr);
        let path = secret_path(&lab).display().to_string();
        assert!(out.stderr.contains(want) && out.stderr.contains(&path), "{}", out.stderr);
        assert!(!out.stderr.contains("sesame") && !out.stderr.contains("0011"), "{}", out.stderr);
        // What is not used may be wrong.
        let mut daemon = lab.daemon().word("--local-only").start();
        assert_eq!(daemon.stop(), 0);
    }
    let lab = Lab::new();
    let token = lab.path("no-token");
    let bearer = json!({"http://127.0.0.1:1": token}).to_string();
    let out = lab.daemon().set("--callback-bearer", &bearer).output();
    assert!(out.code == 1 && out.stderr.contains("no-token"), "{}", out.stderr);
    write_secret(&token, "two words");
    let out = lab.daemon().set("--callback-bearer", &bearer).output();
    assert!(out.code == 1 && !out.stderr.contains("two words"), "{}", out.stderr);
    let out = lab.daemon().env("CLAWVISOR_CALLBACK_SECRET", "sesame").output();
    assert!(out.code == 1 && out.stderr.contains("CLAWVISOR_CALLBACK_SECRET"), "{}", out.stderr);
    assert!(!out.stderr.contains("sesame"), "{}", out.stderr);
}

#[test]
fn while_a_secret_cannot_be_used_callbacks_wait_unsent() {
    for is_bearer in [false, true] {
        let lab = Lab::new();
        let server = Server::start(vec![Answer::Status(200)]);
        let (path, flag) = if is_bearer {
            let path = lab.path("token");
            let bearer = json!({server.url.as_str(): path}).to_string();
            (path, ("--callback-bearer", bearer))
        } else {
            (secret_path(&lab), ("--callback-delays", "0,1".to_string()))
        };
        write_secret(&path, SECRET);
        let start = lab.daemon().set(flag.0, flag.1).set("--trouble-pause", 0.3);
        let daemon = start.start();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("chmod");
        lab.send(&lab.task("a", "hello").with("callback_url", server.url.as_str()));
        lab.completed("a");
        let beat = lab.heartbeat("the secret is told", |beat| beat["degraded"].is_string());
        let why = beat["degraded"].as_str().expect("a text");
        assert!(why.contains("chmod 600"), "{why}");
        lab.send(&lab.task("b", "fake: sleep 1"));
        lab.settled("b");
        assert!(server.seen().is_empty(), "it went out unsigned or without its token");
        assert!(!lab.events("a").iter().any(|e| e.starts_with("callback")));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
        lab.event("a", "callback_sent");
        let name = if is_bearer { "authorization" } else { "webhook-signature" };
        assert!(!server.seen()[0].header(name).is_empty());
        lab.heartbeat("all is well", |beat| beat.get("degraded").is_none());
        let degraded = lab.audit().iter().filter(|line| line["event"] == "degraded").count();
        assert_eq!(degraded, 1, "it is told once");
        drop(daemon);
    }
}

#[test]
fn the_secret_of_the_environment_wins_and_no_session_sees_it() {
    let lab = Lab::new();
    write_secret(&secret_path(&lab), WHSEC);
    let server = Server::start(vec![Answer::Status(200)]);
    let daemon = lab.daemon().env("CLAWVISOR_CALLBACK_SECRET", SECRET).start();
    let dump = lab.path("dump");
    let task = lab.task("a", format!("fake: dump {}", dump.display()));
    lab.send(&task.with("callback_url", server.url.as_str()));
    lab.event("a", "callback_sent");
    verify("python3", &["-c", PYTHON], &server.seen()[0], SECRET);
    let env = text_file(dump.join("env"));
    assert!(env.contains("PATH=") && !env.contains("cbsec_"), "{env}");
    drop(daemon);
}
