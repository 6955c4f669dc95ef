//! Ids by their beginning, and what is said of those that do not lead anywhere.

use super::*;

#[test]
fn the_beginning_of_an_id_does_if_only_one_has_it() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--trusted-projects", lab.project("trusted").display()).start();
    for name in ["ab", "ab1", "cd2"] {
        lab.send(&lab.task(name, "hello"));
        let dir = lab.ours().join("pending").join(id(name));
        wait_until("it waits", PATIENCE, || dir.join("pending.json").exists());
    }
    drop(daemon);
    let deny = |word: &str| ask(&lab, &["deny", word]);
    let several = deny("a");
    assert_eq!((several.code, several.stdout.as_str()), (3, ""), "{several:?}");
    let lines: Vec<&str> = several.stderr.lines().collect();
    assert!(lines[0].contains("2 dispatches begin with \"a\""), "{several:?}");
    // The newest comes first.
    assert_eq!(lines[1..], ["  dispatch-ab1  pending", "  dispatch-ab  pending"]);
    let none = deny("cd3");
    assert_eq!((none.code, none.stdout.as_str()), (3, ""), "{none:?}");
    let nearest = "no dispatch begins with \"cd3\"; the nearest: dispatch-cd2\n";
    assert_eq!(none.stderr, format!("gstack-dispatch-daemon: {nearest}"));
    for word in ["", "\u{1b}[2J", "zzzzzzzz", "../x"] {
        let none = deny(word);
        assert_eq!((none.code, none.stdout.as_str()), (3, ""), "{none:?}");
        assert!(!none.stderr.contains('\u{1b}'), "{none:?}");
    }
    // An exact id wins, with `dispatch-` or without.
    assert_eq!(deny("ab").stdout, "denied dispatch-ab\n");
    assert_eq!(deny("dispatch-ab").stdout, "denied dispatch-ab\n");
    assert_eq!(deny("dispatch-c").stdout, "denied dispatch-cd2\n");
    assert_eq!(json(&lab, &["deny", "ab1"])["id"], "dispatch-ab1");
}
