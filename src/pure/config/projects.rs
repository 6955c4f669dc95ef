//! What holds for one project only: what its agent may do, and what must pass before its work
//! counts.
//!
//! A directory's entry holds for everything below it, since a dispatch chooses its directory and
//! must not step out of a rule by choosing a deeper one. The nearest entry counts. Must not keep
//! where a key leads, but asks at each use: a link or a directory may come later.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::agents::{self, AgentEntries, Scope};
use super::budget::{Budget, nanos};
use super::confine::Confine;
use super::launcher::{self, Launcher, OwnLauncher};
use super::values::{budget, list, pause, positive, sources, strings, switch, tool_list, word};
use super::{confine, strict_json, unknown};

const VERIFY_TIMEOUT: Duration = Duration::from_secs(600);

/// Entries by the directory (absolute) or the name that they are for.
#[derive(Clone, Debug, PartialEq)]
pub struct Places<T>(Vec<(String, T)>);

impl<T> Default for Places<T> {
    fn default() -> Places<T> {
        Places(Vec::new())
    }
}

impl<T> Places<T> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys that name directories, as they are written, with their entries.
    pub fn directories(&self) -> impl Iterator<Item = (&str, &T)> {
        let directories = self.0.iter().filter(|(place, _)| is_directory(place));
        directories.map(|(place, entry)| (place.as_str(), entry))
    }

    /// All entries, each with its key and whether that names a directory.
    pub fn entries(&self) -> impl Iterator<Item = (&str, bool, &T)> {
        self.0.iter().map(|(place, entry)| (place.as_str(), is_directory(place), entry))
    }

    /// The entries of the directory itself or of the nearest one above it, with their keys. Mostly
    /// there is one; there are several if several keys lead to one directory. `forms` says what the
    /// directory of a key may be called now.
    pub(super) fn of_directory(&self, dir: &Path, forms: Forms) -> Vec<(&str, &T)> {
        let mut nearest = (0, Vec::new());
        for (place, entry) in self.directories() {
            let above = forms(place).into_iter().filter(|form| dir.starts_with(form));
            let Some(depth) = above.map(|form| form.components().count()).max() else { continue };
            if depth > nearest.0 {
                nearest = (depth, Vec::new());
            }
            if depth == nearest.0 {
                nearest.1.push((place, entry));
            }
        }
        nearest.1
    }

    pub(super) fn of_name(&self, name: &str) -> Option<(&str, &T)> {
        let mut names = self.0.iter().filter(|(place, _)| !is_directory(place));
        names.find(|(place, _)| place == name).map(|(place, entry)| (place.as_str(), entry))
    }
}

/// Says what the directory of a key may be called: as the key is written, and where it leads.
pub type Forms<'f> = &'f dyn Fn(&str) -> [PathBuf; 2];

fn is_directory(place: &str) -> bool {
    place.starts_with('/') || place.starts_with("~/") || place == "~"
}

/// What a project sets apart from the settings for all projects. `None`: it sets nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Project {
    pub allow_tools: Option<Vec<String>>,
    pub setting_sources: Option<Vec<String>>,
    pub model: Option<String>,
    pub max_turns: Option<u64>,
    pub max_budget_usd: Option<f64>,
    /// What its sessions may cost together, besides the budget for all.
    pub budget: Budget,
    /// Arguments that come on top of those for all projects.
    pub extra_args: Vec<String>,
    pub strict: Option<bool>,
    pub confine: Option<Confine>,
    /// In place of what is set for all projects.
    pub confine_write: Option<Vec<String>>,
    pub confine_connect: Option<Vec<u16>>,
    /// By name; what stands above wins for Claude Code.
    pub agents: AgentEntries,
    /// In place of the launcher for all projects. One without arguments: none.
    pub launcher: Option<Launcher>,
}

/// The command that says whether a session's work is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verify {
    pub argv: Vec<String>,
    pub timeout: Duration,
}

pub(super) fn projects(value: &Value) -> Result<Places<Project>, String> {
    let projects = places(value, project_entry)?;
    match projects.0.iter().find(|(place, _)| !is_directory(place)) {
        Some((place, _)) => Err(format!("{place} is no directory: name it from / or ~/")),
        None => Ok(projects),
    }
}

pub(super) fn verifications(value: &Value) -> Result<Places<Verify>, String> {
    places(value, verification)
}

