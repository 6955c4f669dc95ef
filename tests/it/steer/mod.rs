//! The commands that steer: a dispatch is sent, work is paused and resumed, holds are ended, the
//! settings are shown. Each is run as a person or a script runs it, with the daemon up and down.

mod config;
mod pause;
mod release;
mod submit;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::util::*;

/// A command that is to be run; more may be set.
fn command<'l>(lab: &'l Lab, words: &[&str]) -> Start<'l> {
    words.iter().fold(lab.plain_daemon(), |start, word| start.word(word))
}

fn run(lab: &Lab, words: &[&str]) -> Output {
    command(lab, words).output()
}

/// What it answers in JSON, after it has succeeded.
fn json(lab: &Lab, words: &[&str]) -> Value {
    let out = command(lab, words).word("--json").output();
    assert_eq!(out.code, 0, "{words:?}: {out:?}");
    one_document(&out.stdout)
}

fn one_document(stdout: &str) -> Value {
    assert!(stdout.ends_with('\n') && stdout.matches('\n').count() == 1, "{stdout:?}");
    serde_json::from_str(stdout).unwrap_or_else(|e| panic!("{e}: {stdout:?}"))
}

/// It says why on stderr, with that exit code, and nothing on stdout.
fn refused(out: &Output, code: i32, why: &str) {
    assert_eq!((out.code, out.stdout.as_str()), (code, ""), "{out:?}");
    assert!(out.stderr.contains(why), "{why}: {out:?}");
    assert!(out.stderr.starts_with("gstack-dispatch-daemon: "), "{out:?}");
}

fn control(lab: &Lab, name: &str) -> PathBuf {
    lab.ours().join("control").join(name)
}

/// The names in the drop zone that are no dispatch of the test's own, hidden ones too.
fn dropped_names(lab: &Lab) -> Vec<String> {
    let Ok(entries) = fs::read_dir(lab.inbox()) else { return Vec::new() };
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let names = names.map(|name| name.into_string().expect("UTF-8"));
    let ours = ["completed", "audit.jsonl", ".daemon-heartbeat"];
    let mut names: Vec<String> = names.filter(|name| !ours.contains(&&**name)).collect();
    names.sort();
    names
}

/// A command of a shell in that directory, with the program as `$D`.
fn script(lab: &Lab, dir: &Path, script: &str) -> Command {
    let (mark, value) = lab.mark().split_once('=').expect("NAME=VALUE");
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap_or_default())
        .env("HOME", &lab.home)
        .env("GSTACK_HOME", &lab.gstack)
        .env("USER", "somebody")
        .env("D", DAEMON)
        .env(mark, value)
        .stdin(Stdio::null());
    command
}

/// Runs one to its end.
fn shell(lab: &Lab, dir: &Path, text: &str) -> Output {
    let out = script(lab, dir, text).output().expect("sh");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Output {
        code: out.status.code().unwrap_or(-1),
        stdout: text(&out.stdout),
        stderr: text(&out.stderr),
    }
}

/// A daemon that does not answer, though it is there; it goes on when this is dropped.
struct Hung<'d>(&'d Daemon);

impl<'d> Hung<'d> {
    fn up(daemon: &'d Daemon) -> Hung<'d> {
        daemon.signal(rustix::process::Signal::STOP);
        Hung(daemon)
    }
}

impl Drop for Hung<'_> {
    fn drop(&mut self) {
        self.0.signal(rustix::process::Signal::CONT);
    }
}
