//! The launcher: arguments before an agent's own, by which an existing engine (`srun`, `bwrap`,
//! `docker run`) runs the session; and what the engine needs besides.
//!
//! Owns how that is written and how it is filled in for one session. Must not know any engine. A
//! program is never chosen by a placeholder, since a dispatch chooses what stands there.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::placeholder::{check_known, fill, placeholders, plain_name};
use super::unknown;
use super::values::{limit, strings, text, whole};

const PLACEHOLDERS: [&str; 4] = ["id", "project", "dir", "ttl"];
/// The keys of a launcher, as they stand in the settings and in the entry of a project.
pub const KEYS: [&str; 4] =
    ["launcher", "launcher_kill", "launcher_fail_codes", "launcher_wait_seconds"];

/// One engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Launcher {
    /// The program and its arguments. Empty: sessions start directly.
    pub argv: Vec<String>,
    /// The engine's own command that ends a session. `None`: there is none, and what a session
    /// leaves in the engine is not known. Empty: nothing runs elsewhere.
    pub kill: Option<Vec<String>>,
    /// The exit codes that mean that the engine failed and the agent never ran.
    pub fail_codes: Vec<i32>,
    /// How long the engine may let a session wait. `None`: it does not queue.
    pub wait: Option<Duration>,
}

/// What the placeholders stand for in one session.
pub struct LauncherWords<'a> {
    pub id: &'a str,
    pub project: &'a str,
    pub dir: &'a Path,
    pub ttl_seconds: u64,
}

impl Launcher {
    /// The launcher of one session.
    pub fn filled(&self, words: &LauncherWords) -> Launcher {
        // A value that stands first must not make an option of its argument. Ids are safe names,
        // and what the records say of a directory may be anything.
        let dir = Path::new("/").join(words.dir).to_string_lossy().into_owned();
        let (project, ttl) = (plain_name(words.project), words.ttl_seconds.to_string());
        let value = |name: &str| match name {
            "id" => words.id,
            "project" => &project,
            "dir" => &dir,
            "ttl" => &ttl,
            _ => "",
        };
        let all = |args: &Vec<String>| args.iter().map(|arg| fill(arg, &value)).collect();
        Launcher { argv: all(&self.argv), kill: self.kill.as_ref().map(all), ..self.clone() }
    }

    /// Whether the command that ends a session can be filled in when only its id is known.
    pub fn kills_by_id(&self) -> bool {
        let mut names = self.kill.iter().flatten().flat_map(|arg| placeholders(arg));
        names.all(|name| name == "id")
    }

    /// The programs that must be there.
    pub fn programs(&self) -> impl Iterator<Item = &str> {
        let kill = self.kill.iter().filter_map(|kill| kill.first());
        self.argv.first().into_iter().chain(kill).map(String::as_str)
    }
}

/// A list of arguments. A flag or a variable has them as text, split at white space.
pub(super) fn arguments(value: &Value) -> Result<Vec<String>, String> {
    let arguments = match value {
        Value::String(text) => text.split_whitespace().map(String::from).collect(),
        list => strings(list)?,
    };
    if arguments.iter().any(|argument| argument.contains('\0')) {
        return Err("an argument holds a NUL".into());
    }
    check_known(arguments.iter(), &PLACEHOLDERS)?;
    match arguments.first() {
        Some(program) if program.is_empty() || program.starts_with('-') => {
            Err(format!("{program:?} is no program"))
        }
        Some(program) if placeholders(program).next().is_some() => {
            Err(format!("the program must not have a placeholder: {program}"))
        }
        Some(_) | None => Ok(arguments),
    }
}

/// The command that ends a session. An empty one was named too: nothing runs elsewhere.
pub(super) fn kill(value: &Value) -> Result<Option<Vec<String>>, String> {
    arguments(value).map(Some)
}

pub(super) fn fail_codes(value: &Value) -> Result<Vec<i32>, String> {
    let codes: Vec<Value> = match value {
        Value::Array(codes) => codes.clone(),
        Value::Number(_) => vec![value.clone()],
        other => {
            let words = text(other)?.split([',', ' ']).filter(|word| !word.is_empty());
            words.map(Value::from).collect()
        }
    };
    let code = |code: &Value| match whole(code)? {
        code @ 1..=255 => Ok(code as i32),
        other => Err(format!("{other} is none of 1 to 255")),
    };
    codes.iter().map(code).collect()
}

/// Collects the engine of a project from the keys of its entry. All four are one thing: what the
/// settings say of another engine does not hold for it.
#[derive(Default)]
pub(super) struct OwnLauncher {
    found: Launcher,
    is_named: bool,
    beside: Option<&'static str>,
}

