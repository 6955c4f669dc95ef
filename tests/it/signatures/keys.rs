//! Keys that come and go while the daemon runs, keys that turn wrong, and keys that are wrong at
//! the start.

use std::os::unix::fs::{chown, symlink};

use super::*;

const NOBODY: u32 = 65534;

#[test]
fn two_keys_are_live_in_a_rotation_and_one_that_is_removed_is_none() {
    let lab = Lab::new();
    keygen(&lab, "old");
    let daemon = lab.daemon().word("--require-signature").start();
    let sign = |name: &str, kid: &str| signed(&lab, &lab.task(name, "hello"), &["--kid", kid]);
    lab.send(&sign("a", "old"));
    went_on(&lab, "a", Some("strong"), Some("old"));
    keygen(&lab, "new");
    done(&lab, &["keygen", "ed:pair"]);
    lab.send(&sign("b", "new"));
    went_on(&lab, "b", Some("strong"), Some("new"));
    lab.send(&sign("c", "old"));
    went_on(&lab, "c", Some("strong"), Some("old"));
    let words = ["--kid", "ed:pair", "--key", "pair.pem"];
    lab.send(&signed(&lab, &lab.task("d", "hello"), &words));
    went_on(&lab, "d", Some("strong"), Some("ed:pair"));
    let late = sign("e", "old");
    fs::remove_file(key_path(&lab, "old.key")).expect("remove the old key");
    lab.send(&late);
    rejected_for(&lab, "e", "signature");
    lab.send(&sign("e", "new"));
    went_on(&lab, "e", Some("strong"), Some("new"));
    // With no key left nothing passes, since a signature is required.
    fs::remove_dir_all(lab.ours().join("keys")).expect("remove the keys");
    lab.send(&late.with("id", "dispatch-f"));
    rejected_for(&lab, "f", "signature_missing");
    drop(daemon);
}

type Spoil = dyn Fn(&Lab, &Path);

/// Each way in which a key's file turns wrong, and a word of what is said then.
fn spoils() -> Vec<(&'static str, &'static Spoil)> {
    let mut spoils: Vec<(&str, &Spoil)> = vec![
        ("chmod 600", &|_, key| chmod(key, 0o640)),
        ("chmod 600", &|_, key| chmod(key, 0o604)),
        ("regular file", &|lab, key| {
            fs::rename(key, lab.path("elsewhere.key")).expect("rename");
            symlink(lab.path("elsewhere.key"), key).expect("symlink");
        }),
        ("regular file", &|_, key| {
            fs::remove_file(key).expect("remove");
            fs::create_dir(key).expect("a directory");
        }),
        ("regular file", &|_, key| {
            fs::remove_file(key).expect("remove");
            let made = std::process::Command::new("mkfifo").args(["-m", "600"]).arg(key).status();
            assert!(made.expect("mkfifo").success());
        }),
        ("2 names", &|lab, key| fs::hard_link(key, lab.path("second-name")).expect("link")),
        ("64 hexadecimal digits", &|_, key| fs::write(key, "x").expect("write")),
        ("64 hexadecimal digits", &|_, key| fs::write(key, "").expect("write")),
        ("4096 bytes", &|_, key| fs::write(key, "0".repeat(5000)).expect("write")),
    ];
    if is_root() {
        spoils.push(("chown", &|_, key| chown(key, Some(NOBODY), None).expect("chown")));
    } else {
        skipped("only root can make what belongs to another user");
    }
    spoils
}

#[test]
fn a_key_that_turns_wrong_is_never_used_and_still_counts_as_one() {
    for (said, spoil) in spoils() {
        let lab = Lab::new();
        keygen(&lab, "a");
        let key = key_path(&lab, "a.key");
        let content = fs::read(&key).expect("the key");
        let daemon = lab.daemon().start();
        let dispatch = signed(&lab, &lab.task("x", "hello"), &[]);
        spoil(&lab, &key);
        lab.send(&dispatch);
        rejected_for(&lab, "x", "signature");
        assert!(daemon.stderr().contains(said), "{said}: {}", daemon.stderr());
        assert_eq!(daemon.stderr().matches("signatures: cannot use").count(), 1);
        // What is mended counts again, and the same bytes are judged anew.
        if key.is_dir() { fs::remove_dir(&key) } else { fs::remove_file(&key) }.expect("remove");
        fs::write(&key, content).expect("write");
        chmod(&key, 0o600);
        lab.send(&dispatch);
        went_on(&lab, "x", Some("strong"), Some("a"));
        drop(daemon);
    }
}

#[test]
fn a_wrong_key_at_the_start_is_told_with_what_to_type() {
    for (said, spoil) in spoils() {
        let lab = Lab::new();
        keygen(&lab, "a");
        let key = key_path(&lab, "a.key");
        spoil(&lab, &key);
        let out = lab.daemon().output();
        assert_eq!((out.code, out.stdout.as_str()), (1, ""), "{said}: {out:?}");
        assert_eq!(out.stderr.lines().count(), 1, "{}", out.stderr);
        let names_it = out.stderr.contains(&key.display().to_string());
        assert!(names_it && out.stderr.contains(said), "{said}: {}", out.stderr);
    }
}

#[test]
fn a_public_key_may_be_read_by_all_and_written_by_nobody_else() {
    let lab = Lab::new();
    done(&lab, &["keygen", "ed:a"]);
    let key = key_path(&lab, "a.pub");
    chmod(&key, 0o644);
    let mut daemon = lab.daemon().start();
    assert_eq!(daemon.stop(), 0);
    drop(daemon);
    chmod(&key, 0o664);
    let out = lab.daemon().output();
    assert!(out.code == 1 && out.stderr.contains("chmod 600"), "{out:?}");
}

#[test]
fn signatures_are_not_required_of_nobody() {
    let lab = Lab::new();
    let out = lab.daemon().word("--require-signature").output();
    assert_eq!((out.code, out.stderr.lines().count()), (1, 1), "{out:?}");
    assert!(out.stderr.contains("keygen ed:NAME"), "{}", out.stderr);

    fs::create_dir_all(lab.ours()).expect("create dispatchd");
    let config = lab.ours().join("config.json");
    fs::write(&config, "{}").expect("write");
    let daemon = lab.daemon().start();
    fs::write(&config, r#"{"require_signature": true}"#).expect("write");
    daemon.signal(rustix::process::Signal::HUP);
    let refused = lab.event("", "config_refused");
    assert!(refused["error"].to_string().contains("require_signature"), "{refused}");
    keygen(&lab, "a");
    daemon.signal(rustix::process::Signal::HUP);
    lab.event("", "config_reloaded");
    lab.send(&lab.task("x", "hello"));
    rejected_for(&lab, "x", "signature_missing");
    drop(daemon);
}
