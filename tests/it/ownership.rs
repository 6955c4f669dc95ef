//! Who else may write where the daemon reads what it is to do: refused, mended, said. "Another
//! user" is nobody (65534).

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::util::*;

const NOBODY: u32 = 65534;

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("look at it").mode() & 0o7777
}

fn make(dir: &Path, mode: u32) {
    fs::create_dir_all(dir).expect("create");
    chmod(dir, mode);
}

/// Settings that show that they were believed: an acceptance command that leaves a file.
fn evil_config(lab: &Lab) -> String {
    let ran = lab.path("evil-ran");
    json!({"verify": {"/": {"argv": ["touch", ran]}}}).to_string()
}

fn refused(lab: &Lab, what: &str, says: &[&str]) {
    let out = lab.daemon().output();
    assert_eq!((out.code, out.stdout.as_str()), (1, ""), "{what}: {out:?}");
    assert_eq!(out.stderr.lines().count(), 1, "{what}: {}", out.stderr);
    for word in says {
        assert!(out.stderr.contains(word), "{what}: {word}: {}", out.stderr);
    }
    assert!(!lab.path("evil-ran").exists(), "{what}");
}

fn root_here() -> bool {
    if !is_root() {
        skipped("only root can make what belongs to another user");
    }
    is_root()
}

#[test]
fn a_directory_that_another_user_put_in_place_of_ours_is_refused() {
    if !root_here() {
        return;
    }
    type Plant = dyn Fn(&Lab);
    let cases: [(&str, &Plant); 5] = [
        ("dispatchd", &|lab| chown(lab.ours(), Some(NOBODY), None).expect("chown")),
        ("dispatch", &|lab| {
            make(&lab.inbox(), 0o700);
            chown(lab.inbox(), Some(NOBODY), None).expect("chown");
        }),
        ("gstack", &|lab| chown(&lab.gstack, Some(NOBODY), None).expect("chown")),
        ("dispatchd", &|lab| {
            fs::rename(lab.ours(), lab.path("theirs")).expect("rename");
            symlink(lab.path("theirs"), lab.ours()).expect("symlink");
        }),
        ("config.json", &|lab| {
            chown(lab.ours().join("config.json"), Some(NOBODY), None).expect("chown");
        }),
    ];
    for (what, plant) in cases {
        let lab = Lab::new();
        make(&lab.gstack, 0o777);
        make(&lab.ours(), 0o700);
        fs::write(lab.ours().join("config.json"), evil_config(&lab)).expect("write");
        plant(&lab);
        let way_out = if lab.ours().is_symlink() { "mv " } else { "chown " };
        refused(&lab, what, &[what, way_out, " ERROR "]);
    }
}

#[test]
fn a_directory_that_another_user_puts_in_place_of_ours_later_stops_new_work() {
    if !root_here() {
        return;
    }
    let lab = Lab::new();
    let daemon = lab.daemon().set("--heartbeat", 0.2).set("--trouble-pause", 0.2).start();
    let ours = lab.ours();
    fs::rename(ours.join("rejected"), lab.path("aside")).expect("rename");
    make(&ours.join("rejected"), 0o777);
    chown(ours.join("rejected"), Some(NOBODY), None).expect("chown");
    let beat = lab.heartbeat("told", |beat| beat["degraded"].is_string());
    assert!(beat["degraded"].to_string().contains("another user"), "{beat}");
    fs::remove_dir(ours.join("rejected")).expect("remove");
    lab.heartbeat("over", |beat| beat.get("degraded").is_none());
    lab.send(&lab.task("a", "hello"));
    lab.completed("a");
    drop(daemon);
}

#[test]
fn a_home_that_others_may_write_to_is_tightened_and_a_sticky_one_is_not() {
    for (before, after, is_said) in
        [(0o777, 0o755, true), (0o770, 0o750, true), (0o1777, 0o1777, false), (0o755, 0o755, false)]
    {
        let lab = Lab::new();
        make(&lab.gstack, before);
        let daemon = lab.daemon().start();
        assert_eq!(mode(&lab.gstack), after, "{before:o}");
        let said = format!("{} was open to others ({before:04o})", lab.gstack.display());
        assert_eq!(daemon.stderr().contains(&said), is_said, "{}", daemon.stderr());
        drop(daemon);
    }
}

#[test]
fn settings_that_others_may_write_are_refused() {
    for mode in [0o666, 0o620, 0o602] {
        let lab = Lab::new();
        make(&lab.ours(), 0o700);
        let config = lab.ours().join("config.json");
        fs::write(&config, evil_config(&lab)).expect("write");
        chmod(&config, mode);
        refused(&lab, &format!("{mode:o}"), &[&format!("chmod go-w {}", config.display())]);
    }
}