impl OwnLauncher {
    /// The error comes without the key.
    pub(super) fn read(&mut self, key: &str, value: &Value) -> Result<(), String> {
        self.beside = KEYS[1..].iter().copied().find(|known| *known == key).or(self.beside);
        match key {
            "launcher" => {
                self.is_named = true;
                self.found.argv = arguments(value)?;
            }
            "launcher_kill" => self.found.kill = kill(value)?,
            "launcher_fail_codes" => self.found.fail_codes = fail_codes(value)?,
            "launcher_wait_seconds" => self.found.wait = limit(value)?,
            key => return Err(unknown(key, KEYS)),
        }
        Ok(())
    }

    /// `None`: the project has no engine of its own.
    pub(super) fn end(self) -> Result<Option<Launcher>, String> {
        match self.beside {
            Some(key) if !self.is_named => Err(format!(
                "{key} needs launcher beside it: a project's engine is its own as a whole"
            )),
            _ => Ok(self.is_named.then_some(self.found)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    use crate::pure::config::{Settings, apply_config};

    #[test]
    fn placeholders_are_filled_in_once_and_never_make_an_option() {
        let list = |words: &[&str]| words.iter().map(|word| word.to_string()).collect::<Vec<_>>();
        let launcher = Launcher {
            argv: list(&[
                "srun",
                "--job-name={id}",
                "{project}",
                "{dir}",
                "2:{ttl}",
                "{}",
                "{id}{id}",
            ]),
            kill: Some(list(&["scancel", "--name={id}"])),
            ..Launcher::default()
        };
        let filled = |project: &str, dir: &str| {
            let dir = Path::new(dir);
            launcher.filled(&LauncherWords { id: "dispatch-a", project, dir, ttl_seconds: 90 })
        };
        let got = filled("-{ttl}; x", "/a b/{id}");
        assert_eq!(got.kill, Some(list(&["scancel", "--name=dispatch-a"])));
        let twice = "dispatch-adispatch-a";
        let want = ["srun", "--job-name=dispatch-a", "ttlx", "/a b/{id}", "2:90", "{}", twice];
        assert_eq!(got.argv, want);
        assert!(launcher.kills_by_id() && got.kills_by_id());
        let by_dir = Launcher { kill: Some(list(&["end", "{id}", "{dir}/x"])), ..launcher.clone() };
        assert!(!by_dir.kills_by_id());
        let odd = filled("--", "-rf").argv;
        assert_eq!((odd[2].as_str(), odd[3].as_str()), ("project", "/-rf"));
    }

    #[test]
    fn what_an_operator_writes_becomes_a_launcher_or_an_error_that_names_the_key() {
        let read = |config: Value| {
            let mut settings = Settings::default();
            apply_config(&mut settings, &config).map(|()| settings)
        };
        let s = read(json!({"launcher": "env A=1  srun {id}", "launcher_kill": [],
            "launcher_fail_codes": "125, 253 255", "launcher_wait_seconds": "1.5"}))
        .expect("as text");
        assert_eq!(s.launcher, ["env", "A=1", "srun", "{id}"]);
        assert_eq!((s.launcher_kill, s.launcher_fail_codes), (Some(vec![]), vec![125, 253, 255]));
        assert_eq!(s.launcher_wait, Some(Duration::from_millis(1500)));
        let own = |entry: Value| json!({"projects": {"/p": entry}});
        for (config, want) in [
            (
                json!({"launcher": ["a", "{jd}"]}),
                "launcher: unknown placeholder {jd} (did you mean {id}?)",
            ),
            (
                json!({"launcher": ["{dir}/run"]}),
                "launcher: the program must not have a placeholder: {dir}/run",
            ),
            (json!({"launcher": [""]}), "launcher: \"\" is no program"),
            (json!({"launcher": "-x"}), "launcher: \"-x\" is no program"),
            (json!({"launcher": ["a", "b\0"]}), "launcher: an argument holds a NUL"),
            (json!({"launcher": 3}), "launcher: 3 is not a list"),
            (json!({"launcher_kill": ["a", 1]}), "launcher_kill: 1 is not a text"),
            (json!({"launcher_fail_codes": [0]}), "launcher_fail_codes: 0 is none of 1 to 255"),
            (json!({"launcher_fail_codes": "x"}), "launcher_fail_codes: \"x\" is not a number"),
            (
                own(json!({"launcher_kill": ["a"]})),
                "projects: /p: launcher_kill needs launcher beside it: a project's engine is its own as a whole",
            ),
            (
                own(json!({"launcher": ["a", "{x}"]})),
                "projects: /p: launcher: unknown placeholder {x}",
            ),
            (
                own(json!({"launcher_failcodes": 3})),
                "projects: /p: unknown setting launcher_failcodes (did you mean launcher_fail_codes?)",
            ),
        ] {
            let got = read(config).expect_err("refused");
            assert!(got.starts_with(want), "{got}");
        }
    }
}
