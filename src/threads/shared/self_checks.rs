//! What the agents' programs said when they were asked whether their sessions can work here.
//!
//! Each is asked once, before its first session, and again when its program has another path: an
//! agent that is never used costs nothing. It is asked with the variables that the settings give
//! that session, and in a temporary directory as sessions have one: Codex has no sandbox where its
//! home lies in the temporary directory.
//! Must not keep a session from starting: what fails here is a warning in its report.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::abilities::{Asker, EnvOfAgent, borrowed};
use crate::effects::process::Helper;
use crate::effects::random;
use crate::pure::agent::environment::TMPDIR;
use crate::pure::agent::{Driver, SelfCheck};
use crate::pure::config::terms::Terms;
use crate::pure::text::hex::hex;

/// A check takes milliseconds.
const CHECK_MAX: Duration = Duration::from_secs(10);

#[derive(Default)]
pub struct SelfChecks(Mutex<BTreeMap<(&'static str, EnvOfAgent), Answered>>);

struct Answered {
    program: PathBuf,
    is_well: bool,
}

impl SelfChecks {
    /// Asks a program that was not asked yet, before a session of it in this directory and on these
    /// terms. Others that want to know wait for its answer.
    pub fn ask_once(
        &self,
        asker: &Asker,
        driver: &Driver,
        program: &Path,
        (dir, terms): (&Path, &Terms),
    ) {
        let Some(check) = check_for(driver, terms) else { return };
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = (driver.name, terms.env.clone());
        if answers.get(&asked).is_some_and(|answered| answered.program == program) {
            return;
        }
        let is_well = asker.is_well(program, check.arguments, (dir, &terms.env));
        if !is_well {
            log::warn!("{}", check.warning);
        }
        let answered = Answered { program: program.to_path_buf(), is_well };
        answers.insert(asked, answered);
    }

    /// What the report of a session on these terms has to say of its agent's check.
    pub fn warning(&self, driver: &Driver, terms: &Terms) -> Option<&'static str> {
        let answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let answered = answers.get(&(driver.name, terms.env.clone()));
        let has_failed = answered.is_some_and(|answered| !answered.is_well);
        check_for(driver, terms).filter(|_| has_failed).map(|check| check.warning)
    }
}

/// The check that sessions on these terms need. What a program says here says nothing about where a
/// launcher runs it.
fn check_for(driver: &Driver, terms: &Terms) -> Option<SelfCheck> {
    let does_without = |check: &SelfCheck| {
        terms.permission_mode.as_deref().is_some_and(|mode| check.unneeded_in.contains(&mode))
    };
    driver.self_check.filter(|check| terms.launcher.is_none() && !does_without(check))
}

impl Asker<'_> {
    /// Not knowing is no reason to warn.
    fn is_well(
        &self,
        program: &Path,
        arguments: &[&str],
        (dir, env): (&Path, &EnvOfAgent),
    ) -> bool {
        let (Some(name), Ok(stdout)) = (program.to_str(), self.store.scratch_file()) else {
            return true;
        };
        let tmp = self.store.make_tmp(&hex(&random::bytes::<16>())).ok();
        let place = tmp.as_ref().and_then(|dir| Some((TMPDIR, dir.to_str()?)));
        let variables: Vec<_> = place.into_iter().chain(borrowed(env)).collect();
        let helper = Helper {
            program: name,
            arguments,
            directory: dir,
            variables: &variables,
            removed_prefix: "GSTACK_DISPATCHD_",
            stdout: stdout.into(),
            timeout: CHECK_MAX,
            confinement: None,
        };
        let is_well = self.processes.run(helper).unwrap_or_else(|e| {
            log::debug!("cannot ask {name}: {e}");
            true
        });
        if let Some(Err(e)) = tmp.map(|dir| self.store.remove_tmp(&dir, CHECK_MAX)) {
            log::debug!("{e}");
        }
        is_well
    }
}
