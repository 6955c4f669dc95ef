//! An attempt that cannot begin, since a session shut or filled its place: the others go on.

use super::*;

/// What a session does before it fails with an error that is worth a retry.
fn deeds(lab: &Lab, name: &str) -> [Deed; 5] {
    let (claim, one) = (lab.active(name), attempt(lab, name));
    let two = claim.join("attempt-2");
    let (shut_two, filled, file) = (two.clone(), two.clone(), two.clone());
    [
        (
            "a shut folder in the next attempt's place",
            Box::new(move || {
                folder(&two);
                fs::create_dir(two.join("x")).expect("make");
                folder(&two.join("x/y"));
                mode(&two.join("x"), 0);
            }),
        ),
        (
            "the next attempt's place shut",
            Box::new(move || {
                folder(&shut_two);
                mode(&shut_two, 0);
            }),
        ),
        ("the next attempt's place filled", Box::new(move || folder(&filled))),
        ("its claim shut", Box::new(move || mode(&claim, 0))),
        (
            "its attempt shut and a file in the next one's place",
            Box::new(move || {
                mode(&one, 0);
                fs::write(&file, "x").expect("write");
            }),
        ),
    ]
}

#[test]
fn an_attempt_that_cannot_begin_stops_nobody_else() {
    for number in 0..5 {
        let lab = Lab::new();
        let Some(start) = unprivileged(lab.daemon().set("--max-concurrent", 2)) else { return };
        let daemon = start.start();
        let gate = lab.gate("gate");
        let orders = format!(
            "fake: mark {}\nfake: once block {}\nfake: once result error 500 server_error\nfake: once exit 1",
            ran(&lab).display(),
            gate.display()
        );
        lab.send(&lab.task("a", orders));
        let hold = gate.held();
        let (what, deed) = deeds(&lab, "a").into_iter().nth(number).expect("a deed");
        deed();
        hold.release();
        for other in 0..6 {
            send_marked(&lab, &format!("other-{other}"));
        }
        for other in 0..6 {
            lab.completed(&format!("other-{other}"));
        }
        let report = lab.completed("a");
        assert_eq!(report["retry_count"], 1, "{what}: {report:#}");
        assert_eq!(runs(&lab, "a"), 2, "{what}");
        drop(daemon);
    }
}

/// What was accepted is in memory, and its folder is made anew.
#[test]
fn a_claim_in_a_stranger_s_hands_stops_nobody_else() {
    let lab = Lab::new();
    let start = lab.daemon().set("--max-concurrent", 1).set("--heartbeat", 0.3);
    let Some(start) = beside_a_stranger(start) else { return };
    let daemon = start.start();
    let hold = held(&lab, "first", "");
    send_marked(&lab, "taken");
    for other in 0..3 {
        send_marked(&lab, &format!("other-{other}"));
    }
    give_to(&lab.active("taken"), STRANGER);
    mode(&lab.active("taken"), 0);
    hold.release();
    for other in 0..3 {
        lab.completed(&format!("other-{other}"));
    }
    lab.completed("taken");
    assert_eq!(runs(&lab, "taken"), 1);
    drop(daemon);
}
