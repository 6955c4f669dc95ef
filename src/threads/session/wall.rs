//! The wall that a session gets: the settings, the project, the agent and this daemon's own places,
//! as paths that are there now.
//!
//! Owns which places those are; what follows for single grants is decided in
//! [`crate::pure::confine`], and done in the hidden verb. Whatever runs for the session is behind
//! the same wall: its acceptance command, and git, which can run programs that the project names.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::effects::process::landlock_abi;
use crate::effects::project::{self, Resolver};
use crate::effects::{agent_record, git};
use crate::pure::agent::Driver;
use crate::pure::config::confine::Confine;
use crate::pure::config::needs::CONNECT_ABI_MIN;
use crate::pure::config::terms::Terms;
use crate::pure::confine::Confinement;
use crate::pure::report::Confined;
use crate::threads::shared::context::Context;

/// What the settings ask for and the kernel gives.
#[derive(Clone, Debug)]
pub struct Wall {
    pub confinement: Confinement,
    /// The same for the report.
    pub confined: Confined,
}

/// `None`: the session is not confined. The error says why it must not run.
pub fn wall(
    context: &Context,
    dir: &Path,
    driver: &Driver,
    terms: &Terms,
) -> Result<Option<Wall>, String> {
    let wanted = &terms.confine;
    let abi = match (wanted.confine, landlock_abi()) {
        (Confine::Off, _) | (Confine::IfPossible, None) => return Ok(None),
        (Confine::On, None) => {
            return Err("it cannot be confined: the kernel has no Landlock".into());
        }
        (Confine::On | Confine::IfPossible, Some(abi)) => abi,
    };
    let knows_ports = abi >= CONNECT_ABI_MIN;
    if wanted.connect.is_some() && !knows_ports && wanted.confine == Confine::On {
        return Err("it cannot be confined: the kernel's Landlock knows no ports".into());
    }
    let connect = wanted.connect.clone().filter(|_| knows_ports);
    let denied = denied(context, terms);
    let confinement = Confinement {
        writable: writable(context, dir, driver, terms),
        denied,
        connect: connect.clone(),
        ..Confinement::default()
    };
    if let Some(place) = confinement.denier(dir) {
        let (dir, place) = (dir.display(), place.display());
        return Err(format!(
            "project_dir {dir} lies in {place}, which confine_deny keeps from sessions"
        ));
    }
    let write = confinement.writable.iter().map(|place| place.display().to_string());
    let write = write.chain(["$TMPDIR".to_string()]).collect();
    let confined = Confined { abi, write, connect, ..Confined::default() };
    Ok(Some(Wall { confinement, confined }))
}

impl Wall {
    /// For a session that has these to itself: its temporary directory, and what it is told.
    pub fn with_own(mut self, tmp: Option<PathBuf>, told: Vec<PathBuf>) -> Confinement {
        self.confinement.own_writable.extend(tmp);
        self.confinement.own_readable.extend(told);
        self.confinement
    }

    /// Lets nothing through, for what must not run without a wall and cannot have the right one.
    pub fn shut() -> Wall {
        let denied = vec![PathBuf::from("/")];
        let confinement = Confinement { denied, ..Confinement::default() };
        Wall { confinement, confined: Confined::default() }
    }

    /// For a program that only looks.
    pub fn for_reading(&self) -> Confinement {
        Confinement { writable: Vec::new(), ..self.confinement.clone() }
    }
}

/// A place by both its names: as it is written, and where it leads. It need not be there.
fn denied(context: &Context, terms: &Terms) -> Vec<PathBuf> {
    let store = &context.store;
    let home = context.home.as_deref();
    let set = terms.confine.deny.iter().map(|place| project::expand(place, home));
    let own = [store.drop_zone(), store.own_dir()].into_iter().map(Path::to_path_buf);
    let all = set.chain(own).chain(store.tmp_places().iter().cloned());
    let mut resolver = Resolver::default();
    let both = all.flat_map(|place| [resolver.resolve_nearest(&place), place]);
    let mut denied: Vec<PathBuf> = both.filter(|place| place.is_absolute()).collect();
    denied.sort();
    denied.dedup();
    denied
}

/// What is there. A folder of the agent's own is made, since it could not be made from behind the
/// wall.
fn writable(context: &Context, dir: &Path, driver: &Driver, terms: &Terms) -> Vec<PathBuf> {
    let home = context.home.as_deref();
    let variable = |name: &str| session_variable(context, terms, name);
    let own = driver.own_state.iter().filter_map(|own| {
        let place = own.place(&variable)?;
        if own.is_folder {
            agent_record::make_folder(&place);
        }
        Some(place)
    });
    let set = terms.confine.write.iter().map(|place| project::expand(place, home));
    let there = git::own_dirs(dir).into_iter().chain(own).chain(set);
    let mut writable = vec![dir.to_path_buf()];
    for place in there.filter_map(|place| place.canonicalize().ok()) {
        if !writable.iter().any(|known| place.starts_with(known)) {
            writable.push(place);
        }
    }
    writable
}

/// A variable of the session's environment: one of the settings stands over an inherited one.
pub fn session_variable(context: &Context, terms: &Terms, name: &str) -> Option<OsString> {
    let set = terms.env.iter().rev().find(|(set, _)| set == name);
    let set = set.map(|(_, value)| OsString::from(value));
    set.or_else(|| context.processes.inherited(name))
}