#[test]
fn settings_that_are_no_file_are_refused_at_once_and_a_link_to_a_file_is_fine() {
    for what in ["fifo", "directory", "dangling"] {
        let lab = Lab::new();
        make(&lab.ours(), 0o700);
        let config = lab.ours().join("config.json");
        match what {
            "fifo" => drop(lab.gate("gstack/dispatchd/config.json")),
            "directory" => make(&config, 0o700),
            _ => symlink(lab.path("nothing"), &config).expect("symlink"),
        }
        refused(&lab, what, &["config.json"]);
    }
    let lab = Lab::new();
    make(&lab.ours(), 0o700);
    fs::write(lab.path("my-settings"), "{\"max_concurrent\": 7}").expect("write");
    symlink(lab.path("my-settings"), lab.ours().join("config.json")).expect("symlink");
    let daemon = lab.daemon().start();
    lab.heartbeat("its settings", |beat| beat["max_concurrent"] == 7);
    drop(daemon);
}

/// Root needs no permission: these run as nobody.
fn as_nobody(lab: &Lab) -> Option<Vec<&'static str>> {
    let mut words = Vec::new();
    if is_root() {
        words = vec!["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
        let tried = Command::new(words[0]).args(&words[1..]).args([DAEMON, "--version"]).output();
        if !tried.is_ok_and(|tried| tried.status.success()) {
            skipped("another user cannot run the daemon here");
            return None;
        }
        for dir in [&lab.dir, &lab.home, &lab.gstack, &lab.inbox(), &lab.ours()] {
            fs::create_dir_all(dir).expect("create");
            chown(dir, Some(NOBODY), Some(NOBODY)).expect("chown");
        }
    }
    Some(words)
}

#[test]
fn a_directory_of_ours_that_is_shut_to_ourselves_is_opened_at_the_start_and_later() {
    let lab = Lab::new();
    let Some(prefix) = as_nobody(&lab) else { return };
    for dir in [lab.ours(), lab.inbox()] {
        fs::create_dir_all(&dir).expect("create");
    }
    for (dir, mode) in [(lab.ours(), 0o500), (lab.inbox(), 0), (lab.gstack.clone(), 0o100)] {
        chmod(&dir, mode);
    }
    let daemon = lab.daemon().under(&prefix).set("--heartbeat", 0.2).start();
    for dir in [lab.ours(), lab.inbox(), lab.gstack.clone()] {
        assert_eq!(mode(&dir), 0o700, "{}", dir.display());
    }
    let completed = lab.inbox().join("completed");
    for (dir, shut) in [(completed.clone(), 0o500), (lab.ours().join("control"), 0)] {
        chmod(&dir, shut);
        wait_until("open again", PATIENCE, || mode(&dir) == 0o700);
    }
    let said = format!("{} was shut to its owner (0500)", completed.display());
    wait_until("it is said", PATIENCE, || daemon.stderr().contains(&said));
    let beat = fs::read_to_string(lab.heartbeat_path()).unwrap_or_default();
    lab.heartbeat("another one", |next| !beat.contains(next["ts"].as_str().unwrap_or_default()));
    assert_eq!(daemon.stderr().matches(&said).count(), 1, "once: {}", daemon.stderr());
    drop(daemon);
}

#[test]
fn a_directory_above_that_others_may_write_to_is_refused_up_to_the_home_directory() {
    for (mode, is_refused) in [(0o777, true), (0o775, true), (0o1777, false), (0o755, false)] {
        let lab = Lab::new();
        let open = lab.home.join("open");
        make(&open, mode);
        let home = open.join("deep/gstack");
        let start = || lab.daemon().env("GSTACK_HOME", home.display());
        if !is_refused {
            drop(start().start());
            continue;
        }
        let out = start().output();
        assert_eq!((out.code, out.stderr.lines().count()), (1, 1), "{mode:o}: {out:?}");
        let way_out = format!("chmod go-w {}", open.display());
        assert!(out.stderr.contains(&way_out), "{mode:o}: {out:?}");
        assert_eq!((self::mode(&open), home.exists()), (mode, false), "it is left as it is");
        chmod(&open, mode & !0o022);
        drop(start().start());
    }
    // Above the home directory nobody looks.
    let lab = Lab::new();
    chmod(&lab.dir, 0o777);
    drop(lab.daemon().env("GSTACK_HOME", lab.home.join("gstack").display()).start());
}

