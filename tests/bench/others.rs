//! Queues that Debian has, for the same agent: `nq` and task-spooler's `tsp`. They promise less (no
//! durability, no report), and are measured from the start of their command to the agent's first
//! deed.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::daemon::{Sample, ms, rest};
use crate::lab::{Lab, PATIENCE};
use crate::watch::{ENDED, Fifo, STARTED};

pub struct Other<'l> {
    pub name: &'static str,
    lab: &'l Lab,
    dir: PathBuf,
    fifo: Fifo,
}

impl<'l> Other<'l> {
    /// Those that are installed.
    pub fn installed(lab: &'l Lab) -> Vec<Other<'l>> {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let is_there =
            |name: &&str| std::env::split_paths(&paths).any(|dir| dir.join(name).is_file());
        let set_up = |name| {
            let dir = lab.dir.join(name);
            fs::create_dir_all(dir.join("queue")).expect("make a folder");
            Other { name, lab, fifo: Fifo::make(dir.join("fifo")), dir }
        };
        ["nq", "tsp"].into_iter().filter(is_there).map(set_up).collect()
    }

    pub fn dispatch(&self) -> Result<Sample, String> {
        rest();
        self.fifo.clear();
        let mut command = self.command();
        command.arg(self.lab.agent()).current_dir(&self.lab.project);
        let began = Instant::now();
        let mut child = command.spawn().map_err(|e| format!("cannot start {}: {e}", self.name))?;
        let started = self.fifo.wait_for(STARTED, PATIENCE)?;
        let ended = self.fifo.wait_for(ENDED, PATIENCE)?;
        child.wait().map_err(|e| e.to_string())?;
        rest();
        // nq looks at what it finds there: an old queue must not slow it down.
        for entry in fs::read_dir(self.dir.join("queue")).into_iter().flatten().flatten() {
            let _ = fs::remove_file(entry.path());
        }
        Ok(Sample { start: ms(began, started), end: None, whole: ms(began, ended) })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.name);
        self.lab.equip(&mut command);
        command
            .env("BENCH_FIFO", &self.fifo.path)
            .env("NQDIR", self.dir.join("queue"))
            .env("TS_SOCKET", self.dir.join("socket"))
            .env("TMPDIR", self.dir.join("queue"))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }
}

impl Drop for Other<'_> {
    fn drop(&mut self) {
        if self.name == "tsp" {
            // Its server, which the first job started.
            let _ = self.command().arg("-K").status();
        }
    }
}
