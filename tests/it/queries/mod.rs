//! What the commands tell that only read: `list`, `status`, `show`, `wait`, ids by their beginning.
//!
//! Each is tried on a real directory, most beside a real daemon, in a pipe and at a terminal.

mod list;
mod lookup;
mod moving;
mod pipes;
mod show;
mod status;
mod terminal;
mod wait;

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::util::*;

/// The command as a shell would run it in a pipe.
fn ask(lab: &Lab, words: &[&str]) -> Output {
    words.iter().fold(lab.plain_daemon(), |start, word| start.word(word)).output()
}

/// What it prints, if all is well.
fn said(lab: &Lab, words: &[&str]) -> String {
    let out = ask(lab, words);
    assert_eq!((out.code, out.stderr.as_str()), (0, ""), "{words:?}: {out:?}");
    out.stdout
}

/// The same as JSON: one document and a newline.
fn json(lab: &Lab, words: &[&str]) -> Value {
    let text = said(lab, &[words, &["--json"]].concat());
    assert_eq!(text.lines().count(), 1, "{words:?}: {text}");
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{words:?}: {e}: {text}"))
}

fn record_of(lab: &Lab, name: &str) -> Value {
    let all = json(lab, &["list", "--limit", "0"]);
    let mut of_it = all.as_array().expect("an array").iter().filter(|one| one["id"] == id(name));
    let found = of_it.next().unwrap_or_else(|| panic!("{name} is not listed: {all:#}")).clone();
    assert_eq!(of_it.next(), None, "{name} is listed twice: {all:#}");
    found
}

fn ids(records: &Value) -> Vec<&str> {
    let records = records.as_array().expect("an array");
    records.iter().map(|one| one["id"].as_str().unwrap_or("-")).collect()
}

/// Runs a command at a terminal of its own; `steps` are what a person does there: `see TEXT` (wait
/// until it is shown), `size C R`, `kill SIGNAL`. What was shown goes to stdout; the exit code is
/// the command's, 128 and the signal's number if one ended it.
const AT_A_TERMINAL: &str = r#"
import fcntl, os, pty, select, signal, struct, sys, termios, time
def size(columns, rows):
    fcntl.ioctl(ends[0], termios.TIOCSWINSZ, struct.pack("HHHH", int(rows), int(columns), 0, 0))
columns, rows, steps, argv = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
ends = pty.openpty()
size(columns, rows)
before = termios.tcgetattr(ends[1])
pid = os.fork()
if pid == 0:
    os.setsid()
    fcntl.ioctl(ends[1], termios.TIOCSCTTY, 0)
    for fd in (0, 1, 2): os.dup2(ends[1], fd)
    os.execv(argv[0], argv)
seen, at, deadline = b"", 0, time.time() + 40
def read():
    global seen
    while select.select([ends[0]], [], [], 0.05)[0]:
        more = os.read(ends[0], 65536)
        if not more: return
        seen += more
for step in filter(None, steps.split("\n")):
    word, _, rest = step.partition(" ")
    if word == "see":
        while seen.find(rest.encode(), at) < 0:
            read()
            if time.time() > deadline: sys.stdout.buffer.write(seen); sys.exit("nobody showed " + rest)
        at = seen.find(rest.encode(), at) + len(rest)
    elif word == "size": size(*rest.split()); at = len(seen)
    elif word == "kill": os.kill(pid, getattr(signal, "SIG" + rest))
    elif word == "touch": open(rest, "w").close()
while True:
    read()
    done, status = os.waitpid(pid, os.WNOHANG)
    if done: break
    if time.time() > deadline: os.kill(pid, 9); sys.exit("it does not end")
read()
sys.stdout.buffer.write(seen)
if termios.tcgetattr(ends[1]) != before: sys.exit("the terminal's modes have changed")
sys.exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
"#;

/// `None`, and SKIPPED, without python3.
fn at_terminal(
    lab: &Lab,
    (columns, rows): (u32, u32),
    steps: &str,
    words: &[&str],
    env: &[(&str, &str)],
) -> Option<Output> {
    let mut python = Command::new("python3");
    let python = python.args(["-c", "import pty, termios"]).stderr(Stdio::null());
    if !python.status().is_ok_and(|status| status.success()) {
        skipped("python3 is needed to make a terminal");
        return None;
    }
    let (columns, rows) = (columns.to_string(), rows.to_string());
    let under = ["python3", "-c", AT_A_TERMINAL, &columns, &rows, steps];
    let start = lab.plain_daemon().env("TERM", "xterm").under(&under);
    let start = env.iter().fold(start, |start, (key, value)| start.env(key, value));
    let out = words.iter().fold(start, |start, word| start.word(word)).output();
    assert_eq!(out.stderr, "", "{}", out.stdout);
    Some(out)
}
