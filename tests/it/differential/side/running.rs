//! The daemon of one side as a process: how it is started, its log, its signals, its end.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::Signal;

use super::{Side, Who};
use crate::util::*;

impl Side {
    fn start_with(&self, flags: &[&str], env: &[(&str, &str)]) -> Daemon {
        let inherited = std::env::var("PATH").unwrap_or_default();
        let mut start = if self.plain {
            self.lab.plain_daemon()
        } else {
            self.lab.daemon().unset("--min-ttl").set("--callback-delays", "0,600")
        };
        start = start
            .env("PATH", format!("{FIXTURES}/bin-differential:{inherited}"))
            .env("DIFFERENTIAL", self.lab.path("differential").display());
        for (key, value) in env {
            start = start.env(key, value);
        }
        start = flags.iter().fold(start, |start, flag| start.word(flag));
        // The seed overlooks the words that follow its own.
        if let Who::Seed(words) = &self.who {
            start = start.under(&[&words[0], &words[1]]);
        }
        start.spawn()
    }

    /// The daemon's log: the seed has it on stdout.
    pub fn log(&self) -> String {
        let stream = if self.is_seed() { "stdout" } else { "stderr" };
        let path = self.lab.path(&format!("daemon-{}.{stream}", self.daemons));
        fs::read_to_string(path).unwrap_or_default()
    }

    /// Starts it, if it does not run, and waits until it is ready or gone.
    pub fn start(&mut self) {
        if self.daemon.is_none() {
            let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
            self.daemon = Some(self.start_with(&flags, &[]));
            self.daemons += 1;
        }
        wait_until("a daemon that is ready or gone", PATIENCE, || {
            self.log().contains("ready") || self.exited().is_some()
        });
    }

    pub fn start_flags(&mut self, flags: &[&str]) {
        self.flags = flags.iter().map(|flag| flag.to_string()).collect();
        self.start();
    }

    fn exited(&mut self) -> Option<ExitStatus> {
        self.daemon.as_mut().and_then(Daemon::exited)
    }

    pub fn signal(&self, signal: Signal) {
        self.daemon.as_ref().expect("a daemon").signal(signal);
    }

    pub fn pid(&self) -> i32 {
        self.daemon.as_ref().expect("a daemon").pid
    }

    pub fn is_running(&mut self) -> bool {
        self.daemon.is_some() && self.exited().is_none()
    }

    /// Waits for the daemon's end, says how it was, and forgets it.
    pub fn end(&mut self) -> String {
        let status = wait_for("the daemon's end", self.patience(), || self.exited());
        self.daemon.take().expect("a daemon").left();
        in_words(status)
    }

    /// SIGTERM; how it ended.
    pub fn stop(&mut self) -> String {
        self.signal(Signal::TERM);
        self.end()
    }

    /// Runs one more to its end, or to where it is ready; in which case it is ended.
    pub fn one_more(&mut self, env: &[(&str, &str)]) -> String {
        self.daemons += 1;
        let mut daemon = self.start_with(&[], env);
        let ended = wait_for("a second daemon, ended or ready", PATIENCE, || {
            let ended = daemon.exited().map(in_words);
            ended.or_else(|| self.log().contains("ready").then(|| "runs".into()))
        });
        if daemon.exited().is_none() {
            daemon.signal(Signal::KILL);
        }
        wait_until("its end", PATIENCE, || daemon.exited().is_some());
        daemon.left();
        ended
    }
}

fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, signal) => format!("died of signal {}", signal.unwrap_or(0)),
    }
}
