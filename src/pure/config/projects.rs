//! What holds for one project only: what its agent may do, and what must pass before its work
//! counts.
//!
//! A directory's entry holds for everything below it, since a dispatch chooses its directory and
//! must not step out of a rule by choosing a deeper one. Of several the nearest counts. Where a key
//! leads is asked when it is used, never kept: a link or a directory may come later.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::values::{budget, list, pause, positive, sources, strings, switch, tool_list, word};
use super::{Settings, unknown};
use crate::pure::strict_json;

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

    /// All of them, and whether the key names a directory.
    pub fn entries(&self) -> impl Iterator<Item = (&str, bool, &T)> {
        self.0.iter().map(|(place, entry)| (place.as_str(), is_directory(place), entry))
    }

    /// The entries of the directory itself or of the nearest one above it, with their keys: mostly
    /// one, several if several keys lead there. `forms`: what the directory of a key may be called
    /// now.
    fn of_directory(&self, dir: &Path, forms: Forms) -> Vec<(&str, &T)> {
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

    fn of_name(&self, name: &str) -> Option<(&str, &T)> {
        let mut names = self.0.iter().filter(|(place, _)| !is_directory(place));
        names.find(|(place, _)| place == name).map(|(place, entry)| (place.as_str(), entry))
    }
}

/// Asks what the directory of a key may be called: as the key is written, and where it leads.
pub type Forms<'f> = &'f dyn Fn(&str) -> [PathBuf; 2];

fn is_directory(place: &str) -> bool {
    place.starts_with('/') || place.starts_with("~/") || place == "~"
}

/// What differs from the settings for all projects. `None`: nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Project {
    pub allow_tools: Option<Vec<String>>,
    pub setting_sources: Option<Vec<String>>,
    pub model: Option<String>,
    pub max_turns: Option<u64>,
    pub max_budget_usd: Option<f64>,
    /// On top of those for all projects.
    pub extra_args: Vec<String>,
    pub strict: Option<bool>,
}

/// The command that says whether a session's work is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verify {
    pub argv: Vec<String>,
    pub timeout: Duration,
}

/// On what terms an agent runs in a project: the settings for all, with the project's own in their
/// place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms {
    pub allow_tools: Vec<String>,
    pub setting_sources: Vec<String>,
    pub model: Option<String>,
    pub max_turns: Option<u64>,
    pub max_budget_usd: Option<f64>,
    pub extra_args: Vec<String>,
    /// The project is not trusted: none of its own hooks and servers may run.
    pub strict: bool,
}

/// The entry that holds for a session in this directory, with its key. Of several that are equally
/// near the one that trusts least: what restricts must not be lost.
pub fn project<'s>(
    settings: &'s Settings,
    dir: &Path,
    forms: Forms,
) -> Option<(&'s str, &'s Project)> {
    let nearest = settings.projects.of_directory(dir, forms);
    let strict = nearest.iter().find(|(_, project)| project.strict == Some(true));
    strict.or(nearest.first()).copied()
}

pub fn terms(settings: &Settings, own: Option<&Project>) -> Terms {
    let nothing = Project::default();
    let own = own.unwrap_or(&nothing);
    Terms {
        allow_tools: own.allow_tools.as_ref().unwrap_or(&settings.allow_tools).clone(),
        setting_sources: own.setting_sources.as_ref().unwrap_or(&settings.setting_sources).clone(),
        model: own.model.as_ref().or(settings.model.as_ref()).cloned(),
        max_turns: own.max_turns.or(settings.max_turns),
        max_budget_usd: own.max_budget_usd.or(settings.max_budget_usd),
        extra_args: [settings.claude_args.as_slice(), &own.extra_args].concat(),
        strict: own.strict.unwrap_or(settings.strict),
    }
}

