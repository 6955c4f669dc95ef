//! `keygen` and `sign`: what they print, what they make, and with which exit code they refuse.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use super::*;

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("look at it").mode() & 0o7777
}

fn is_hex_key(text: &str) -> bool {
    let digits = text.strip_suffix('\n').unwrap_or_default();
    digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
}

#[test]
fn keygen_makes_each_kind_of_key_once_and_says_where() {
    let lab = Lab::new();
    let (shared, public) = (key_path(&lab, "k_1.key"), key_path(&lab, "a-b.pub"));
    let callback = lab.gstack.join(".callback-secret");
    assert_eq!(done(&lab, &["keygen", "k_1"]), format!("{}\n", shared.display()));
    let printed = done(&lab, &["keygen", "ed:a-b"]);
    assert_eq!(printed, format!("{}\na-b.pem\n", public.display()));
    assert_eq!(done(&lab, &["keygen", "--callback"]), format!("{}\n", callback.display()));
    let other = lab.path("other.pem");
    let other = other.to_str().expect("UTF-8");
    done(&lab, &["keygen", "ed:other", "--secret", other]);
    let made = [&shared, &public, &callback, &lab.path("a-b.pem"), &lab.path("other.pem")];
    for path in made {
        assert_eq!(mode(path), 0o600, "{}", path.display());
    }
    assert_eq!(mode(&lab.ours().join("keys")), 0o700);
    assert!(is_hex_key(&text_file(&shared)) && is_hex_key(&text_file(&public)));
    let secret = text_file(&callback);
    assert!(secret.starts_with("whsec_") && secret.len() == 6 + 44 + 1, "{}", secret.len());
    assert!(text_file(lab.path("a-b.pem")).starts_with("-----BEGIN PRIVATE KEY-----\nMC4CAQAw"));

    let before: Vec<String> = made.iter().map(text_file).collect();
    let pem = lab.path("new.pem");
    let pem = pem.to_str().expect("UTF-8");
    for words in [
        &["keygen", "k_1"][..],
        &["keygen", "ed:a-b"],
        &["keygen", "ed:a-b", "--secret", pem],
        &["keygen", "ed:c", "--secret", other],
        &["keygen", "--callback"],
    ] {
        let out = command(&lab, words);
        assert_eq!((out.code, out.stdout.as_str()), (1, ""), "{words:?}: {out:?}");
        assert!(out.stderr.contains("never written over"), "{words:?}: {out:?}");
    }
    assert_eq!(made.iter().map(text_file).collect::<Vec<_>>(), before);
    // Half a pair is not left behind.
    assert!(!lab.path("new.pem").exists() && !key_path(&lab, "c.pub").exists());
    let said = [text_file(&shared), text_file(&callback)];
    assert!(said.iter().all(|secret| !printed.contains(secret.trim())));
}

#[test]
fn wrong_usage_and_what_cannot_be_signed_have_their_exit_codes() {
    let lab = Lab::new();
    let file = lab.path("d.json");
    let path = file.to_str().expect("UTF-8").to_string();
    fs::write(&file, lab.task("a", "hello").bytes()).expect("write");
    // There is no key yet, then there is one, then there are two.
    assert_eq!(command(&lab, &["sign", &path]).code, 2);
    assert_eq!(command(&lab, &["sign", "--kid", "a", &path]).code, 1);
    keygen(&lab, "a");
    assert_eq!(command(&lab, &["sign", &path]).code, 0);
    done(&lab, &["keygen", "ed:p"]);
    assert_eq!(command(&lab, &["sign", &path]).code, 0);
    keygen(&lab, "b");
    assert_eq!(command(&lab, &["sign", &path]).code, 2);
    for (code, words) in [
        (0, &["sign", "--kid", "b", &path][..]),
        (1, &["sign", "--kid", "c", &path]),
        (1, &["sign", "--kid", "a", "missing.json"]),
        (1, &["sign", "--kid", "a", "--key", "p.pem", &path]),
        (1, &["sign", "--kid", "a", "--key", "missing", &path]),
        (2, &["sign", "--key", "p.pem", &path]),
        (2, &["sign", "--kid", "ed:p", &path]),
        (2, &["sign", "--kid", "a", "--ttl", "86401", &path]),
        (2, &["sign", "--kid", "a", "--iat", "01", &path]),
        (2, &["sign", "--kid", "a.b", &path]),
        (2, &["sign", "--kid", "a", &path, &path]),
        (2, &["sign", "--kid", "a", "--force", &path]),
        (2, &["keygen"]),
        (2, &["keygen", "a.b"]),
        (2, &["keygen", "x", "--secret", "y"]),
        (2, &["keygen", "--callback", "x"]),
    ] {
        let out = command(&lab, words);
        assert_eq!(out.code, code, "{words:?}: {out:?}");
        assert_eq!(out.stdout.is_empty(), code != 0, "{words:?}: {out:?}");
        assert_eq!(out.stderr.lines().count(), usize::from(code != 0), "{words:?}: {out:?}");
    }
    let good = lab.task("a", "hello");
    let text = String::from_utf8(good.bytes()).expect("UTF-8");
    let task = "\"task\": \"hello\"";
    for bad in [
        "{".into(),
        "[]".into(),
        text.replace("dispatch-a", "../a"),
        text.replace(task, "\"task\": \"\""),
        text.replace(task, "\"task\": 5"),
        text.replace(task, "\"task\": \"hello\", \"ttl_seconds\": 60.0"),
        text.replace(task, "\"task\": \"hello\", \"ttl_seconds\": 5"),
        text.replace(task, "\"task\": \"hello\", \"x\": {\"a\": 1, \"a\": 2}"),
        text.replace(task, "\"task\": \"hello\", \"caf\u{e9}\": 1"),
        text.replace(task, "\"task\": \"hello\", \"target_agent\": \"nobody\""),
        text.replace(task, &format!("\"task\": \"{}\"", "x".repeat(1 << 20))),
    ] {
        fs::write(&file, &bad).expect("write");
        let out = command(&lab, &["sign", "--kid", "a", &path]);
        assert_eq!((out.code, out.stdout.as_str()), (1, ""), "{out:?}");
    }
}