#[test]
fn a_directory_above_that_opens_while_the_daemon_runs_keeps_everything_new_out() {
    let mut lab = Lab::new();
    let above = lab.home.join("above");
    make(&above, 0o755);
    lab.gstack = above.join("gstack");
    let daemon = lab.daemon().set("--heartbeat", 0.2).set("--trouble-pause", 0.2).start();
    chmod(&above, 0o777);
    let beat = lab.heartbeat("told", |beat| beat["degraded"].is_string());
    assert!(beat["degraded"].to_string().contains("chmod go-w"), "{beat}");
    lab.send(&lab.task("a", "hello"));
    let beats = text_file(lab.heartbeat_path());
    lab.heartbeat("another one", |next| !beats.contains(next["ts"].as_str().unwrap_or_default()));
    assert_eq!(lab.events("a"), [""; 0]);
    chmod(&above, 0o755);
    lab.completed("a");
    lab.heartbeat("over", |beat| beat.get("degraded").is_none());
    drop(daemon);
}

#[test]
fn an_allowed_user_may_own_the_drop_zone_and_send() {
    if !root_here() {
        return;
    }
    let lab = Lab::new();
    make(&lab.gstack, 0o755);
    make(&lab.inbox(), 0o2777);
    make(&lab.inbox().join("completed"), 0o755);
    chown(lab.inbox(), Some(NOBODY), Some(NOBODY)).expect("chown");
    let out = lab.daemon().output();
    assert!(out.code == 1 && out.stderr.contains("belongs to another user"), "{out:?}");
    let daemon = lab.daemon().set("--allowed-uids", NOBODY).start();
    assert_eq!((mode(&lab.inbox()), mode(&lab.inbox().join("completed"))), (0o2770, 0o750));
    assert_eq!(mode(&lab.ours()), 0o700);
    lab.send(&lab.task("ours", "hello"));
    lab.completed("ours");
    let beside = lab.gstack.join(".theirs");
    fs::write(&beside, lab.task("theirs", "hello").bytes()).expect("write");
    chown(&beside, Some(NOBODY), Some(NOBODY)).expect("chown");
    fs::rename(&beside, lab.dropped("theirs")).expect("rename");
    lab.completed("theirs");
    for name in ["ours", "theirs"] {
        assert_eq!(mode(&lab.report_path(name)), 0o640, "{name}");
    }
    // Another user is still nobody that we know.
    let beside = lab.gstack.join(".others");
    fs::write(&beside, lab.task("others", "hello").bytes()).expect("write");
    chown(&beside, Some(NOBODY - 1), None).expect("chown");
    fs::rename(&beside, lab.dropped("others")).expect("rename");
    let (_, why) = lab.rejected("dispatch-others.json");
    assert_eq!(why["reason"], "foreign_owner", "{why}");
    assert!(why["error"].to_string().contains("allowed_uids"), "{why}");
    drop(daemon);
}

/// Whoever owns the drop zone can put a link there at any moment, and has no say beyond it.
#[test]
fn an_answer_goes_nowhere_else_whatever_an_allowed_user_puts_in_the_place_of_all_answers() {
    let lab = Lab::new();
    let (answers, aside) = (lab.inbox().join("completed"), lab.inbox().join("aside"));
    let victim = lab.project("victim");
    let gate = lab.gate("gate");
    // No beat looks in between.
    let daemon = lab.daemon().set("--allowed-uids", NOBODY).set("--heartbeat", 3600).start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let held = gate.held();
    fs::rename(&answers, &aside).expect("rename");
    std::os::unix::fs::symlink(&victim, &answers).expect("symlink");
    held.release();
    wait_until("it is told", PATIENCE, || daemon.stderr().contains("cannot open"));
    assert_eq!(fs::read_dir(&victim).expect("read it").count(), 0);
    fs::remove_file(&answers).expect("remove");
    fs::rename(&aside, &answers).expect("rename");
    lab.completed("a");
    drop(daemon);
}

#[test]
fn a_home_of_roots_that_everybody_may_write_to_is_refused() {
    if !root_here() {
        return;
    }
    let lab = Lab::new();
    let Some(prefix) = as_nobody(&lab) else { return };
    let volume = lab.path("volume");
    make(&volume, 0o777);
    let start = || lab.daemon().under(&prefix);
    let out = start().env("GSTACK_HOME", volume.display()).output();
    assert_eq!(out.code, 1, "{out:?}");
    assert!(out.stderr.contains(&format!("chmod go-w {}", volume.display())), "{}", out.stderr);
    let daemon = start().env("GSTACK_HOME", volume.join("own").display()).start();
    assert_eq!(mode(&volume.join("own")), 0o700);
    drop(daemon);
}
