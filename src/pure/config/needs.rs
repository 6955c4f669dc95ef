//! What the settings want of the machine that not every machine has: a kernel that can build walls.
//!
//! Owns what is refused, and in which words. Must not ask the kernel: whoever does brings the
//! answer, and asks only where something is wanted.

use super::Settings;
use super::confine::Confine;
use super::projects::Project;
use super::terms::terms;
use crate::pure::dispatch::DEFAULT_AGENT;

/// ABI 4 of Landlock is the first that knows ports (landlock(7)).
pub const CONNECT_ABI_MIN: u32 = 4;

/// Whether any session may have to be confined: only then the kernel is asked.
pub fn is_wall_wanted(settings: &Settings) -> bool {
    let wants = |confine: Confine| confine != Confine::Off;
    let of_projects = settings.projects.entries().filter_map(|(_, _, project)| project.confine);
    wants(settings.confine) || of_projects.into_iter().any(wants)
}

/// Why these settings contradict each other, if they do: a wall would stand around the launcher,
/// and not around the agent that an engine starts elsewhere.
pub fn contradiction(settings: &Settings) -> Option<String> {
    let nothing = Project::default();
    let projects = settings.projects.entries().map(|(key, _, project)| (Some(key), project));
    let (key, _) = [(None, &nothing)].into_iter().chain(projects).find(|(_, project)| {
        let terms = terms(settings, Some(project), DEFAULT_AGENT);
        terms.launcher.is_some() && terms.confine.confine != Confine::Off
    })?;
    let whose = key.map(|key| format!("projects: {key}: ")).unwrap_or_default();
    Some(format!(
        "{whose}confine and launcher do not go together, since the wall would be around the launcher: \
         set `confine` to false, or `launcher` to [], for one of them"
    ))
}

/// Why these settings cannot be met by this kernel, if they cannot. `abi`: its version of Landlock.
pub fn unmet(settings: &Settings, abi: Option<u32>) -> Option<String> {
    let own = settings.projects.entries().map(|(key, _, project)| {
        let confine = project.confine.unwrap_or(settings.confine);
        let connect = project.confine_connect.is_some() || settings.confine_connect.is_some();
        (Some(key), confine, connect)
    });
    let all = [(None, settings.confine, settings.confine_connect.is_some())];
    let mut wanted = all.into_iter().chain(own).filter(|(_, confine, _)| *confine == Confine::On);
    let (key, _, _) = wanted.find(|(_, _, connect)| {
        let least = if *connect { CONNECT_ABI_MIN } else { 1 };
        abi.is_none_or(|abi| abi < least)
    })?;
    let whose = key.map(|key| format!("projects: {key}: ")).unwrap_or_default();
    Some(match abi {
        None => format!(
            "{whose}confine: this kernel has no Landlock (Linux 5.13 or newer, with `landlock` among its `lsm=`); \
             to run without a wall where there is none: --confine=if-possible"
        ),
        Some(abi) => format!(
            "{whose}confine_connect: this kernel's Landlock knows no ports (ABI {abi}, Linux 6.7 has {CONNECT_ABI_MIN}); \
             leave it out, or --confine=if-possible"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::config::apply_config;
    use serde_json::json;

    #[test]
    fn a_wall_around_a_launcher_is_refused() {
        let project = |entry| json!({"confine": true, "projects": {"/p": entry}});
        for (config, want) in [
            (json!({"launcher": ["x"]}), None),
            (json!({"launcher": ["x"], "confine": true}), Some("confine and launcher")),
            (project(json!({"launcher": ["x"]})), Some("projects: /p: confine and launcher")),
            (project(json!({"launcher": ["x"], "confine": false})), None),
        ] {
            let mut settings = Settings::default();
            apply_config(&mut settings, &config).expect("config");
            let got = contradiction(&settings);
            let is_met = got.as_deref().zip(want).map(|(got, want)| got.starts_with(want));
            assert_eq!((is_met.unwrap_or(true), got.is_some()), (true, want.is_some()), "{config}");
        }
    }

    #[test]
    fn a_wall_that_the_kernel_cannot_build_is_refused_unless_it_need_not_be() {
        let project = |confine| json!({"projects": {"/p": {"confine": confine}}});
        for (config, abi, want) in [
            (json!({}), None, None),
            (json!({"confine": true}), Some(1), None),
            (json!({"confine": true}), None, Some("confine: this kernel has no Landlock")),
            (json!({"confine": "if-possible", "confine_connect": [1]}), None, None),
            (project("on"), None, Some("projects: /p: confine: this kernel has no Landlock")),
            (project("off"), None, None),
            (json!({"confine": true, "confine_connect": [1]}), Some(4), None),
            (
                json!({"confine": true, "confine_connect": [1]}),
                Some(3),
                Some("confine_connect: this kernel's Landlock knows no ports (ABI 3"),
            ),
            (
                json!({"confine_connect": [1], "projects": {"/p": {"confine": true}}}),
                Some(3),
                Some("projects: /p: confine_connect: this kernel's"),
            ),
        ] {
            let mut settings = Settings::default();
            apply_config(&mut settings, &config).expect("config");
            let got = unmet(&settings, abi);
            let is_met = match (&got, want) {
                (Some(got), Some(want)) => got.starts_with(want),
                (got, want) => got.is_none() && want.is_none(),
            };
            assert!(is_met, "{config}: {got:?}");
        }
    }
}
