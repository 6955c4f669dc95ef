//! The terms on which a session runs in a directory: the settings for all, with those of the
//! nearest project in their place, and the command that its work must pass.
//!
//! If several entries are equally near, the one that trusts least decides.

use std::path::Path;

use super::Settings;
use super::agents::AgentEntry;
use super::launcher::Launcher;
use super::projects::{Forms, Project, Verify};
use crate::pure::dispatch::DEFAULT_AGENT;

/// The terms on which an agent runs in a project: the settings for all, with the project's own in
/// their place. What is not named for this agent is its driver's to choose.
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
    pub permission_mode: Option<String>,
    /// Variables that its sessions have besides.
    pub env: Vec<(String, String)>,
    /// What starts it in the daemon's place, with its placeholders.
    pub launcher: Option<Launcher>,
    /// Its program can be told that nobody answers its questions. Found out, not set.
    pub can_ask_nobody: bool,
}

/// The entry that holds for a session in this directory, with its key. If several are equally near,
/// the one that trusts least holds: what restricts must not be lost.
pub fn project<'s>(
    settings: &'s Settings,
    dir: &Path,
    forms: Forms,
) -> Option<(&'s str, &'s Project)> {
    let nearest = settings.projects.of_directory(dir, forms);
    let strict = nearest.iter().find(|(_, project)| project.strict == Some(true));
    strict.or(nearest.first()).copied()
}

/// The agent whose settings stand beside `agents` too. What stands there wins, since flags and
/// variables do; and it would only confuse another one.
const WITH_SETTINGS_OF_ITS_OWN: &str = DEFAULT_AGENT;

pub fn terms(settings: &Settings, own: Option<&Project>, agent: &str) -> Terms {
    let nothing = Project::default();
    let own = own.unwrap_or(&nothing);
    let (for_all, for_project) = (settings.agents.get(agent), own.agents.get(agent));
    let is_own = agent == WITH_SETTINGS_OF_ITS_OWN;
    let entries = || for_project.into_iter().chain(for_all);
    let models = [
        own.model.as_ref().filter(|_| is_own),
        for_project.and_then(|entry| entry.model.as_ref()),
        settings.model.as_ref().filter(|_| is_own),
        for_all.and_then(|entry| entry.model.as_ref()),
    ];
    let args = |beside: &[String], entry: Option<&AgentEntry>| match entry {
        _ if is_own && !beside.is_empty() => beside.to_vec(),
        Some(entry) => entry.args.clone(),
        None => Vec::new(),
    };
    let sources = own.setting_sources.as_ref().unwrap_or(&settings.setting_sources);
    let env = for_all.into_iter().chain(for_project).flat_map(|entry| entry.env.clone());
    Terms {
        allow_tools: own.allow_tools.as_ref().unwrap_or(&settings.allow_tools).clone(),
        setting_sources: if is_own { sources.clone() } else { Vec::new() },
        model: models.into_iter().flatten().next().cloned(),
        max_turns: own.max_turns.or(settings.max_turns).filter(|_| is_own),
        max_budget_usd: own.max_budget_usd.or(settings.max_budget_usd).filter(|_| is_own),
        extra_args: [args(&settings.claude_args, for_all), args(&own.extra_args, for_project)]
            .concat(),
        strict: own.strict.unwrap_or(settings.strict),
        permission_mode: entries().find_map(|entry| entry.permission_mode.clone()),
        env: env.collect(),
        launcher: launcher(settings, own),
        can_ask_nobody: false,
    }
}

/// A project's own engine stands in the place of the one for all, whole.
fn launcher(settings: &Settings, own: &Project) -> Option<Launcher> {
    let for_all = || Launcher {
        argv: settings.launcher.clone(),
        kill: settings.launcher_kill.clone(),
        fail_codes: settings.launcher_fail_codes.clone(),
        wait: settings.launcher_wait,
    };
    let launcher = own.launcher.clone().unwrap_or_else(for_all);
    (!launcher.argv.is_empty()).then_some(launcher)
}

/// All launchers that the settings name.
pub fn launchers(settings: &Settings) -> impl Iterator<Item = Launcher> {
    let nothing = Project::default();
    let owns = settings.projects.entries().filter_map(|(_, _, project)| project.launcher.clone());
    launcher(settings, &nothing).into_iter().chain(owns)
}

