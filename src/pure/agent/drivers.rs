//! The agents that there are: the rows that are built in, and those that the settings describe.
//!
//! Owns which names a dispatch may give, and the check of the settings against the rows. A row of
//! the settings is made once and stays until the daemon ends, since a session that was started by
//! it may outlive the settings; the same words make the same row again, and there is an end to how
//! many are made, so that reading the settings again and again fills no memory.

use super::environment;
use super::{Driver, generic};
use crate::pure::config::agents::{AgentEntries, AgentEntry};
use crate::pure::config::dialect::Dialect;
use crate::pure::config::template::Template;
use crate::pure::config::{self, Settings};
use crate::pure::dispatch::AGENTS;
use crate::pure::text::nearest::nearest;

/// Most rows that the settings may make while one daemon lives.
const MADE_MAX: usize = 1000;

/// The table that a daemon works with.
#[derive(Clone, Debug)]
pub struct Drivers {
    built_in: &'static [Driver],
    /// Of the settings in force.
    configured: Vec<&'static Driver>,
    /// All that were ever made, the newest last.
    made: Vec<&'static Driver>,
    names: Vec<&'static str>,
    names_of_accepted: Vec<&'static str>,
}

impl Drivers {
    pub fn new(built_in: &'static [Driver]) -> Drivers {
        let drivers = Drivers {
            built_in,
            configured: Vec::new(),
            made: Vec::new(),
            names: Vec::new(),
            names_of_accepted: Vec::new(),
        };
        drivers.with_names()
    }

    /// The table by these settings. The error is a mistake in them.
    pub fn by(&self, settings: &Settings) -> Result<Drivers, String> {
        let mut drivers = Drivers { configured: Vec::new(), ..self.clone() };
        for (name, entry) in &settings.agents {
            if let Some(template) = &entry.template {
                let is_built_in = drivers.built_in.iter().any(|driver| driver.name == name);
                if is_built_in {
                    return Err(format!(
                        "agents: {name}: how it speaks is built in (output and the like are for others)"
                    ));
                }
                let row = drivers.make(name, template)?;
                drivers.configured.push(row);
            }
        }
        let drivers = drivers.with_names();
        drivers.check(&settings.agents).map_err(|e| format!("agents: {e}"))?;
        for (place, _, project) in settings.projects.entries() {
            let checked = drivers.check(&project.agents);
            checked.map_err(|e| format!("projects: {place}: agents: {e}"))?;
        }
        Ok(drivers)
    }

    /// Applies the bytes of `config.json`, the agents in it included. The error names the line.
    pub fn read_config(&self, settings: &mut Settings, bytes: &[u8]) -> Result<(), String> {
        config::apply_config_file(settings, bytes)?;
        let agents = self.by(settings).map(drop);
        agents.map_err(|e| config::with_line(bytes, &e))
    }