#[test]
fn sign_prints_one_canonical_line_and_replaces_an_older_signature() {
    let lab = Lab::new();
    keygen(&lab, "a");
    let dispatch = lab.task("x", "say \u{e9}").with("source_signature", 5).with("b", "\u{7f}/");
    let words = ["--iat", "1775228400", "--ttl", "60"];
    let file = lab.path("to-sign.json");
    fs::write(&file, dispatch.bytes()).expect("write");
    let path = file.to_str().expect("UTF-8");
    let line = done(&lab, &[&["sign"], &words[..], &[path]].concat());
    let alone = done(&lab, &[&["sign", "--signature"], &words[..], &[path]].concat());
    let begins = "v2;kid=a;iat=1775228400;exp=1775228460;sig=";
    assert!(alone.starts_with(begins) && alone.len() == begins.len() + 43 + 1, "{alone}");
    let mut sorted = dispatch.0.clone();
    sorted["source_signature"] = alone.trim_end().into();
    // serde_json keeps the keys sorted, and writes as RFC 8785 does.
    assert_eq!(line, format!("{sorted}\n"));
    let mut child = Command::new(DAEMON)
        .args([&["sign"], &words[..]].concat())
        .env("GSTACK_HOME", &lab.gstack)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sign");
    child.stdin.take().expect("stdin").write_all(line.as_bytes()).expect("write");
    let out = child.wait_with_output().expect("its end");
    assert_eq!(String::from_utf8_lossy(&out.stdout), line);
}

#[test]
fn a_key_elsewhere_may_be_a_link_and_is_named_by_kid() {
    let lab = Lab::new();
    keygen(&lab, "a");
    let link = lab.path("link");
    std::os::unix::fs::symlink(key_path(&lab, "a.key"), &link).expect("symlink");
    let words = ["--iat", "5", "--signature"];
    let file = lab.path("d.json");
    fs::write(&file, lab.task("x", "hello").bytes()).expect("write");
    let sign = |more: &[&str]| {
        let words = [&["sign"], &words[..], more, &[file.to_str().expect("UTF-8")]].concat();
        done(&lab, &words)
    };
    let here = sign(&["--kid", "a"]);
    let elsewhere = ["--kid", "a", "--key", link.to_str().expect("UTF-8")];
    assert_eq!(sign(&elsewhere), here);
    // It is the sender's, who is told.
    chmod(&key_path(&lab, "a.key"), 0o644);
    let words = [&["sign"], &words[..], &elsewhere, &["d.json"]].concat();
    let out = command(&lab, &words);
    assert_eq!((out.code, out.stdout), (0, here), "{}", out.stderr);
    assert!(out.stderr.contains("chmod 600"), "{}", out.stderr);
}

#[test]
fn the_commands_work_while_the_daemon_runs_and_in_no_session() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    keygen(&lab, "a");
    for name in ["GSTACK_RUN_TOKEN", "GSTACK_DISPATCH_ID"] {
        for value in ["x", ""] {
            for words in
                [&["keygen", "b"][..], &["keygen", "--callback"], &["sign", "to-sign.json"]]
            {
                let start = words.iter().fold(lab.plain_daemon(), |start, word| start.word(word));
                let out = start.env(name, value).output();
                assert_eq!((out.code, out.stdout.as_str()), (1, ""), "{name} {words:?}: {out:?}");
                assert!(out.stderr.contains(name), "{out:?}");
            }
        }
    }
    assert!(!key_path(&lab, "b.key").exists() && !lab.gstack.join(".callback-secret").exists());
    drop(daemon);
}
