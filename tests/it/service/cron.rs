//! A real cron, from Debian's package, that starts the daemon: at its own start and again in the
//! minute after the daemon was killed. It runs in a mount namespace of its own, so that the tables
//! of this machine are not touched.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{HARDER, hard_program};
use crate::util::*;

/// Cron looks at its tables once a minute.
const A_MINUTE: Duration = Duration::from_secs(75);

struct Cron(Child);

impl Drop for Cron {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const SCRIPT: &str = r#"
set -e
mount --bind "$1" /var/spool/cron/crontabs
mount -t tmpfs none /run
mount -t tmpfs none /etc/cron.d
: >"$1/../empty"
mount --bind "$1/../empty" /etc/crontab
printf 'HOME=%s\n%s\n' "$HOME" "$DISPATCH_TEST_LINE" | crontab -
"$2" service cron --install -- --local-only --lock-wait 0
exec cron -f
"#;

fn can_run_cron() -> bool {
    let there = ["/usr/sbin/cron", "/usr/bin/crontab"].iter().all(|path| Path::new(path).exists());
    there && is_root() && can_run_under(&["unshare", "-m"])
}

#[test]
fn cron_starts_it_and_starts_it_again() {
    let lab = Lab::new();
    if !can_run_cron() {
        return skipped("a real cron needs root, mount namespaces and Debian's package cron");
    }
    let (program, spool) = (hard_program(&lab, HARDER), lab.project("spool"));
    let log = fs::File::create(lab.path("cron.log")).expect("a log");
    let cron = Command::new("unshare")
        .args(["-m", "--propagation", "private", "sh", "-c", SCRIPT, "sh"])
        .args([&spool, &program])
        .env("HOME", &lab.home)
        .env("GSTACK_HOME", &lab.gstack)
        .env("DISPATCH_TEST_LINE", lab.mark())
        .env("PATH", format!("{FIXTURES}/bin:/usr/sbin:/usr/bin:/sbin:/bin"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a log"))
        .stderr(log)
        .spawn();
    let cron = Cron(cron.expect("unshare"));
    let first = lab.heartbeat("cron started it", |beat| beat["state"] == "run");
    lab.send(&lab.task("a", "hello"));
    lab.completed("a");
    let pid = first["pid"].as_i64().expect("a pid") as i32;
    signal(pid, rustix::process::Signal::KILL);
    let again = wait_for("cron starts it again", A_MINUTE, || {
        let beat: serde_json::Value =
            serde_json::from_str(&text_file(lab.heartbeat_path())).ok()?;
        (beat["pid"] != first["pid"]).then_some(beat)
    });
    lab.send(&lab.task("b", "hello"));
    lab.completed("b");
    drop(cron);
    signal(again["pid"].as_i64().expect("a pid") as i32, rustix::process::Signal::TERM);
    lab.heartbeat("it stops", |beat| beat["state"] == "stopped");
    wait_until("it is gone", PATIENCE, || lab.processes().is_empty());
    let log = text_file(lab.home.join("gstack-dispatch-daemon.log"));
    assert!(log.contains(" main: ready"), "{log}");
}
