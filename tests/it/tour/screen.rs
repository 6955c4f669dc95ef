//! `status --watch` and `logs -f` in a real terminal (tmux): what stands on the screen, how it gets
//! there, after a resize, and after the end. Without tmux this says SKIPPED.

use std::process::{Command, Stdio};

use super::*;

const SMALL: (usize, usize) = (80, 24);
const LARGE: (usize, usize) = (200, 50);
/// Too small for all parts.
const TINY: (usize, usize) = (40, 5);
/// What holds the screen: the main one, with a cursor.
const GIVEN_BACK: &str = "0 1";
/// The alternate one, without.
const DRAWN_ON: &str = "1 0";

/// A window of a tmux of its own, with a shell in it.
struct Window<'l> {
    lab: &'l Lab,
}

/// `None`, and SKIPPED, without tmux.
fn window(lab: &Lab, (columns, rows): (usize, usize)) -> Option<Window<'_>> {
    let is_there = Command::new("tmux").arg("-V").stdout(Stdio::null()).status();
    if !is_there.is_ok_and(|status| status.success()) {
        skipped("tmux is needed for a real terminal");
        return None;
    }
    let window = Window { lab };
    let (columns, rows) = (columns.to_string(), rows.to_string());
    window.tmux(&["new-session", "-d", "-x", &columns, "-y", &rows, "exec sh"]);
    window.tmux(&["set-option", "-g", "status", "off"]);
    window.tmux(&["set-option", "-g", "window-size", "manual"]);
    window.tmux(&["resize-window", "-x", &columns, "-y", &rows]);
    window.types("PS1='ready> '; clear");
    wait_until("a shell", PATIENCE, || window.screen().starts_with("ready>"));
    Some(window)
}

