//! The words: schemas, help, completions, the man page. Each is tried with the program that others
//! would use for it.

mod completions;
mod evening;
mod help;
mod schema;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::util::*;

/// What one of our commands printed, in a lab's home.
fn ours(lab: &Lab, args: &[&str]) -> Output {
    let mut command = Command::new(DAEMON);
    command.args(args).env_clear().env("HOME", &lab.home).env("GSTACK_HOME", &lab.gstack);
    command.stdin(Stdio::null()).output().expect("our own program")
}

/// The same of one that must answer.
fn said(lab: &Lab, args: &[&str]) -> String {
    let output = ours(lab, args);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && err.is_empty(), "{args:?}: {err}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What another program says to that input.
fn answer(command: &mut Command, input: &str) -> Output {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().expect("another program");
    // It may end before it has read everything.
    let _ = child.stdin.take().expect("stdin").write_all(input.as_bytes());
    child.wait_with_output().expect("its end")
}