/// The command for a directory, else the one for the name that the dispatch gives its project; with
/// its key.
pub fn verify<'s>(
    settings: &'s Settings,
    dir: &Path,
    name: &str,
    forms: Forms,
) -> Option<(&'s str, &'s Verify)> {
    let nearest = settings.verify.of_directory(dir, forms);
    nearest.first().copied().or_else(|| settings.verify.of_name(name))
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

/// An object by place; a flag or a variable has it as text.
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

const PROJECT_KEYS: [&str; 7] = [
    "allow_tools",
    "setting_sources",
    "model",
    "max_turns",
    "max_budget_usd",
    "extra_args",
    "strict",
];
const VERIFY_KEYS: [&str; 2] = ["argv", "timeout_seconds"];

fn project_entry(value: &Value) -> Result<Project, String> {
    let mut project = Project::default();
    for (key, value) in value.as_object().ok_or("it must be an object")? {
        let named = |e: String| format!("{key}: {e}");
        match key.as_str() {
            "allow_tools" => project.allow_tools = Some(tool_list(value).map_err(named)?),
            "setting_sources" => project.setting_sources = Some(sources(value).map_err(named)?),
            "model" => project.model = word(value).map_err(named)?,
            "max_turns" => project.max_turns = positive(value).map_err(named)?,
            "max_budget_usd" => project.max_budget_usd = budget(value).map_err(named)?,
            "extra_args" => project.extra_args = list(value).map_err(named)?,
            "strict" => project.strict = Some(switch(value).map_err(named)?),
            _ => return Err(unknown(key, PROJECT_KEYS)),
        }
    }
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
    use super::*;
    use serde_json::json;

    fn settings(config: Value) -> Settings {
        let mut settings = Settings::default();
        super::super::apply_config(&mut settings, &config).expect("config");
        settings
    }

    /// Every key is as it is written, but those below `/link`, which leads to `/a/b/c`.
    fn forms(key: &str) -> [PathBuf; 2] {
        let led = key.strip_prefix("/link").map(|rest| format!("/a/b/c{rest}"));
        [PathBuf::from(key), PathBuf::from(led.unwrap_or(key.into()))]
    }

    fn terms_in(settings: &Settings, dir: &str) -> Terms {
        let own = project(settings, Path::new(dir), &forms);
        terms(settings, own.map(|(_, project)| project))
    }

    #[test]
    fn the_nearest_directory_decides_and_nothing_below_it_escapes() {
        let entry = |model: &str| json!({"model": model});
        let s = settings(json!({"model": "all", "projects": {
            "/a": entry("a"), "/a/b/": entry("b"), "/ab": entry("ab"), "/link/d": entry("link")}}));
        for (dir, want) in [
            ("/a", "a"),
            ("/a/x/y", "a"),
            ("/a/b", "b"),
            ("/a/b/c", "b"),
            ("/a/b/c/d", "link"),
            ("/link/d/e", "link"),
            ("/link", "all"),
            ("/ab", "ab"),
            ("/abc", "all"),
            ("/", "all"),
        ] {
            assert_eq!(terms_in(&s, dir).model.as_deref(), Some(want), "{dir}");
        }
    }

    #[test]
    fn of_two_keys_for_one_directory_the_one_that_trusts_less_counts() {
        let (open, strict) = (json!({"allow_tools": "Bash"}), json!({"strict": true}));
        for projects in [
            json!({"/a/b/c": open, "/link": strict}),
            json!({"/a/b/c": strict, "/link": open}),
            json!({"/link": open, "/link/": strict}),
        ] {
            let s = settings(json!({ "projects": projects }));
            let terms = terms_in(&s, "/a/b/c/d");
            assert!(terms.strict && terms.allow_tools.is_empty(), "{s:?}");
        }
    }

    #[test]
    fn a_project_replaces_what_it_names_and_keeps_the_rest() {
        let s = settings(json!({"allow_tools": "Bash", "max_turns": 9, "claude_args": "--a",
            "projects": {"/p": {"allow_tools": [], "extra_args": ["--b"], "strict": true}}}));
        let own = terms_in(&s, "/p");
        assert!(own.allow_tools.is_empty() && own.strict);
        assert_eq!((own.max_turns, own.extra_args), (Some(9), vec!["--a".into(), "--b".into()]));
        let other = terms_in(&s, "/q");
        assert_eq!((other.allow_tools, other.strict), (vec!["Bash".to_string()], false));
    }

    #[test]
    fn an_acceptance_command_is_found_by_directory_then_by_name() {
        let run = |word: &str| json!({"argv": [word]});
        let s = settings(json!({"verify": {"/a": run("dir"), "shop": run("name")}}));
        for (dir, name, want) in [
            ("/a/b", "shop", Some("dir")),
            ("/x", "shop", Some("name")),
            ("/x", "/a", None),
            ("/x", "other", None),
        ] {
            let found = verify(&s, Path::new(dir), name, &forms);
            let found = found.map(|(_, verify)| verify.argv[0].as_str());
            assert_eq!(found, want, "{dir} {name}");
        }
        // A flag has it as text.
        let mut s = Settings::default();
        let value = json!(r#"{"shop": {"argv": ["make", "test"], "timeout_seconds": 2}}"#);
        s.verify = verifications(&value).expect("JSON as text");
        let (_, found) = verify(&s, Path::new("/x"), "shop", &forms).expect("by name");
        assert_eq!((found.argv.len(), found.timeout), (2, Duration::from_secs(2)));
    }

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
            (json!({"projects": {"/a": {"max_turns": 0}}}), "/a: max_turns: must be at least 1"),
            (json!({"projects": []}), "it must be an object with an entry for each project"),
            (json!({"verify": {"a": {}}}), "a: argv must name a program"),
            (json!({"verify": {"a": {"argv": "make test"}}}), "a: \"make test\" is not a list"),
        ] {
            let got = super::super::apply_config(&mut Settings::default(), &config);
            let got = got.expect_err("refused");
            assert!(got.ends_with(want), "{got}");
        }
    }
}
