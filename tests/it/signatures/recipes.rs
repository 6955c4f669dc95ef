//! The recipes of `help dispatch`, run as they stand there: shell with jq and openssl, Python, and our own
//! command sign alike, to the vectors of the contract.

use std::process::{Command, Stdio};

use serde_json::json;

use super::*;

const TOPIC: &str = include_str!("../../../src/pure/reference/topics/dispatch.md");
const IAT: &str = "1775228400";
/// Document, key, kid, TTL, signature.
const VECTORS: [(&str, &str, &str, u64, &str); 3] = [
    (
        FIRST,
        "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
        "test1",
        3600,
        "aKR1TK46emX2QDLDm4TGfmtRNh3Sx5Hkf2I38vE3ak0",
    ),
    (
        SECOND,
        "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100",
        "test-2",
        60,
        "meo2Phi_dAGh2CnRflNVSor43uwLRpA2xewlnTzNDzI",
    ),
    (
        FIRST,
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n",
        "ed:test3",
        86_400,
        "KAdIvI_tNdAF_-uy8rE97a7DhTQlTPK-ppw8-SRoK9AdIDE96D5nKiCp50dtyKibzRMgt9Qy2jvX5xQ74S05CA",
    ),
];
const FIRST: &str = r#"{"constraints":["mobile client needs offline token refresh"],"dispatched_by":"wintermute","id":"dispatch-2026-04-03-auth-flow","project":"baku","project_dir":"~/git/baku","task":"Build JWT auth flow with refresh token rotation","ttl_seconds":3600}"#;
const SECOND: &str = r#"{"id":"dispatch-v2.vector_2","dispatched_by":"cron \u2014 n\u00e4chtlich","task":"Say \"hi\"\\\/\n\tthen \u0001 stop: caf\u00e9 cafe\u0301 \u2028 \ud83d\ude00","project":"","project_dir":"/srv/a b","learnings":[],"ttl_seconds":60,"callback_url":"http:\/\/127.0.0.1:18789/hooks/agent","x_trace":{"n":[1,-2,9007199254740991,{"z":"","a":null}],"ok":true},"source_signature":"stale"}"#;

/// The first block of that language in the section about signatures.
fn block(language: &str) -> String {
    let section = TOPIC.split("## Signatures\n").nth(1).expect("the section");
    let block = section.split(&format!("```{language}\n")).nth(1).expect("a block");
    block.split("```").next().expect("its end").to_string()
}

/// The shell's recipe for that kid; for a key pair its own line stands behind a `# ed: `.
fn shell(kid: &str) -> String {
    let block = block("sh");
    match kid.strip_prefix("ed:") {
        None => block.replace("KID.key", "key").replace("kid=KID", &format!("kid={kid}")),
        Some(_) => {
            let is_shared = |line: &&str| line.starts_with("sig=") || line.contains("-binary");
            let lines = block.lines().filter(|line| !is_shared(line));
            let lines: Vec<&str> =
                lines.map(|line| line.strip_prefix("# ed: ").unwrap_or(line)).collect();
            let block = lines.join("\n").replace("KEY=$(cat KID.key) ", "");
            block.replace("NAME.pem", "key").replace("kid=KID", &format!("kid={kid}"))
        }
    }
}

fn python(kid: &str) -> String {
    block("python").replace("KID.key", "key").replace("\"KID\"", &format!("\"{kid}\""))
}

fn has(programs: &[&str]) -> bool {
    let there = |program: &&str| {
        let look = Command::new(program).arg("--version").output();
        // openssl has a word for it.
        look.is_ok_and(|look| look.status.success())
            || Command::new(program).arg("version").output().is_ok_and(|look| look.status.success())
    };
    let missing: Vec<_> = programs.iter().filter(|program| !there(program)).collect();
    if !missing.is_empty() {
        skipped(&format!("{missing:?} are not here"));
    }
    missing.is_empty()
}

/// The signature that a recipe puts into the document.
fn run(program: &str, flag: &str, script: &str, dir: &Path) -> String {
    let out = Command::new(program)
        .args([flag, script])
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .expect(program);
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.is_empty(), "{script}\n{said}");
    let signed: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    signed["source_signature"].as_str().expect("a signature").to_string()
}

