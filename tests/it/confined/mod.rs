//! `--confine`: what a session behind the wall can reach and what it cannot, what its report says,
//! and that whatever runs for it is behind the wall too.

mod settings;
mod walls;

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::util::*;

/// A lab with a home directory that has secrets, a repository to work in, and another project.
struct Place {
    lab: Lab,
    project: PathBuf,
}

impl Place {
    fn new() -> Place {
        let lab = Lab::new();
        let project = lab.repository("project-a");
        for (name, text) in [
            (".ssh/id_x", "a private key"),
            (".aws/credentials", "a key"),
            (".config/gh/hosts.yml", "a token"),
            (".config/tool/settings", "plain"),
            (".bashrc", "# a shell's\n"),
            (".claude/settings.json", "{}"),
            ("cache/file", "cached"),
            ("bin/tool", "#!/bin/sh\n"),
        ] {
            let path = lab.home.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("create");
            fs::write(path, text).expect("write");
        }
        fs::write(lab.project("other").join("file"), "of another project\n").expect("write");
        Place { lab, project }
    }

    /// A dispatch whose session tries these commands, in the project.
    fn send(&self, name: &str, tries: &[(&str, String)]) {
        let orders = tries.iter().map(|(name, command)| format!("fake: try {name} {command}\n"));
        self.lab.send(&self.lab.task(name, orders.collect::<String>()).in_dir(&self.project));
    }

    /// The exit code of each command, in their order.
    fn codes(&self) -> Vec<(String, i32)> {
        let line = |line: &str| {
            let (name, code) = line.split_once(' ').expect("NAME CODE");
            (name.to_string(), code.parse().expect("a code"))
        };
        text_file(self.project.join("tried")).lines().map(line).collect()
    }

    /// Runs the commands in a session of its own and gives the names of those that failed.
    fn failing(&self, name: &str, tries: &[(&str, String)]) -> Vec<String> {
        let _ = fs::remove_file(self.project.join("tried"));
        self.send(name, tries);
        self.lab.completed(name);
        let codes = self.codes();
        assert_eq!(codes.len(), tries.len(), "{codes:?}");
        codes.into_iter().filter(|(_, code)| *code != 0).map(|(name, _)| name).collect()
    }
}

fn warnings(report: &Value) -> Vec<&str> {
    let warnings = report["warnings"].as_array().map(Vec::as_slice).unwrap_or_default();
    warnings.iter().filter_map(Value::as_str).collect()
}
