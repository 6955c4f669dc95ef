//! git as a fixed author, away from the machine's own settings.

use std::path::Path;
use std::process::Command;

/// `git ARGS` in a directory, as a fixed author; ARGS are split at blanks. Gives what it printed.
pub fn git(dir: &Path, args: &str) -> String {
    let run = Command::new("git")
        .args(["-c", "user.name=Test", "-c", "user.email=test@localhost"])
        .args(args.split(' '))
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .expect("git");
    assert!(run.status.success(), "git {args}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8_lossy(&run.stdout).trim().to_string()
}