/// Reads an object whose keys are places; a flag or a variable holds it as text.
fn places<T>(value: &Value, read: fn(&Value) -> Result<T, String>) -> Result<Places<T>, String> {
    let text = value.as_str().filter(|text| !text.is_empty());
    let parsed = text.map(|text| strict_json::parse(text.as_bytes()));
    match parsed.transpose()?.as_ref().unwrap_or(value) {
        Value::String(_) => Ok(Places::default()),
        Value::Object(entries) => {
            let entry = |(place, value): (&String, &Value)| {
                let read = read(value).map_err(|e| format!("{place}: {e}"))?;
                Ok((place.clone(), read))
            };
            entries.iter().map(entry).collect::<Result<_, String>>().map(Places)
        }
        _ => Err("it must be an object with an entry for each project".into()),
    }
}

pub const PROJECT_KEYS: [&str; 13] = [
    "allow_tools",
    "setting_sources",
    "model",
    "max_turns",
    "max_budget_usd",
    "max_usd_per_day",
    "max_tokens_per_day",
    "extra_args",
    "strict",
    "confine",
    "confine_write",
    "confine_connect",
    "agents",
];
pub const VERIFY_KEYS: [&str; 2] = ["argv", "timeout_seconds"];

fn project_entry(value: &Value) -> Result<Project, String> {
    let (mut project, mut own) = (Project::default(), OwnLauncher::default());
    for (key, value) in value.as_object().ok_or("it must be an object")? {
        let named = |e: String| format!("{key}: {e}");
        match key.as_str() {
            "allow_tools" => project.allow_tools = Some(tool_list(value).map_err(named)?),
            "setting_sources" => project.setting_sources = Some(sources(value).map_err(named)?),
            "model" => project.model = word(value).map_err(named)?,
            "max_turns" => project.max_turns = positive(value).map_err(named)?,
            "max_budget_usd" => project.max_budget_usd = budget(value).map_err(named)?,
            "max_usd_per_day" => {
                project.budget.usd_nanos = budget(value).map_err(named)?.map(nanos)
            }
            "max_tokens_per_day" => project.budget.tokens = positive(value).map_err(named)?,
            "extra_args" => project.extra_args = list(value).map_err(named)?,
            "strict" => project.strict = Some(switch(value).map_err(named)?),
            "confine" => project.confine = Some(confine::confine(value).map_err(named)?),
            "confine_write" => project.confine_write = Some(confine::places(value).map_err(named)?),
            "confine_connect" => project.confine_connect = confine::ports(value).map_err(named)?,
            "agents" => project.agents = agents::entries(value, Scope::Project).map_err(named)?,
            key if launcher::KEYS.contains(&key) => own.read(key, value).map_err(named)?,
            _ => return Err(unknown(key, PROJECT_KEYS.into_iter().chain(launcher::KEYS))),
        }
    }
    project.launcher = own.end()?;
    Ok(project)
}

fn verification(value: &Value) -> Result<Verify, String> {
    let mut verify = Verify { argv: Vec::new(), timeout: VERIFY_TIMEOUT };
    for (key, value) in value.as_object().ok_or("it must be an object")? {
        match key.as_str() {
            "argv" => verify.argv = strings(value)?,
            "timeout_seconds" => {
                verify.timeout = pause(value).map_err(|e| format!("{key}: {e}"))?
            }
            _ => return Err(unknown(key, VERIFY_KEYS)),
        }
    }
    if verify.argv.first().is_none_or(String::is_empty) {
        return Err("argv must name a program".into());
    }
    Ok(verify)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::pure::config::{Settings, apply_config};

    #[test]
    fn wrong_entries_are_refused() {
        for (config, want) in [
            (json!({"projects": {"shop": {}}}), "shop is no directory: name it from / or ~/"),
            (
                json!({"projects": {"/a": {"modle": "x"}}}),
                "/a: unknown setting modle (did you mean model?)",
            ),
            (json!({"projects": {"/a": {"color": 1}}}), "/a: unknown setting color"),
            (
                json!({"projects": "{\"/a\": {}, \"/a\": {}}"}),
                "/a stands twice at line 1 column 20",
            ),
            (
                json!({"projects": {"/a": {"max_turns": 0}}}),
                "/a: max_turns: must be at least 1, not 0",
            ),
            (json!({"projects": []}), "it must be an object with an entry for each project"),
            (json!({"verify": {"a": {}}}), "a: argv must name a program"),
            (json!({"verify": {"a": {"argv": "make test"}}}), "a: \"make test\" is not a list"),
        ] {
            let got = apply_config(&mut Settings::default(), &config);
            let got = got.expect_err("refused");
            assert!(got.ends_with(want), "{got}");
        }
    }
}