impl Window<'_> {
    fn tmux(&self, words: &[&str]) -> String {
        let (name, value) = self.lab.mark().split_once('=').expect("NAME=VALUE");
        let mut command = Command::new("tmux");
        command.args(["-f", "/dev/null", "-S"]).arg(self.lab.path("tmux")).args(words);
        command.env_clear().env("PATH", std::env::var("PATH").unwrap_or_default());
        command.env("HOME", &self.lab.home).env("GSTACK_HOME", &self.lab.gstack);
        command.env("TZ", "UTC0").env("LC_ALL", "C.UTF-8").env("TERM", "xterm").env(name, value);
        let out = command.current_dir(&self.lab.dir).output().expect("tmux");
        assert!(out.status.success(), "{words:?}: {out:?}");
        String::from_utf8(out.stdout).expect("UTF-8")
    }

    /// A line at the shell's prompt.
    fn types(&self, line: &str) {
        self.tmux(&["send-keys", "-l", line]);
        self.tmux(&["send-keys", "Enter"]);
    }

    fn resize(&self, (columns, rows): (usize, usize)) {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        self.tmux(&["resize-window", "-x", &columns, "-y", &rows]);
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// The same with its colours.
    fn painted(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-e"])
    }

    fn shows(&self, so: impl Fn(&str) -> bool, what: &str) -> String {
        wait_for(&format!("{what} on the screen"), PATIENCE, || {
            Some(self.screen()).filter(|screen| so(screen))
        })
    }

    /// Whether the alternate screen is shown, and whether the cursor is.
    fn modes(&self) -> String {
        let said = self.tmux(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"]);
        said.trim_end().to_string()
    }

    /// Runs it at the prompt, and notes the terminal's modes before and after.
    fn runs(&self, command: &str) {
        self.types(&format!("stty -g >before; {command}; echo code $?; stty -g >after"));
    }

    /// Waits for the command's end: the screen, the cursor and the modes are as they were.
    fn is_given_back(&self, code: i32) -> String {
        let line = format!("code {code}\n");
        let screen = self.shows(|screen| screen.contains(&line), &line);
        assert_eq!(self.modes(), GIVEN_BACK, "{screen}");
        let modes = |name: &str| fs::read_to_string(self.lab.path(name)).unwrap_or_default();
        wait_until("the modes", PATIENCE, || modes("after").ends_with('\n'));
        assert_eq!(modes("before"), modes("after"), "{screen}");
        fs::remove_file(self.lab.path("after")).expect("remove");
        screen
    }

    fn clear(&self) {
        self.types("clear");
        self.shows(|screen| extent(screen).1 == 1, "a clear screen");
    }

    /// The pid of the program of ours that runs in it.
    fn ours(&self) -> i32 {
        wait_for("our command", PATIENCE, || {
            let all = self.lab.processes();
            let looks = |line: &str| line.contains(" status ") || line.contains(" logs ");
            let is_ours = |line: &str| line.starts_with(DAEMON) && looks(line);
            all.iter().find(|(_, line)| is_ours(line)).map(|(pid, _)| *pid)
        })
    }
}

impl Drop for Window<'_> {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

/// The widest line, and the last that has something, counted from 1.
fn extent(screen: &str) -> (usize, usize) {
    let lines: Vec<&str> = screen.trim_end().lines().collect();
    (lines.iter().map(|line| line.chars().count()).max().unwrap_or(0), lines.len())
}

/// Five that are over, one at work at the gate, and more in the queue than 24 lines can show.
fn scene(lab: &Lab) -> (Daemon, Hold) {
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    for n in 0..5 {
        lab.send(&lab.task(&format!("over-{n}"), "hello"));
        lab.settled(&format!("over-{n}"));
    }
    let long = "all of the tests of the whole project and of everything beside it ".repeat(4);
    let task = format!(
        "fake: turn {long}\nfake: tool Bash cargo test\nfake: answer fine\nfake: block {}\n\
         fake: turn two\nfake: result success done",
        gate.display()
    );
    lab.send(&lab.task("runs", task));
    let hold = gate.held();
    for n in 0..30 {
        lab.send(&lab.task(&format!("waits-{n:02}"), "hello"));
    }
    lab.heartbeat("all are in the queue", |beat| beat["queued"] == 30);
    (daemon, hold)
}

fn end(lab: &Lab, daemon: Daemon, hold: Hold) {
    fs::write(lab.ours().join("control/pause"), "").expect("a pause");
    lab.heartbeat("paused", |beat| beat["paused"] == true);
    hold.release();
    lab.completed("runs");
    drop(daemon);
}

#[test]
fn a_watched_status_fits_its_window_and_gives_it_back() {
    let lab = Lab::new();
    let (daemon, hold) = scene(&lab);
    let Some(window) = window(&lab, SMALL) else { return end(&lab, daemon, hold) };
    for signal in ["C-c", "TERM"] {
        window.runs(&format!("{DAEMON} status --watch"));
        // Each part has as many rows as leave room for the others.
        let is_small = |screen: &str| screen.contains("… 14 more") && screen.contains("over-0 ");
        let screen = window.shows(is_small, "a small picture");
        assert!(screen.starts_with("running ") && screen.contains("FINISHED"), "{screen}");
        assert_eq!((extent(&screen).1, window.modes().as_str()), (SMALL.1, DRAWN_ON), "{screen}");
        assert!(extent(&screen).0 <= SMALL.0, "{screen}");
        assert!(window.painted().contains("\u{1b}[1mSESSIONS"), "{}", window.painted());
        window.resize(LARGE);
        let is_large = |screen: &str| screen.contains("… 10 more") && screen.contains("over-0 ");
        let screen = window.shows(is_large, "a large picture");
        assert!(extent(&screen).0 <= LARGE.0 && extent(&screen).1 < LARGE.1, "{screen}");
        assert!(screen.contains("dispatch-waits-19 ") && screen.contains("FINISHED"), "{screen}");
        window.resize(TINY);
        let is_cut = |screen: &str| screen.trim_end().ends_with(" more");
        let screen =
            window.shows(|screen| extent(screen).1 == TINY.1 && is_cut(screen), "a cut one");
        assert!(extent(&screen).0 <= TINY.0, "{screen}");
        window.resize(SMALL);
        window.shows(is_small, "the small picture again");
        match signal {
            "C-c" => drop(window.tmux(&["send-keys", "C-c"])),
            _ => crate::util::signal(window.ours(), rustix::process::Signal::TERM),
        }
        let screen = window.is_given_back(0);
        // What was there before is there again, and nothing of the picture.
        assert!(screen.contains("stty -g >before") && !screen.contains("SESSIONS"), "{screen}");
        window.clear();
    }
    drop(window);
    end(&lab, daemon, hold);
}

/// Each write of what is drawn, as strace shows its beginning. `None`, and SKIPPED, without strace.
fn writes_of(window: &Window, changes: impl FnOnce()) -> Option<Vec<String>> {
    if !can_run_under(&["strace", "-qq", "-o", "/dev/null"]) {
        skipped("strace is needed to see single writes");
        return None;
    }
    let trace = window.lab.path("trace");
    let strace = format!("strace -qq -s 12 -e trace=write -o {}", trace.display());
    window.runs(&format!("{strace} {DAEMON} status --watch"));
    window.shows(|screen| screen.contains("SESSIONS"), "a picture");
    changes();
    window.tmux(&["send-keys", "C-c"]);
    window.is_given_back(0);
    let writes = text_file(&trace);
    Some(writes.lines().filter(|line| line.starts_with("write(1,")).map(String::from).collect())
}

#[test]
fn a_frame_is_one_write_and_what_does_not_change_is_not_written() {
    let lab = Lab::new();
    let (daemon, hold) = scene(&lab);
    let Some(window) = window(&lab, SMALL) else { return end(&lab, daemon, hold) };
    let writes = writes_of(&window, || {
        lab.send(&lab.task("another", "hello"));
        window.shows(|screen| screen.contains("… 15 more"), "one more in the queue");
        window.resize(LARGE);
        window.shows(|screen| screen.contains("… 11 more"), "a large picture");
        window.resize(SMALL);
        window.shows(|screen| screen.contains("… 15 more"), "a small picture again");
    });
    if let Some(writes) = writes {
        let (first, rest) = writes.split_first().expect("a first write");
        let (last, frames) = rest.split_last().expect("a last write");
        assert!(first.contains(r#""\33[?1049h\33["#), "{writes:?}");
        assert!(last.contains(r#""\33[0m\33[?25h"#), "{writes:?}");
        let is_whole = |write: &String| {
            let (asked, done) = write.rsplit_once("= ").expect("how much was written");
            write.contains(r#""\33[H"#) && asked.trim_end().ends_with(&format!(", {done})"))
        };
        assert!(frames.len() >= 4 && frames.iter().all(is_whole), "{writes:?}");
    }
    drop(window);
    end(&lab, daemon, hold);
}

#[test]
fn what_is_followed_wraps_in_a_small_window_and_moves_no_cursor() {
    let lab = Lab::new();
    let (daemon, hold) = scene(&lab);
    let Some(window) = window(&lab, SMALL) else { return end(&lab, daemon, hold) };
    let follow = format!("{DAEMON} logs -f runs");
    let has_all = |screen: &str| screen.contains("> Bash: cargo test") && screen.contains("| fine");
    window.runs(&follow);
    let screen = window.shows(has_all, "what the agent did");
    assert_eq!(window.modes(), GIVEN_BACK, "{screen}");
    let unwrapped = window.tmux(&["capture-pane", "-p", "-J"]);
    assert!(unwrapped.contains("beside it all of the tests "), "{unwrapped}");
    window.resize(LARGE);
    let screen = window.shows(has_all, "the same after a resize");
    assert!(extent(&screen).0 <= LARGE.0, "{screen}");
    window.tmux(&["send-keys", "C-c"]);
    window.is_given_back(130);
    window.clear();
    window.runs(&follow);
    window.shows(has_all, "the same again");
    crate::util::signal(window.ours(), rustix::process::Signal::TERM);
    window.is_given_back(143);
    drop(window);
    end(&lab, daemon, hold);
}

/// A terminal that understands nothing gets nothing to understand.
#[test]
fn a_dumb_terminal_and_a_pipe_get_words_alone() {
    let lab = Lab::new();
    let (daemon, hold) = scene(&lab);
    let Some(window) = window(&lab, SMALL) else { return end(&lab, daemon, hold) };
    window.types("export TERM=dumb");
    let raw = lab.path("raw");
    window.tmux(&["pipe-pane", &format!("cat >{}", raw.display())]);
    window.runs(&format!("{DAEMON} status --watch"));
    let screen = window.is_given_back(2);
    assert!(screen.contains("--json --watch"), "{screen}");
    window.runs(&format!("{DAEMON} status --watch | cat; {DAEMON} status"));
    window.is_given_back(0);
    window.runs(&format!("{DAEMON} logs -f runs"));
    window.shows(|screen| screen.contains("| fine"), "what the agent did");
    window.tmux(&["send-keys", "C-c"]);
    window.is_given_back(130);
    window.runs(&format!("{DAEMON} logs -f runs | cat >piped"));
    let piped = lab.path("piped");
    let is_there = || fs::read_to_string(&piped).is_ok_and(|text| text.contains("| fine\n"));
    wait_until("the same in a pipe", PATIENCE, is_there);
    window.tmux(&["send-keys", "C-c"]);
    let is_over = |screen: &str| screen.matches("code ").count() >= 4;
    window.shows(is_over, "the end of it");
    for path in [&raw, &piped] {
        let text = text_file(path);
        assert!(!text.contains('\u{1b}'), "{}: {text:?}", path.display());
    }
    drop(window);
    end(&lab, daemon, hold);
}
