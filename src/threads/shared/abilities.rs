//! What the agents' programs can do, as far as it differs between their versions: each is asked
//! once with `--help`, and again when it has become another file.
//!
//! Owns the answers, for as long as the daemon lives. Must not fail anything: a program that gives
//! no answer is one that cannot. The daemon asks when it starts, so that no session waits for it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::effects::process::{Helper, Processes, ProgramIdentity, identify};
use crate::effects::store::Store;
use crate::pure::agent::Driver;

/// A program takes about half a second for this, or hangs.
const HELP_TIMEOUT: Duration = Duration::from_secs(5);
const HELP_BYTES_MAX: u64 = 1024 * 1024;

/// One answer for each path: there are as few as agents.
#[derive(Default)]
pub struct Abilities {
    known: Mutex<HashMap<PathBuf, (ProgramIdentity, bool)>>,
}

/// Who is asked, and with what.
pub struct Asker<'a> {
    pub processes: &'a Processes,
    pub store: &'a Store,
}

impl Abilities {
    /// Whether the program can be told that nobody answers its questions.
    pub fn can_ask_nobody(&self, asker: &Asker, driver: &Driver, program: &Path) -> bool {
        let Some(option) = driver.ask_nobody else { return false };
        let Some(identity) = identify(program) else { return false };
        // Held while it is asked: whoever else wants to know waits for the same answer.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, can)) = known.get(program).filter(|(known, _)| *known == identity) {
            return *can;
        }
        let help = asker.help(program);
        let can = help.is_some_and(|help| help.split_whitespace().any(|word| word == option));
        log::debug!("{} {} {option}", program.display(), if can { "knows" } else { "has no" });
        known.insert(program.to_path_buf(), (identity, can));
        can
    }
}

impl Asker<'_> {
    fn help(&self, program: &Path) -> Option<String> {
        let out = self.store.scratch_file().ok()?;
        let helper = Helper {
            program: program.to_str()?,
            arguments: &["--help"],
            directory: self.store.home(),
            variables: &[],
            removed_prefix: "GSTACK_",
            stdout: out.try_clone().ok()?.into(),
            timeout: HELP_TIMEOUT,
        };
        match self.processes.run(helper) {
            Ok(true) => self.store.read_scratch(out, HELP_BYTES_MAX).ok(),
            Ok(false) => None,
            Err(e) => {
                log::debug!("cannot ask {} for help: {e}", program.display());
                None
            }
        }
    }
}