/// The command for a directory, else the one for the name that the dispatch gives its project. It
/// comes with its key.
pub fn verify<'s>(
    settings: &'s Settings,
    dir: &Path,
    name: &str,
    forms: Forms,
) -> Option<(&'s str, &'s Verify)> {
    let nearest = settings.verify.of_directory(dir, forms);
    nearest.first().copied().or_else(|| settings.verify.of_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::path::PathBuf;
    use std::time::Duration;

    use crate::pure::config::apply_config;
    use crate::pure::config::projects::verifications;

    fn settings(config: Value) -> Settings {
        let mut settings = Settings::default();
        apply_config(&mut settings, &config).expect("config");
        settings
    }

    /// Every key leads where it says, except those below `/link`, which leads to `/a/b/c`.
    fn forms(key: &str) -> [PathBuf; 2] {
        let led = key.strip_prefix("/link").map(|rest| format!("/a/b/c{rest}"));
        [PathBuf::from(key), PathBuf::from(led.unwrap_or(key.into()))]
    }

    fn terms_in(settings: &Settings, dir: &str) -> Terms {
        let own = project(settings, Path::new(dir), &forms);
        terms(settings, own.map(|(_, project)| project), "claude")
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
    fn an_agent_has_what_is_named_for_it_and_claude_s_own_settings_win() {
        let entry = |model: &str, mode: &str| {
            json!({"model": model, "permission_mode": mode, "args": [format!("--{model}")],
                "env": {"WHO": model}})
        };
        let s = settings(json!({
            "agents": {"claude": entry("c", "plan"), "codex": entry("x", "read-only")},
            "projects": {"/p": {"agents": {"codex": entry("px", "danger")}},
                "/m": {"model": "own", "agents": {"claude": entry("pc", "auto")}}},
        }));
        let in_dir = |s: &Settings, dir: &str, agent: &str| {
            let own = project(s, Path::new(dir), &forms);
            terms(s, own.map(|(_, project)| project), agent)
        };
        for (dir, agent, model, mode, args) in [
            ("/x", "claude", Some("c"), Some("plan"), &["--c"][..]),
            ("/x", "codex", Some("x"), Some("read-only"), &["--x"]),
            ("/x", "gemini", None, None, &[]),
            ("/p", "codex", Some("px"), Some("danger"), &["--x", "--px"]),
            ("/p", "claude", Some("c"), Some("plan"), &["--c"]),
            ("/m", "claude", Some("own"), Some("auto"), &["--c", "--pc"]),
            ("/m", "codex", Some("x"), Some("read-only"), &["--x"]),
        ] {
            let found = in_dir(&s, dir, agent);
            let got = (found.model.as_deref(), found.permission_mode.as_deref());
            assert_eq!((got, found.extra_args), ((model, mode), list(args)), "{dir} {agent}");
        }
        let env = in_dir(&s, "/p", "codex").env;
        assert_eq!(env.last(), Some(&("WHO".to_string(), "px".to_string())));
        let s = settings(json!({"model": "m", "claude_args": "-a",
            "agents": {"claude": entry("c", "plan"), "codex": entry("x", "read-only")}}));
        let (claude, codex) = (in_dir(&s, "/x", "claude"), in_dir(&s, "/x", "codex"));
        assert_eq!((claude.model.as_deref(), claude.extra_args), (Some("m"), list(&["-a"])));
        assert_eq!((codex.model.as_deref(), codex.extra_args), (Some("x"), list(&["--x"])));
        let s = settings(json!({"allow_tools": "Bash", "strict": true, "model": "opus",
            "max_turns": 9, "max_budget_usd": 1, "setting_sources": "user", "claude_args": "--a"}));
        let kept = Terms { allow_tools: list(&["Bash"]), strict: true, ..Terms::default() };
        assert_eq!(in_dir(&s, "/x", "gemini"), kept);
    }

    #[test]
    fn a_project_s_launcher_replaces_the_whole_engine() {
        let s = settings(json!({"launcher": "srun", "launcher_kill": "scancel {id}",
            "launcher_fail_codes": [253], "launcher_wait_seconds": 9,
            "projects": {"/b": {"launcher": ["bwrap"]}, "/n": {"launcher": []}, "/o": {"model": "m"}}}));
        let srun = Launcher {
            argv: list(&["srun"]),
            kill: Some(list(&["scancel", "{id}"])),
            fail_codes: vec![253],
            wait: Some(Duration::from_secs(9)),
        };
        let bwrap = Launcher { argv: list(&["bwrap"]), ..Launcher::default() };
        for (dir, want) in
            [("/x", Some(&srun)), ("/o", Some(&srun)), ("/b/c", Some(&bwrap)), ("/n", None)]
        {
            assert_eq!(terms_in(&s, dir).launcher.as_ref(), want, "{dir}");
        }
        assert_eq!(terms_in(&settings(json!({"launcher_kill": "x"})), "/x").launcher, None);
        assert_eq!(launchers(&s).count(), 3);
    }

    fn list(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| word.to_string()).collect()
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
        // A flag holds the object as text.
        let mut s = Settings::default();
        let value = json!(r#"{"shop": {"argv": ["make", "test"], "timeout_seconds": 2}}"#);
        s.verify = verifications(&value).expect("JSON as text");
        let (_, found) = verify(&s, Path::new("/x"), "shop", &forms).expect("by name");
        assert_eq!((found.argv.len(), found.timeout), (2, Duration::from_secs(2)));
    }
}
