//! `logs`: what a session says, shown while it runs and afterwards.

mod follow;
mod hostile;
mod shown;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::util::*;

/// `logs` of a dispatch, run to its end.
fn logs(lab: &Lab, name: &str, words: &[&str]) -> Output {
    let id = id(name);
    let words = ["logs", id.as_str()].into_iter().chain(words.iter().copied());
    words.fold(lab.plain_daemon(), |start, word| start.word(word)).env("TZ", "UTC0").output()
}

/// The same where it must succeed: its lines.
fn lines(lab: &Lab, name: &str, words: &[&str]) -> Vec<String> {
    let out = logs(lab, name, words);
    assert_eq!(out.code, 0, "{out:?}");
    out.stdout.lines().map(String::from).collect()
}

fn objects(text: &str) -> Vec<Value> {
    let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    text.lines().map(read).collect()
}

/// A command that follows, with its output in a file.
pub(crate) struct Following {
    child: Child,
    path: PathBuf,
}

impl Following {
    pub(crate) fn start(lab: &Lab, name: &str, words: &[&str]) -> Following {
        let path = lab.path(&format!("followed-{name}-{}", words.join("")));
        let (mark, value) = lab.mark().split_once('=').expect("NAME=VALUE");
        let child = Command::new(DAEMON)
            .args(["logs", "-f", &id(name)])
            .args(words)
            .env_clear()
            .env("GSTACK_HOME", &lab.gstack)
            .env("TZ", "UTC0")
            .env(mark, value)
            .stdin(Stdio::null())
            .stdout(File::create(&path).expect("a file"))
            .stderr(File::create(path.with_extension("stderr")).expect("a file"))
            .spawn()
            .expect("the command");
        Following { child, path }
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.path).expect("its output")
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.path.with_extension("stderr")).expect("its notes")
    }

    /// Waits until it has shown this.
    pub(crate) fn shows(&self, words: &str) {
        wait_until(&format!("{words:?} to be shown"), PATIENCE, || self.text().contains(words));
    }

    fn signal(&self, what: Signal) {
        signal(self.child.id() as i32, what);
    }

    /// Waits for its end: the code, and all that it showed.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let status = wait_for("the command's end", PATIENCE, || {
            self.child.try_wait().expect("wait for the command")
        });
        (status.code(), self.text())
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