fn prepare(lab: &Lab, document: &str, key: &str) {
    fs::write(lab.path("d.json"), document).expect("write");
    fs::write(lab.path("key"), key).expect("write");
    chmod(&lab.path("key"), 0o600);
}

#[test]
fn our_own_command_signs_the_vectors() {
    let lab = Lab::new();
    for (document, key, kid, ttl, sig) in VECTORS {
        prepare(&lab, document, key);
        let ttl_text = ttl.to_string();
        let words = ["sign", "--kid", kid, "--key", "key", "--iat", IAT, "--ttl", &ttl_text];
        let exp = IAT.parse::<u64>().expect("a number") + ttl;
        let want = format!("v2;kid={kid};iat={IAT};exp={exp};sig={sig}");
        let alone = done(&lab, &[&words[..], &["--signature", "d.json"]].concat());
        assert_eq!(alone, format!("{want}\n"));
        let whole = done(&lab, &[&words[..], &["d.json"]].concat());
        let whole: Value = serde_json::from_str(&whole).expect("JSON");
        let mut unsigned: Value = serde_json::from_str(document).expect("JSON");
        unsigned["source_signature"] = want.into();
        assert_eq!(whole, unsigned);
    }
}

#[test]
fn the_shell_recipe_signs_the_vectors() {
    if !has(&["jq", "openssl"]) {
        return;
    }
    let lab = Lab::new();
    for (document, key, kid, ttl, sig) in VECTORS {
        prepare(&lab, document, key);
        let script = shell(kid).replace("$(date +%s)", IAT).replace("3600", &ttl.to_string());
        let signature = run("sh", "-c", &script, &lab.dir);
        assert!(signature.ends_with(&format!(";sig={sig}")), "{kid}: {signature}");
    }
}

#[test]
fn the_python_recipe_signs_the_vectors() {
    if !has(&["python3"]) {
        return;
    }
    let lab = Lab::new();
    for (document, key, kid, ttl, sig) in VECTORS.into_iter().filter(|v| !v.2.starts_with("ed:")) {
        prepare(&lab, document, key);
        let script = python(kid).replace("int(time.time())", IAT).replace("3600", &ttl.to_string());
        let signature = run("python3", "-c", &script, &lab.dir);
        assert!(signature.ends_with(&format!(";sig={sig}")), "{kid}: {signature}");
    }
}

#[test]
fn what_the_recipes_sign_is_accepted() {
    let lab = Lab::new();
    keygen(&lab, "k");
    done(&lab, &["keygen", "ed:p"]);
    let daemon = lab.daemon().word("--require-signature").start();
    let key = text_file(key_path(&lab, "k.key"));
    let pem = text_file(lab.path("p.pem"));
    let document = |name: &str| {
        // One of each kind of character; jq 1.6 escapes U+007F.
        let low = (0..0x7f).chain(0x80..0x300).chain([0x2028, 0x202e, 0xfeff, 0xffff, 0x1f600]);
        let text: String = low.filter_map(char::from_u32).collect();
        let more =
            json!({"z": [1, {"b": text, "a": -5}], "A": "\\/\"", "~": {}, " ": [null, true]});
        lab.task(name, "hello \u{e9}").with("x_more", more)
    };
    let mut names = Vec::new();
    let mut sign = |name: &'static str, kid: &'static str, key: &str, run: &dyn Fn() -> String| {
        let text = String::from_utf8(document(name).bytes()).expect("UTF-8");
        prepare(&lab, &text, key);
        lab.send(&document(name).with("source_signature", run()));
        names.push((name, kid));
    };
    if has(&["jq", "openssl"]) {
        sign("sh", "k", &key, &|| run("sh", "-c", &shell("k"), &lab.dir));
        sign("sh-ed", "ed:p", &pem, &|| run("sh", "-c", &shell("ed:p"), &lab.dir));
    }
    if has(&["python3"]) {
        sign("python", "k", &key, &|| run("python3", "-c", &python("k"), &lab.dir));
    }
    for (name, kid) in names {
        went_on(&lab, name, Some("strong"), Some(kid));
    }
    drop(daemon);
}
