//! A session that drops a dispatch of its own is refused where signatures are required: it can
//! neither sign nor use a signature again.

use super::*;

#[test]
fn a_session_cannot_have_a_dispatch_of_its_own_run() {
    let lab = Lab::new();
    done(&lab, &["keygen", "ed:sender"]);
    let pem = lab.path("sender.pem");
    let ran = lab.path("ran");
    let daemon = lab.daemon().word("--require-signature").start();
    let inbox = lab.inbox();
    let copy = |from: &str, to: &str| {
        let changed = format!("sed s/dispatch-first/dispatch-{to}/ $GSTACK_DISPATCH_FILE");
        let place = format!("{0}/.{to} && mv {0}/.{to} {0}/dispatch-{to}.json", inbox.display());
        format!("{changed}{from} >{place}")
    };
    let orders = [
        format!("fake: mark {} start", ran.display()),
        format!("fake: try copied {}", copy("", "copied")),
        format!("fake: try bare {}", copy(" | sed s/source_signature/x/", "bare")),
        format!(
            "fake: try sign {DAEMON} sign --kid ed:sender --key {} $GSTACK_DISPATCH_FILE",
            pem.display()
        ),
        format!("fake: try keygen {DAEMON} keygen mine"),
    ]
    .join("\n");
    let words = ["--kid", "ed:sender", "--key", pem.to_str().expect("UTF-8")];
    lab.send(&signed(&lab, &lab.task("first", orders), &words));
    went_on(&lab, "first", Some("strong"), Some("ed:sender"));
    rejected_for(&lab, "copied", "signature");
    rejected_for(&lab, "bare", "signature_missing");
    let tried = text_file(lab.path("project-first").join("tried"));
    for want in ["copied 0", "bare 0", "sign 1", "keygen 1"] {
        assert!(tried.lines().any(|line| line == want), "{want}: {tried}");
    }
    assert_eq!(starts(&ran), ["first"]);
    assert!(!key_path(&lab, "mine.key").exists());
    drop(daemon);
}
