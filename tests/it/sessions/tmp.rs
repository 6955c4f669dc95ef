//! Each attempt's private `TMPDIR`: it is empty, ours alone and short, goes with its session
//! whatever that left there, and what a session puts there is limited.

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;

use super::*;

/// What was noted of each attempt's directory: the path, its mode, what lay in it.
fn noted(file: &Path) -> Vec<(PathBuf, String, String)> {
    let line = |line: String| {
        let mut words = line.splitn(3, ' ').map(String::from);
        let mut next = || words.next().unwrap_or_default();
        (next().into(), next(), next())
    };
    lines(file).into_iter().map(line).collect()
}

/// Where the sessions of a lab have theirs.
fn place(lab: &Lab) -> PathBuf {
    let entries = fs::read_dir(&lab.dir).expect("the lab").map(|e| e.expect("an entry").path());
    let is_place = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("gstack-"))
    };
    entries.into_iter().find(is_place).expect("a place for temporary directories")
}

#[test]
fn each_attempt_has_an_empty_temporary_directory_that_goes_with_it() {
    let lab = Lab::new();
    let note = lab.path("note");
    let daemon = lab.daemon().start();
    let orders = [
        format!("fake: tmp where {}", note.display()),
        "fake: tmp bytes 1000".into(),
        "fake: once result error 529 overloaded".into(),
    ];
    lab.send(&lab.task("a", orders.join("\n")));
    assert_eq!(attempts(&lab.completed("a")).len(), 2);
    let noted = noted(&note);
    assert_eq!(noted.len(), 2);
    for (dir, mode, entries) in &noted {
        assert_eq!((mode.as_str(), entries.as_str()), ("700", ""));
        assert!(dir.parent() == Some(&place(&lab)) && !dir.exists(), "{}", dir.display());
        // A socket's name has 108 bytes, of which an agent needs some for itself.
        let below = dir.strip_prefix(&lab.dir).expect("below the daemon's own");
        assert!(below.as_os_str().len() < 32, "{}", below.display());
    }
    assert_ne!(noted[0].0, noted[1].0);
    drop(daemon);
}

#[test]
fn what_an_operator_sets_as_tmpdir_stands() {
    let lab = Lab::new();
    let dump = lab.path("dump");
    let agents = r#"{"claude": {"env": {"TMPDIR": "/var/tmp"}}}"#;
    let daemon = lab.daemon().set("--agents", agents).start();
    lab.send(&lab.task("a", format!("fake: dump {}", dump.display())));
    lab.completed("a");
    assert!(lines(dump.join("env")).contains(&"TMPDIR=/var/tmp".to_string()));
    drop(daemon);
}

#[test]
fn a_tree_deeper_than_there_are_descriptors_goes_and_disturbs_nobody() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let started = lab.daemon().under(&["prlimit", "--nofile=200:200"]).start();
    lab.send(&lab.task("other", block(&gate)));
    let hold = gate.held();
    lab.send(
        &lab.task("a", "fake: tmp tree 1500\nfake: try count find $TMPDIR -type d | wc -l >levels"),
    );
    lab.completed("a");
    let levels = text_file(lab.path("project-a/levels"));
    assert!(levels.trim().parse::<u32>().is_ok_and(|levels| levels >= 1500), "{levels:?}");
    wait_until("a place without directories of the answered", PATIENCE, || {
        fs::read_dir(place(&lab)).expect("the place").count() == 1
    });
    hold.release();
    lab.completed("other");
    assert!(!started.stderr().contains("Too many open files"), "{}", started.stderr());
    drop(started);
}

#[test]
fn a_session_that_fills_its_temporary_directory_is_ended() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--tmp-max-mb", 1).start();
    lab.send(&lab.task("a", "fake: tmp bytes 3000000\nfake: sleep 7777"));
    let report = lab.report("a");
    assert_eq!(report["error_type"], "output_limit", "{report:#}");
    assert_eq!(report["error"], "ended: its TMPDIR took up more than 1 MB");
    assert_eq!(fs::read_dir(place(&lab)).expect("the place").count(), 0);
    lab.send(&lab.task("b", "fake: tmp bytes 900000"));
    lab.completed("b");
    drop(daemon);
}

