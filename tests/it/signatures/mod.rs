//! Who signed a dispatch, and what follows: the table through the real binary, keys that come, go
//! and turn wrong, the same signature shown twice, and the commands that make keys and sign.

mod commands;
mod keys;
mod recipes;
mod replay;
mod sessions;
mod table;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::util::*;

/// Runs a command of the binary on the lab's directory, in that directory.
fn command(lab: &Lab, words: &[&str]) -> Output {
    words.iter().fold(lab.plain_daemon(), |start, word| start.word(word)).output()
}

/// The same for a command that must do what it is asked.
fn done(lab: &Lab, words: &[&str]) -> String {
    let out = command(lab, words);
    assert_eq!((out.code, out.stderr.as_str()), (0, ""), "{words:?}: {out:?}");
    out.stdout
}

fn keygen(lab: &Lab, kid: &str) {
    done(lab, &["keygen", kid]);
}

fn key_path(lab: &Lab, file: &str) -> PathBuf {
    lab.ours().join("keys").join(file)
}

/// The dispatch as `sign` prints it.
fn signed(lab: &Lab, dispatch: &Dispatch, words: &[&str]) -> Dispatch {
    let file = lab.path("to-sign.json");
    fs::write(&file, dispatch.bytes()).expect("write");
    let words = [&["sign"], words, &[file.to_str().expect("UTF-8")]].concat();
    Dispatch(serde_json::from_str(&done(lab, &words)).expect("JSON"))
}

fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("after 1970").as_secs()
}

/// A file of that dispatch is rejected for this reason; nothing is answered and nothing used up.
fn rejected_for(lab: &Lab, name: &str, reason: &str) -> Value {
    let (dir, why) = lab.rejected(&format!("{}.json", id(name)));
    assert_eq!(why["reason"], reason, "{name}: {why}");
    wait_until("its line in the audit log", PATIENCE, || {
        lab.audit_of(name).iter().any(|line| line["reason"] == reason)
    });
    assert!(!lab.report_path(name).exists() && !lab.active(name).exists(), "{name}");
    fs::remove_dir_all(dir).expect("forget the rejection");
    why
}

/// What the audit log and the report say of a dispatch that went on.
fn went_on(lab: &Lab, name: &str, signature: Option<&str>, kid: Option<&str>) {
    let report = lab.completed(name);
    let line = lab.event(name, "received");
    assert_eq!((line["signature"].as_str(), line["kid"].as_str()), (signature, kid), "{line}");
    let told = &report["approval"];
    let signature = signature.filter(|signature| *signature != "unchecked");
    assert_eq!((told["signature"].as_str(), told["kid"].as_str()), (signature, kid), "{report}");
    assert_eq!(report.get("approval").is_some(), signature.is_some(), "{report}");
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
}
