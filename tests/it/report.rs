//! `report`: the numbers of what ended, and its page.

use std::fs;

use serde_json::{Value, json};

use crate::util::*;

fn report(lab: &Lab, words: &[&str]) -> Output {
    let words = ["report"].into_iter().chain(words.iter().copied());
    words.fold(lab.plain_daemon(), |start, word| start.word(word)).env("TZ", "UTC0").output()
}

fn numbers(lab: &Lab, words: &[&str]) -> Value {
    let out = report(lab, &[words, &["--json"]].concat());
    assert_eq!(out.code, 0, "{out:?}");
    serde_json::from_str(&out.stdout).expect("JSON")
}

#[test]
fn what_ended_is_counted_by_project_and_by_agent() {
    let lab = Lab::new();
    let empty = numbers(&lab, &[]);
    assert_eq!((&empty["dispatches"], &empty["projects"]), (&json!(0), &json!([])), "{empty:#}");
    assert!(empty.get("success_rate").is_none() && !lab.gstack.exists(), "{empty:#}");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "fake: tool Bash x\nfake: result success done"));
    lab.send(&lab.task("b", "fake: once result error 429 rate_limit\nfake: once exit 1"));
    lab.send(&lab.task("c", "fake: result error 400 invalid_request"));
    lab.place("dispatch-bad.json", b"null");
    ["a", "b", "c"].iter().for_each(|name| drop(lab.settled(name)));
    lab.rejected("dispatch-bad.json");
    drop(daemon);
    let told = numbers(&lab, &[]);
    for (key, want) in [
        ("dispatches", 3),
        ("completed", 2),
        ("failed", 1),
        ("timeout", 0),
        ("cancelled", 0),
        ("retries", 1),
        ("rejected", 1),
    ] {
        assert_eq!(told[key], want, "{key}: {told:#}");
    }
    assert_eq!(told["error_types"], json!({"logic_error": 1}), "{told:#}");
    assert!(is_stamp(&told["since"]) && is_stamp(&told["until"]), "{told:#}");
    let projects = told["projects"].as_array().expect("projects");
    assert_eq!((projects.len(), &projects[0]["dispatches"]), (3, &json!(1)));
    assert_eq!(projects[0]["project_dir"], json!(lab.path("project-a")));
    assert_eq!(told["agents"][0]["target_agent"], "claude");
    let one = numbers(&lab, &["--project", "project-b", "--since", "all"]);
    assert_eq!((&one["dispatches"], &one["retries"]), (&json!(1), &json!(1)), "{one:#}");
    assert!(one.get("since").is_none());
    assert_eq!(numbers(&lab, &["--since", "2099-01-01"])["dispatches"], 0);
    let text = report(&lab, &[]).stdout;
    assert!(text.contains("3 dispatches ended; 1 file was rejected\n"), "{text}");
    assert!(text.contains("\nall        3      2          1 "), "{text}");
    let wrong = report(&lab, &["--since", "soon"]);
    assert_eq!((wrong.code, wrong.stdout.as_str()), (2, ""), "{wrong:?}");
}

#[test]
fn a_hold_is_among_the_numbers() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let task =
        "fake: once limit rejected 2\nfake: once result error 429 rate_limit\nfake: once exit 1";
    lab.send(&lab.task("a", task));
    lab.settled("a");
    drop(daemon);
    let told = numbers(&lab, &[]);
    let hold = &told["holds"][0];
    assert_eq!(
        (&hold["agent"], &hold["kind"]),
        (&json!("claude"), &json!("usage_limit")),
        "{told:#}"
    );
    assert!(is_stamp(&hold["from"]) && is_stamp(&hold["until"]), "{told:#}");
}

#[test]
fn the_page_is_written_whole_and_its_path_is_told() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "fake: result success <script>alert(1)</script>"));
    lab.settled("a");
    drop(daemon);
    let path = lab.path("page.html");
    let name = path.to_str().expect("UTF-8");
    let out = report(&lab, &["--html", name]);
    assert_eq!((out.code, out.stdout.as_str()), (0, format!("{name}\n").as_str()), "{out:?}");
    let page = fs::read_to_string(&path).expect("a page");
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    assert!(page.contains("&lt;script&gt;alert(1)") && page.matches("<script>").count() == 1);
    let piped = report(&lab, &["--html", "-"]).stdout;
    assert!(piped.starts_with("<!doctype html>") && piped.ends_with("</html>\n"));
    // What stands there is replaced where a link leads, and what is no file stays what it is.
    let link = lab.path("link.html");
    std::os::unix::fs::symlink(&path, &link).expect("a link");
    assert_eq!(report(&lab, &["--html", link.to_str().expect("UTF-8")]).code, 0);
    assert!(fs::symlink_metadata(&link).expect("a link").is_symlink());
    assert_eq!(report(&lab, &["--html", "/dev/null"]).code, 0);
    assert!(!fs::metadata("/dev/null").expect("a device").is_file());
    let nowhere = report(&lab, &["--html", lab.path("no/page.html").to_str().expect("UTF-8")]);
    assert_eq!((nowhere.code, nowhere.stdout.as_str()), (1, ""), "{nowhere:?}");
    let left: Vec<_> = fs::read_dir(&lab.dir).expect("read").flatten().collect();
    assert!(left.iter().all(|entry| !entry.file_name().to_string_lossy().ends_with(".tmp")));
}
