//! The architecture, held to: layers import downwards only, each kind of effect has one module,
//! imports make no circles ([`circles`]), a name is one type ([`names`]), and files, functions and
//! comments stay small ([`size`]). The checks are functions over text, so that each is seen to fail
//! too.

mod circles;
mod names;
mod size;

use std::fs;
use std::path::{Path, PathBuf};

struct Source {
    /// Below `src/`, with `/`.
    name: String,
    text: String,
}

impl Source {
    fn new(name: &str, text: &str) -> Source {
        Source { name: name.into(), text: text.into() }
    }

    fn is_test(&self) -> bool {
        self.name.ends_with("_tests.rs")
    }

    /// The code without comments and without the tests at its end.
    fn code(&self) -> impl Iterator<Item = &str> {
        let body = self.text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        body.lines().map(|line| line.split("//").next().unwrap_or_default())
    }

    fn code_text(&self) -> String {
        self.code().collect::<Vec<_>>().join("\n")
    }

    fn says(&self, word: &str) -> bool {
        self.code().any(|line| line.contains(word))
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of src") {
            let path: PathBuf = entry.expect("an entry of src").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name =
                    path.strip_prefix(&root).expect("below src").to_string_lossy().into_owned();
                found
                    .push(Source { name, text: fs::read_to_string(&path).expect("a source file") });
            }
        }
    }
    assert!(found.len() > 30, "only {} source files found", found.len());
    found.sort_by(|one, two| one.name.cmp(&two.name));
    found
}

/// From the bottom: what a file of a layer may not name is what stands above it.
const LAYERS: [&str; 4] = ["pure", "effects", "threads", "daemon"];
/// The commands stand beside the threads: neither knows the other.
const COMMANDS: &str = "commands";

fn layer_of(name: &str) -> usize {
    let top = name.split(['/', '.']).next().unwrap_or_default();
    LAYERS.iter().position(|layer| *layer == top).unwrap_or(LAYERS.len())
}

fn above(name: &str) -> Vec<&'static str> {
    if name.starts_with(COMMANDS) {
        return LAYERS[2..].to_vec();
    }
    let above = LAYERS.iter().copied().skip(layer_of(name) + 1);
    above.chain((layer_of(name) < LAYERS.len()).then_some(COMMANDS)).collect()
}

fn upward_imports(sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for source in sources {
        for above in above(&source.name) {
            let named = [format!("{above}::"), format!("{above},"), format!("{above}}}")];
            let imports = |line: &str| {
                let at = line.contains("crate::") || line.contains("super::");
                at && named.iter().any(|n| line.contains(n.as_str()))
            };
            if source.code().any(imports) {
                wrong.push(format!("{} names {above}", source.name));
            }
        }
    }
    wrong
}

/// `(what, where it may stand)`: a prefix of the file's name.
const EFFECTS: [(&str, &[&str]); 15] = [
    ("std::fs", &["effects/"]),
    ("std::env", &["daemon.rs", "lib.rs", "main.rs", "effects/process/"]),
    ("std::net", &["effects/http/"]),
    ("std::process::Command", &["effects/process/"]),
    ("Command::new", &["effects/process/"]),
    ("process::{Child", &["effects/process/"]),
    ("kill_process", &["effects/process/"]),
    ("pidfd_send_signal", &["effects/process/"]),
    ("wait_timeout", &["effects/process/"]),
    ("ureq", &["effects/http/"]),
    ("SystemTime", &["effects/clock.rs"]),
    ("clock_gettime", &["effects/clock.rs"]),
    ("SystemRandom", &["effects/random.rs"]),
    ("notify::", &["threads/intake/watcher.rs"]),
    (
        "\"completed\"",
        &["effects/store/", "threads/conclude.rs", "pure/record/", "pure/reference/words.rs"],
    ),
];

fn misplaced_effects(sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    // The place where tests make effects fail is no part of a release.
    let is_told = |source: &&Source| !source.is_test() && source.name != "effects/failpoint.rs";
    for source in sources.iter().filter(is_told) {
        for (what, places) in EFFECTS {
            let allowed = places.iter().any(|place| source.name.starts_with(place));
            if !allowed && source.says(what) {
                wrong.push(format!("{} says {what}", source.name));
            }
        }
        let touches = ["std::thread", "Instant", "rustix::", "crossbeam"];
        if source.name.starts_with("pure/")
            && let Some(what) = touches.iter().find(|what| source.says(what))
        {
            wrong.push(format!("{} is pure and says {what}", source.name));
        }
    }
    wrong
}

#[test]
fn layers_import_downwards_only() {
    assert_eq!(upward_imports(&sources()), Vec::<String>::new());
}

#[test]
fn each_kind_of_effect_has_its_module() {
    assert_eq!(misplaced_effects(&sources()), Vec::<String>::new());
}

#[test]
fn the_checks_can_fail() {
    let upward = [
        Source::new("pure/x.rs", "use crate::effects::store::Store;"),
        Source::new("pure/agent/x.rs", "fn f() { super::super::super::threads::persist() }"),
        Source::new("effects/x.rs", "use crate::{pure::queue, threads};"),
        Source::new("threads/x.rs", "use crate::daemon::run;"),
        Source::new("threads/x.rs", "use crate::commands::sign;"),
        Source::new("daemon.rs", "use crate::commands::sign;"),
        Source::new("commands/x.rs", "use crate::threads::shared::level::Level;"),
        Source::new("commands/x.rs", "use crate::daemon::run;"),
    ];
    assert_eq!(upward_imports(&upward).len(), upward.len(), "{:?}", upward_imports(&upward));
    let downward = [
        Source::new("threads/x.rs", "use crate::effects::store::Store; // not crate::daemon::x"),
        Source::new("daemon.rs", "use crate::threads::intake::Intake;"),
        Source::new("commands/x.rs", "use crate::effects::store::Store;"),
        Source::new("lib.rs", "use crate::commands::sign;"),
        Source::new("effects/process/x.rs", "use std::process::Command;"),
    ];
    assert_eq!(upward_imports(&downward), Vec::<String>::new());
    assert_eq!(misplaced_effects(&downward), Vec::<String>::new());
    let misplaced = [
        Source::new("pure/x.rs", "let now = Instant::now();"),
        Source::new("threads/x.rs", "std::process::Command::new(\"git\")"),
        Source::new("daemon.rs", "use std::fs;"),
    ];
    assert!(misplaced_effects(&misplaced).len() >= misplaced.len());
}

#[test]
fn the_library_forbids_unsafe_code() {
    for file in ["lib.rs", "main.rs"] {
        let all = sources();
        let source = all.iter().find(|source| source.name == file).expect(file);
        assert!(source.says("#![forbid(unsafe_code)]"), "{file}");
    }
}
