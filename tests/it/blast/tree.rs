//! Which working tree a dispatch belongs to, when its directory comes to be after it was accepted,
//! or has an odd name.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use super::*;

/// A session that notes "in" and "out": with two of them in one tree at once, two "in" follow each
/// other.
fn passes(lab: &Lab, gate: Option<&Gate>, dir: &Path, name: &str) -> Dispatch {
    let ran = ran(lab);
    let wait = gate
        .map_or_else(|| "fake: sleep 0.2".into(), |gate| format!("fake: block {}", gate.display()));
    let orders = format!("fake: mark {0} in\n{wait}\nfake: mark {0} out", ran.display());
    lab.task(name, orders).in_dir(dir)
}

#[test]
fn two_ways_to_a_directory_that_came_later_never_hold_two_sessions_at_once() {
    for is_repository in [false, true] {
        let lab = Lab::new();
        let daemon = lab.daemon().set("--max-concurrent", 4).start();
        let gate = lab.gate("gate");
        // So that the directory can come between the acceptance and the turn.
        fs::create_dir_all(lab.ours().join("control")).expect("control");
        fs::write(lab.ours().join("control/pause"), "").expect("pause");
        lab.heartbeat("it pauses", |beat| beat["paused"] == true);
        let (real, link) = (lab.path("real"), lab.path("link"));
        let ways = [
            ("a", real.join("app")),
            ("b", link.join("app")),
            ("c", real.join("app/../app")),
            ("d", link.join("app/sub")),
        ];
        for (name, dir) in &ways {
            let gate = (*name == "a").then_some(&gate);
            lab.send(&passes(&lab, gate, dir, name));
            lab.accepted(name);
        }
        fs::create_dir_all(real.join("app/sub")).expect("create");
        symlink(&real, &link).expect("symlink");
        if is_repository {
            git(&real.join("app"), "init -q -b main");
        }
        fs::write(lab.ours().join("control/resume"), "").expect("resume");
        let hold = gate.held();
        // Not in the same tree: it shows that the others had their chance.
        lab.send(&lab.task("e", "hello"));
        lab.completed("e");
        hold.release();
        for (name, _) in &ways {
            lab.completed(name);
        }
        // Without a repository the directory below is a project of its own.
        let in_tree =
            marks(&ran(&lab)).into_iter().filter(|mark| is_repository || mark.1 != id("d"));
        let words: Vec<String> = in_tree.map(|mark| mark.0).collect();
        assert!(words.chunks(2).all(|pass| pass == ["in", "out"]), "{words:?}");
        drop(daemon);
    }
}

#[test]
fn a_link_to_a_directory_whose_name_is_no_utf8_leads_there() {
    let lab = Lab::new();
    let odd = lab.path("").join(OsStr::from_bytes(b"odd-\xff-name"));
    fs::create_dir(&odd).expect("create");
    let link = lab.path("link");
    symlink(&odd, &link).expect("symlink");
    let daemon = lab.daemon().start();
    let dump = lab.path("dump");
    let orders = format!("fake: dump {}\nfake: write made here\nfake: tool Bash x", dump.display());
    lab.send(&lab.task("a", orders).in_dir(&link));
    lab.completed("a");
    let cwd = fs::read(dump.join("cwd")).expect("cwd");
    assert_eq!(cwd.strip_suffix(b"\n"), Some(odd.as_os_str().as_bytes()));
    assert!(odd.join("made").exists());
    drop(daemon);
}

#[test]
fn a_session_in_a_directory_whose_name_is_no_utf8_is_adopted_and_tried_again_there() {
    let lab = Lab::new();
    let odd = lab.path("").join(OsStr::from_bytes(b"odd-\xff-name"));
    fs::create_dir(&odd).expect("create");
    let link = lab.path("link");
    symlink(&odd, &link).expect("symlink");
    let daemon = lab.daemon().start();
    let gate = lab.gate("gate");
    let orders = format!(
        "fake: mark {}\nfake: once block {}\nfake: once result error 500 server_error\nfake: once exit 1\nfake: write made here",
        ran(&lab).display(),
        gate.display()
    );
    lab.send(&lab.task("a", orders).in_dir(&link));
    let hold = gate.held();
    daemon.crash();
    let daemon = lab.daemon().start();
    lab.event("a", "adopted");
    hold.release();
    assert_eq!(lab.completed("a")["retry_count"], 1);
    assert!(odd.join("made").exists());
    drop(daemon);
}
