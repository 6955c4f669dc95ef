//! What the agents' programs said when they were asked whether their sessions can work here.
//!
//! Each is asked once, before its first session, and again when its program has another path: an
//! agent that is never used costs nothing. Must not keep a session from starting: what fails here
//! is a warning in its report.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::effects::process::{Helper, Processes};
use crate::effects::store::Store;
use crate::pure::agent::Driver;

/// A check takes milliseconds.
const CHECK_MAX: Duration = Duration::from_secs(10);

#[derive(Default)]
pub struct SelfChecks(Mutex<BTreeMap<&'static str, Answered>>);

struct Answered {
    program: PathBuf,
    is_well: bool,
}

/// What asks.
pub struct Asker<'a> {
    pub processes: &'a Processes,
    pub store: &'a Store,
    /// Where the program runs.
    pub dir: &'a Path,
}

impl SelfChecks {
    /// Asks a program that was not asked yet. Others that want to know wait for its answer.
    pub fn ask_once(&self, asker: &Asker, driver: &Driver, program: &Path) {
        let Some(check) = driver.self_check else { return };
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.get(driver.name).is_some_and(|answered| answered.program == program) {
            return;
        }
        let is_well = asker.is_well(program, check.arguments);
        if !is_well {
            log::warn!("{}", check.warning);
        }
        let answered = Answered { program: program.to_path_buf(), is_well };
        answers.insert(driver.name, answered);
    }

    /// What the report of a session has to say of its agent's check.
    pub fn warning(&self, driver: &Driver) -> Option<&'static str> {
        let answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has_failed = answers.get(driver.name).is_some_and(|answered| !answered.is_well);
        driver.self_check.filter(|_| has_failed).map(|check| check.warning)
    }
}

impl Asker<'_> {
    /// Not knowing is no reason to warn.
    fn is_well(&self, program: &Path, arguments: &[&str]) -> bool {
        let (Some(name), Ok(stdout)) = (program.to_str(), self.store.scratch_file()) else {
            return true;
        };
        let helper = Helper {
            program: name,
            arguments,
            directory: self.dir,
            variables: &[],
            removed_prefix: "GSTACK_DISPATCHD_",
            stdout,
            timeout: CHECK_MAX,
        };
        self.processes.run(helper).unwrap_or_else(|e| {
            log::debug!("cannot ask {name}: {e}");
            true
        })
    }
}