    fn make(&mut self, name: &str, template: &Template) -> Result<&'static Driver, String> {
        let is_same = |row: &&&Driver| row.name == name && row.template == Some(template);
        if let Some(row) = self.made.iter().find(is_same) {
            return Ok(row);
        }
        if self.made.len() >= MADE_MAX {
            return Err(format!(
                "agents: {name}: they have changed {MADE_MAX} times; this needs a restart"
            ));
        }
        let known = self.names_of_accepted.iter().copied().find(|known| *known == name);
        let made = self.made.iter().map(|row| row.name).find(|made| *made == name);
        let name = known.or(made).unwrap_or_else(|| Box::leak(Box::<str>::from(name)));
        let template = Box::leak(Box::new(template.clone()));
        let row: &'static Driver = Box::leak(Box::new(generic::driver(name, template)));
        self.made.push(row);
        Ok(row)
    }

    fn with_names(mut self) -> Drivers {
        let with = |names: &[&'static str], rows: Vec<&'static Driver>| {
            let more = rows.into_iter().map(|row| row.name).filter(|name| !names.contains(name));
            [names, &more.collect::<Vec<_>>()].concat()
        };
        self.names = with(&AGENTS, self.rows().collect());
        self.names_of_accepted = with(&self.names, self.made.clone());
        self
    }

    fn check(&self, entries: &AgentEntries) -> Result<(), String> {
        for (name, entry) in entries {
            self.check_entry(name, entry).map_err(|e| format!("{name}: {e}"))?;
        }
        Ok(())
    }

    fn check_entry(&self, name: &str, entry: &AgentEntry) -> Result<(), String> {
        let Some(driver) = self.row(name) else {
            let known = self.rows().map(|row| row.name);
            let meant = nearest(name, known).map(|known| format!(" (did you mean {known}?)"));
            let meant = meant.unwrap_or_default();
            return Err(format!(
                "there is no such agent{meant}; one of your own needs output: text or stream"
            ));
        };
        let modes = driver.permission_modes;
        match entry.permission_mode.as_deref() {
            Some(mode) if !modes.is_empty() && !modes.contains(&mode) => {
                let meant = nearest(mode, modes.iter().copied());
                let meant = meant.map(|known| format!(" (did you mean {known}?)"));
                let (meant, modes) = (meant.unwrap_or_default(), modes.join(", "));
                Err(format!("permission_mode: {mode} is none of {modes}{meant}"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Those in force.
    pub fn rows(&self) -> impl Iterator<Item = &'static Driver> {
        self.built_in.iter().chain(self.configured.iter().copied())
    }

    fn row(&self, name: &str) -> Option<&'static Driver> {
        self.rows().find(|driver| driver.name == name)
    }

    /// Also one that the settings do not have any more: sessions of it may be left.
    pub fn get(&self, name: &str) -> Option<&'static Driver> {
        let earlier = || self.made.iter().rev().copied().find(|driver| driver.name == name);
        self.row(name).or_else(earlier)
    }

    /// The row for a session that was started in this dialect, if its agent had one of its own,
    /// whatever the settings say of that agent by now. `None`: nothing says how it speaks.
    pub fn of_session(&self, agent: &str, dialect: Option<&Dialect>) -> Option<&'static Driver> {
        let row = self.get(agent);
        let now = row.map(|row| row.template);
        match (now, dialect) {
            // What is built in no record can change.
            (Some(None), _) | (_, None) => row,
            (Some(Some(now)), Some(then)) if now.dialect == *then => row,
            (Some(Some(now)), Some(then)) => {
                Some(leaked(agent, Template { dialect: then.clone(), ..now.clone() }))
            }
            (None, Some(then)) => Some(leaked(agent, Template::of_dialect(then.clone()))),
        }
    }

    /// What a dispatch may name: the agents of the published schema, and every row.
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// What a dispatch may have named that was accepted: those of earlier settings too.
    pub fn names_of_accepted(&self) -> &[&'static str] {
        &self.names_of_accepted
    }

    /// Whether sessions inherit a variable of our environment. One answer for all agents: a session
    /// of one may have started the daemon, or may start another one itself.
    pub fn inherits(&self, variable: &str) -> bool {
        environment::is_inherited(variable, self.rows().map(|driver| &driver.variables))
    }

    /// The fixed variables that are set for whatever runs in a session of this agent.
    pub fn variables(&self, agent: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
        let own = self.get(agent).map_or(&[][..], |driver| driver.variables.set);
        environment::SET.iter().chain(own).copied()
    }
}

/// A row that stays until the daemon ends.
fn leaked(name: &str, template: Template) -> &'static Driver {
    let name = Box::leak(Box::<str>::from(name));
    Box::leak(Box::new(generic::driver(name, Box::leak(Box::new(template)))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::agent::environment::Variables;
    use crate::pure::agent::{DRIVERS, claude};
    use crate::pure::config::apply_config;
    use crate::pure::config::dialect::Output;
    use serde_json::{Value, json};

    const OTHER: Driver = Driver {
        name: "other",
        variables: Variables {
            set: &[("OTHER_QUIET", "1")],
            withheld: &["OTHER_*"],
            kept: &["OTHER_KEY"],
        },
        ..claude::DRIVER
    };
    static BOTH: [Driver; 2] = [claude::DRIVER, OTHER];

    #[test]
    fn the_table_is_found_by_name() {
        let drivers = Drivers::new(DRIVERS);
        assert_eq!(drivers.get("claude").map(|driver| driver.program), Some("claude"));
        assert!(drivers.get("Claude").is_none() && drivers.get("").is_none());
    }

    #[test]
    fn a_dispatch_may_name_the_agents_of_the_schema_and_every_row() {
        assert_eq!(Drivers::new(DRIVERS).names(), AGENTS);
        assert_eq!(Drivers::new(&BOTH).names(), [&AGENTS[..], &["other"]].concat());
    }

    #[test]
    fn a_driver_sets_variables_for_its_own_sessions_and_withholds_them_from_all() {
        let drivers = Drivers::new(&BOTH);
        let set = |agent| drivers.variables(agent).map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(set("claude"), ["OPENCLAW_SESSION", "DISABLE_AUTOUPDATER"]);
        assert_eq!(set("other"), ["OPENCLAW_SESSION", "OTHER_QUIET"]);
        assert_eq!(set("codex"), ["OPENCLAW_SESSION"]);
        let inherited = ["OTHER_X", "OTHER_KEY", "CLAUDECODE", "PATH"].map(|v| drivers.inherits(v));
        assert_eq!(inherited, [false, true, false, true]);
        assert!(Drivers::new(DRIVERS).inherits("OTHER_X"));
    }

    fn settings(config: Value) -> Settings {
        let mut settings = Settings::default();
        apply_config(&mut settings, &config).expect("config");
        settings
    }

    fn by(drivers: &Drivers, agents: Value) -> Drivers {
        drivers.by(&settings(json!({ "agents": agents }))).expect("a table")
    }

    #[test]
    fn the_settings_add_rows_and_the_same_words_make_the_same_row() {
        let text = json!({"output": "text"});
        let none = Drivers::new(&BOTH);
        let first = by(&none, json!({"agy": text, "claude": {"model": "m"}}));
        assert_eq!(first.names(), [&AGENTS[..], &["other", "agy"]].concat());
        let row = first.get("agy").expect("a row");
        let again = by(&first, json!({"agy": {"output": "text", "model": "m"}}));
        assert!(std::ptr::eq(row, again.get("agy").expect("a row")));
        let other = by(&again, json!({"agy": {"output": "text", "args": ["x"]}}));
        assert!(!std::ptr::eq(row, other.get("agy").expect("a row")));
        // What was started under earlier settings is still understood, and no more of it taken.
        let gone = by(&other, json!({}));
        assert!(gone.get("agy").is_some() && !gone.names().contains(&"agy"));
        assert!(gone.names_of_accepted().contains(&"agy"));
        assert_eq!(gone.rows().count(), 2);
    }

    #[test]
    fn a_session_is_read_in_the_dialect_that_it_was_started_with() {
        let agy = json!({"output": "stream", "stream": {"result": "a"}, "args": ["x"]});
        let now = by(&Drivers::new(&BOTH), json!({ "agy": agy }));
        let row = now.get("agy").expect("a row");
        let dialect = |row: &Driver| row.template.expect("a template").dialect.clone();
        let (same, none) = (dialect(row), Drivers::new(&BOTH));
        let text = Dialect { output: Output::Text, failures: Vec::new(), session_unknown: None };
        let is_row = |found: Option<&'static Driver>| found.is_some_and(|f| std::ptr::eq(f, row));
        assert!(is_row(now.of_session("agy", Some(&same))) && is_row(now.of_session("agy", None)));
        // It is read otherwise, and resumed and started as the settings say by now.
        let other = now.of_session("agy", Some(&text)).expect("a row");
        assert!(dialect(other) == text && other.template.expect("one").args == ["x"]);
        // Of one that is gone nothing can be started.
        let gone = none.of_session("agy", Some(&text)).expect("a row");
        assert!((gone.name, dialect(gone)) == ("agy", text.clone()) && !gone.can_resume());
        assert!(gone.template.expect("one").args.is_empty());
        assert!(none.of_session("agy", None).is_none());
        // A session can write its own record: what is built in stays as it is.
        let built_in = now.of_session("claude", Some(&text)).expect("a row");
        assert!(built_in.template.is_none());
    }

    #[test]
    fn there_is_an_end_to_how_many_rows_are_made() {
        let mut drivers = Drivers::new(&BOTH);
        let args =
            |n: usize| json!({"agents": {"agy": {"output": "text", "args": [n.to_string()]}}});
        for n in 0..MADE_MAX {
            drivers = drivers.by(&settings(args(n))).expect("a table");
        }
        let error = drivers.by(&settings(args(MADE_MAX))).expect_err("too many");
        assert!(error.contains("needs a restart"), "{error}");
        assert!(drivers.by(&settings(args(7))).is_ok());
    }

    #[test]
    fn mistakes_name_the_agent_and_what_was_probably_meant() {
        let drivers = Drivers::new(&BOTH);
        for (config, want) in [
            (
                json!({"agents": {"cluade": {"model": "m"}}}),
                "agents: cluade: there is no such agent (did you mean claude?); one of your own \
                 needs output: text or stream",
            ),
            (
                json!({"agents": {"claude": {"output": "text"}}}),
                "agents: claude: how it speaks is built in (output and the like are for others)",
            ),
            (
                json!({"projects": {"/p": {"agents": {"othr": {"model": "m"}}}}}),
                "projects: /p: agents: othr: there is no such agent (did you mean other?); one of \
                 your own needs output: text or stream",
            ),
            (
                json!({"agents": {"claude": {"permission_mode": "acceptEdit"}}}),
                "agents: claude: permission_mode: acceptEdit is none of acceptEdits, auto, \
                 bypassPermissions, default, dontAsk, manual, plan (did you mean acceptEdits?)",
            ),
        ] {
            assert_eq!(drivers.by(&settings(config)).expect_err("refused"), want);
        }
        let fine = json!({"agents": {"agy": {"output": "text"}},
            "projects": {"/p": {"agents": {"agy": {"permission_mode": "whatever"}}}}});
        assert!(drivers.by(&settings(fine)).is_ok());
    }
}
