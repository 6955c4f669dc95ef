//! Something stands where an answer belongs. It is moved aside, told, and waited for by nobody.

use std::os::unix::fs::symlink;

use super::*;

const OBSTACLES: usize = 5;

/// What may stand in the way of the answer to that dispatch, each with its path. The links lead to
/// `victim`.
fn obstacles(lab: &Lab, name: &str) -> [(&'static str, PathBuf); OBSTACLES] {
    [
        ("folder", lab.report_path(name)),
        ("link", lab.report_path(name)),
        ("folder", lab.finished(name)),
        ("link", lab.finished(name)),
        ("file", lab.finished(name)),
    ]
}

fn put(lab: &Lab, what: &str, path: &Path) {
    match what {
        "folder" => folder(path),
        "fifo" => fifo(path),
        "file" => fs::write(path, "not ours").expect("write"),
        _ => {
            fs::write(lab.path("victim"), "untouched").expect("write");
            symlink(lab.path("victim"), path).expect("symlink");
        }
    }
}

/// The answer is there, and what stood in its place is kept, and told.
fn came_through(lab: &Lab, name: &str, (what, path): (&str, &Path)) {
    assert!(lab.finished(name).join("report.json").is_file());
    if what == "link" {
        assert_eq!(text_file(lab.path("victim")), "untouched");
        return;
    }
    let told = lab.event(name, "moved_aside");
    assert_eq!(told["path"], path.display().to_string(), "{told}");
    let aside = Path::new(told["to"].as_str().expect("to"));
    let name = aside.file_name().unwrap_or_default().to_string_lossy();
    assert!(name.starts_with(".aside-dispatch-"), "{told}");
    let kept = if what == "file" { aside.to_path_buf() } else { aside.join("kept") };
    assert_eq!(text_file(kept), "not ours");
}

#[test]
fn what_stands_in_the_place_of_an_answer_is_moved_aside_and_the_next_dispatch_runs() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    for number in 0..OBSTACLES {
        let (name, next) = (format!("a{number}"), format!("next{number}"));
        let hold = held(&lab, &name, "fake: result success Done.");
        let (what, path) = obstacles(&lab, &name)[number].clone();
        put(&lab, what, &path);
        send_marked(&lab, &next);
        hold.release();
        answered(&lab, &name);
        assert_eq!(lab.completed(&name)["result"], "Done.");
        came_through(&lab, &name, (what, &path));
        lab.completed(&next);
        assert_eq!((runs(&lab, &name), runs(&lab, &next)), (1, 1));
    }
    let log = daemon.stderr();
    assert!(log.matches("was in the way and is").count() >= 2, "{log}");
    drop(daemon);
}

#[test]
fn what_stood_there_before_the_drop_takes_no_id_and_is_in_nobody_s_way() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    for what in ["folder", "link", "fifo"] {
        let path = lab.report_path(what);
        put(&lab, what, &path);
        lab.send(&lab.task(what, "fake: result success Done."));
        answered(&lab, what);
        lab.completed(what);
        if what != "fifo" {
            came_through(&lab, what, (what, &path));
        }
    }
    assert_eq!(lab.rejected_count(), 0);
    drop(daemon);
}

#[test]
fn a_daemon_that_was_killed_over_it_is_ready_at_once_and_answers() {
    for number in 0..OBSTACLES {
        let lab = Lab::new();
        let daemon = lab.daemon().set("--max-concurrent", 1).start();
        let _hold = held(&lab, "a", "");
        let (what, path) = obstacles(&lab, "a")[number].clone();
        put(&lab, what, &path);
        send_marked(&lab, "next");
        daemon.crash();
        kill_agent(&lab, "a");
        let mut daemon = lab.daemon().set("--max-concurrent", 1).spawn();
        daemon.wait_ready();
        answered(&lab, "a");
        lab.failed("a", "interrupted");
        came_through(&lab, "a", (what, &path));
        lab.completed("next");
        assert_eq!((runs(&lab, "a"), runs(&lab, "next")), (1, 1));
        drop(daemon);
    }
}

#[test]
fn a_queued_dispatch_with_something_in_its_answer_s_place_can_be_cancelled() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    let hold = held(&lab, "first", "");
    for number in 0..OBSTACLES {
        let name = format!("q{number}");
        send_marked(&lab, &name);
        let (what, path) = obstacles(&lab, &name)[number].clone();
        put(&lab, what, &path);
        cancel(&lab, &name);
        answered(&lab, &name);
        lab.ended(&name, "cancelled", "cancelled");
        came_through(&lab, &name, (what, &path));
    }
    send_marked(&lab, "next");
    hold.release();
    lab.completed("first");
    lab.completed("next");
    assert_eq!(starts(&ran(&lab)), ["first", "next"]);
    drop(daemon);
}
