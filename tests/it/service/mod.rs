//! `service`: the texts that make the daemon a service, held to those who read them (systemd's own
//! check, a parser of property lists, a real cron), and how they come to their places.

mod cron;
mod files;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::util::*;

/// A directory name that is hard to write in all three.
const HARD: &str = "a b%h $HOME é;&<日本>";
/// systemd takes no program in one like this.
const HARDER: &str = "'q' \"d\" a b%h $HOME é\\x;&<日本>";

/// The program under a path that is hard to write.
fn hard_program(lab: &Lab, dir: &str) -> PathBuf {
    let dir = lab.project(dir);
    let program = dir.join("gstack-dispatch-daemon");
    symlink(DAEMON, &program).expect("a link to the program");
    program
}

/// `service` of that program, as somebody types it.
fn service(lab: &Lab, program: &PathBuf, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    let inherited = std::env::var("PATH").unwrap_or_default();
    command
        .arg("service")
        .args(words)
        .env_clear()
        .env("PATH", format!("{}:{FIXTURES}/bin:{inherited}", lab.dir.display()))
        .env("HOME", &lab.home)
        .env("USER", "somebody")
        .env("GSTACK_HOME", lab.path("state %h $x"))
        .stdin(Stdio::null());
    command
}

fn run(mut command: Command) -> (i32, String, String) {
    let output = command.output().expect("the program");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("a code"), text(output.stdout), text(output.stderr))
}

const FLAGS: [&str; 6] =
    ["--", "--local-only", "--allow-tools", "Bash(git:*),x$y \"q\" 50%", "--model=é", "--strict"];

#[test]
fn systemd_says_nothing_about_the_unit() {
    let lab = Lab::new();
    let program = hard_program(&lab, HARD);
    let (code, unit, said) = run(service(&lab, &program, &[&["systemd"], &FLAGS[..]].concat()));
    assert_eq!((code, said.as_str()), (0, ""));
    let path = lab.path("gstack-dispatch-daemon.service");
    fs::write(&path, &unit).expect("write the unit");
    let verify = Command::new("systemd-analyze")
        .args(["verify", "--user"])
        .arg(&path)
        .env("XDG_RUNTIME_DIR", &lab.dir)
        .env("HOME", &lab.home)
        .output();
    let Ok(verify) = verify else {
        return skipped("systemd-analyze is not installed (Debian: systemd)");
    };
    let said = String::from_utf8_lossy(&[verify.stdout, verify.stderr].concat()).into_owned();
    assert!(verify.status.success() && said.is_empty(), "{said}\n{unit}");
    let (code, _, said) = run(service(&lab, &hard_program(&lab, HARDER), &["systemd"]));
    assert!(code == 1 && said.contains("a quote or a backslash"), "{said}");
    // It sees what is wrong: a path that it reads otherwise names no program.
    fs::write(&path, unit.replace("%%h", "%h")).expect("write another unit");
    let wrong = Command::new("systemd-analyze")
        .args(["verify", "--user"])
        .arg(&path)
        .env("XDG_RUNTIME_DIR", &lab.dir)
        .env("HOME", &lab.home)
        .output()
        .expect("systemd-analyze");
    assert!(!wrong.stderr.is_empty());
}

#[test]
fn the_property_list_is_one() {
    let lab = Lab::new();
    let program = hard_program(&lab, HARDER);
    let (code, list, _) = run(service(&lab, &program, &[&["launchd"], &FLAGS[..]].concat()));
    assert_eq!(code, 0);
    let path = lab.path("list.plist");
    fs::write(&path, list).expect("write the list");
    let read =
        "import json, plistlib, sys; print(json.dumps(plistlib.load(open(sys.argv[1], 'rb'))))";
    let python = Command::new("python3").args(["-c", read]).arg(&path).output();
    let Ok(python) = python else { return skipped("python3 is needed to read a property list") };
    let said = String::from_utf8_lossy(&python.stderr);
    let list: serde_json::Value = serde_json::from_slice(&python.stdout).expect(&said);
    let argv: Vec<&str> = list["ProgramArguments"]
        .as_array()
        .expect("arguments")
        .iter()
        .filter_map(|word| word.as_str())
        .collect();
    assert_eq!(argv[0], program.to_str().expect("UTF-8"));
    assert_eq!(argv[1..], [&["--on-shutdown", "leave"], &FLAGS[1..]].concat());
    let variables = &list["EnvironmentVariables"];
    assert_eq!(variables["GSTACK_HOME"], lab.path("state %h $x").to_str().expect("UTF-8"));
    assert!(
        variables["PATH"].as_str().is_some_and(|path| path.starts_with(&format!("{FIXTURES}/bin")))
    );
    assert_eq!(list["AbandonProcessGroup"], true);
}

#[test]
fn a_flag_that_the_daemon_does_not_know_makes_no_service() {
    let lab = Lab::new();
    let program = PathBuf::from(DAEMON);
    for (words, want) in [
        (&["systemd", "--", "--max-concurent", "3"][..], "did you mean --max-concurrent?"),
        (&["systemd", "--", "status"], "status"),
        (&["cron", "--", "--help"], "flags of the daemon"),
        (&["openrc"], "is none of systemd, launchd, cron"),
        (&["systemd", "--install", "--uninstall"], "do not go together"),
    ] {
        let (code, stdout, said) = run(service(&lab, &program, words));
        assert_eq!((code, stdout.as_str()), (2, ""), "{words:?}: {said}");
        assert!(said.contains(want), "{said}");
    }
}