#[test]
fn what_a_dead_daemon_left_goes_and_what_a_living_session_has_stays() {
    let lab = Lab::new();
    let (gate, note) = (lab.gate("gate"), lab.path("note"));
    let daemon = lab.daemon().set("--max-concurrent", 2).start();
    let where_to = format!("fake: tmp where {}", note.display());
    let stays = format!("{where_to}\n{}\n{where_to}", block(&gate));
    lab.send(&lab.task("adopted", format!("fake: tmp bytes 10\n{stays}")));
    let hold = gate.held();
    let mark = lab.path("mark");
    let ends = format!("{where_to}\nfake: mark {}\nfake: sleep 7777", mark.display());
    lab.send(&lab.task("dies", ends));
    wait_until("a second session", PATIENCE, || mark.exists() && lines(&mark).len() == 1);
    daemon.crash();
    let session = lines(&mark)[0].split(' ').nth(2).and_then(|pid| pid.parse().ok());
    signal(session.expect("its pid"), Signal::KILL);
    let stray = place(&lab).join("0123456789ab");
    fs::create_dir_all(stray.join("of/one/before")).expect("create");
    let not_ours = place(&lab).join("a person's own");
    fs::create_dir(&not_ours).expect("create");
    let daemon = lab.daemon().set("--heartbeat", 0.2).start();
    lab.report("dies");
    wait_until("a place without what is over", PATIENCE, || !stray.exists());
    assert!(not_ours.exists());
    hold.release();
    lab.completed("adopted");
    let noted = noted(&note);
    // Before the crash and after it.
    assert_eq!(noted.iter().filter(|(_, _, entries)| entries == "bytes").count(), 2, "{noted:?}");
    assert!(noted.iter().all(|(dir, ..)| !dir.exists()), "{noted:?}");
    drop(daemon);
}

#[test]
fn a_planted_place_is_not_used() {
    let lab = Lab::new();
    let note = lab.path("note");
    drop({
        let daemon = lab.daemon().start();
        lab.send(&lab.task("a", "fake: turn hello"));
        lab.completed("a");
        daemon
    });
    let place = place(&lab);
    fs::remove_dir(&place).expect("remove it");
    let elsewhere = lab.project("elsewhere");
    fs::create_dir(elsewhere.join("0123456789ab")).expect("create");
    std::os::unix::fs::symlink(&elsewhere, &place).expect("symlink");
    let daemon = lab.daemon().set("--heartbeat", 0.2).start();
    lab.send(&lab.task("b", format!("fake: tmp where {}", note.display())));
    lab.completed("b");
    let dir = &noted(&note)[0].0;
    assert!(dir.starts_with(lab.ours()) && !dir.exists(), "{}", dir.display());
    assert!(elsewhere.join("0123456789ab").exists());
    drop(daemon);
}

#[test]
fn whatever_a_session_puts_in_its_directory_s_place_goes_and_nothing_else_does() {
    let lab = Lab::new();
    let kept = lab.project("kept");
    fs::write(kept.join("file"), "kept").expect("write");
    let daemon = lab.daemon().set("--heartbeat", 0.2).start();
    for (name, deed) in [
        ("removed", "rm -rf $TMPDIR".to_string()),
        ("file", "rmdir $TMPDIR; echo x >$TMPDIR".into()),
        ("fifo", "rmdir $TMPDIR; mkfifo $TMPDIR".into()),
        ("link", format!("rmdir $TMPDIR; ln -s {} $TMPDIR", kept.display())),
        ("link-within", format!("ln -s {} $TMPDIR/link", kept.display())),
        ("shut", "mkdir -p $TMPDIR/a/b; chmod 0 $TMPDIR/a/b $TMPDIR/a $TMPDIR".into()),
        ("place", "rm -rf ${TMPDIR%/*}".into()),
        ("place-shut", "chmod 0 ${TMPDIR%/*}".into()),
        ("place-file", "rm -rf ${TMPDIR%/*}; echo x >${TMPDIR%/*}".into()),
    ] {
        lab.send(&lab.task(name, format!("fake: try deed {deed}")));
        let report = lab.completed(name);
        assert!(report.get("warnings").is_none(), "{name}: {report:#}");
    }
    assert!(kept.join("file").exists());
    let hex = |name: &str| name.len() == 12 && name.bytes().all(|b| b.is_ascii_hexdigit());
    let left = |place: PathBuf| {
        let entries = fs::read_dir(place).into_iter().flatten().flatten();
        entries.filter(|entry| hex(&entry.file_name().to_string_lossy())).count()
    };
    wait_until("both places empty", PATIENCE, || {
        left(place(&lab)) == 0 && left(lab.ours().join("tmp")) == 0
    });
    drop(daemon);
}
