//! What follows from a signature, for each kind of one, with and without `require_signature`.

use super::*;

/// A key of 32 bytes whose values the seed's form below was made with.
const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn plant_key(lab: &Lab) {
    keygen(lab, "test1");
    fs::write(key_path(lab, "test1.key"), KEY).expect("write a key");
}

/// The seed's form for a task, by openssl, which is another hand than ours.
fn seeds_form(task: &str) -> Option<String> {
    let script = format!("printf %s \"$1\" | openssl dgst -sha256 -mac HMAC -macopt hexkey:{KEY}");
    let run = std::process::Command::new("sh").args(["-c", &script, "sh", task]).output();
    let text = String::from_utf8(run.ok()?.stdout).ok()?;
    Some(text.trim().rsplit(' ').next()?.to_string()).filter(|hex| hex.len() == 64)
}

enum Follows {
    GoesOn(Option<&'static str>, Option<&'static str>),
    Rejected(&'static str),
}
use Follows::*;

fn check(lab: &Lab, name: &str, dispatch: &Dispatch, follows: Follows) {
    lab.send(dispatch);
    match follows {
        GoesOn(signature, kid) => went_on(lab, name, signature, kid),
        Rejected(reason) => {
            rejected_for(lab, name, reason);
            // The id is not used up.
            let task = dispatch.0["task"].as_str().expect("a task").to_string();
            lab.send(&signed(lab, &lab.task(name, task), &[]));
            went_on(lab, name, Some("strong"), Some("test1"));
        }
    }
}

#[test]
fn what_follows_from_a_signature_is_the_table() {
    for is_required in [false, true] {
        let lab = Lab::new();
        plant_key(&lab);
        let mut start = lab.daemon();
        if is_required {
            start = start.word("--require-signature");
        }
        let daemon = start.start();
        let missing = || Rejected("signature_missing");
        let unless_required = |goes_on| if is_required { missing() } else { goes_on };
        let with =
            |name: &str, field: &str| lab.task(name, "hello").with("source_signature", field);

        check(&lab, "none", &lab.task("none", "hello"), unless_required(GoesOn(None, None)));
        if let Some(seed) = seeds_form("hello") {
            let goes_on = GoesOn(Some("seed"), Some("test1"));
            check(&lab, "seed", &with("seed", &seed), unless_required(goes_on));
            let other = lab.task("seed-other", "hello you").with("source_signature", seed);
            check(&lab, "seed-other", &other, Rejected("signature"));
        } else {
            skipped("no openssl for the seed's form");
        }
        let strong = |name: &str, words: &[&str]| signed(&lab, &lab.task(name, "hello"), words);
        let goes_on = GoesOn(Some("strong"), Some("test1"));
        check(&lab, "strong", &strong("strong", &[]), goes_on);
        let past = (now() - 100).to_string();
        let late = strong("late", &["--iat", &past, "--ttl", "50"]);
        check(&lab, "late", &late, Rejected("signature_expired"));
        let soon = (now() + 400).to_string();
        let early = strong("early", &["--iat", &soon]);
        check(&lab, "early", &early, Rejected("signature_expired"));
        let soon = (now() + 200).to_string();
        let within = GoesOn(Some("strong"), Some("test1"));
        check(&lab, "within-skew", &strong("within-skew", &["--iat", &soon]), within);

        let right = strong("x", &[]).0["source_signature"].as_str().expect("a text").to_string();
        for (name, field) in [
            ("empty", ""),
            ("v1", "v1"),
            ("zeros", &"0".repeat(64)),
            ("malformed", "v2;kid=test1;iat=1;exp=2;sig="),
            ("unknown", &right.replace("test1", "test9")),
            ("as-ed", &right.replace("test1", "ed:test1")),
            ("of-another", &right),
        ] {
            check(&lab, name, &with(name, field), Rejected("signature"));
        }
        drop(daemon);
    }
}

#[test]
fn one_text_is_said_of_all_that_is_wrong_with_a_signature() {
    let lab = Lab::new();
    plant_key(&lab);
    let daemon = lab.daemon().start();
    let right = signed(&lab, &lab.task("a", "hello"), &[]);
    let text = right.0["source_signature"].as_str().expect("a text");
    let mut said = Vec::new();
    for field in
        ["v2", &"0".repeat(64), &text.replace("test1", "test9"), &text.replace("iat=", "iat=0")]
    {
        lab.send(&lab.task("a", "hello").with("source_signature", field));
        said.push(rejected_for(&lab, "a", "signature")["error"].clone());
    }
    lab.send(&right.with("task", "hello you"));
    said.push(rejected_for(&lab, "a", "signature")["error"].clone());
    said.dedup();
    assert_eq!(said.len(), 1, "{said:?}");
    drop(daemon);
}

#[test]
fn a_swap_of_any_field_is_refused_and_another_spelling_is_not() {
    let lab = Lab::new();
    plant_key(&lab);
    let daemon = lab.daemon().start();
    let (aside, other_dir) = (lab.project("aside"), lab.project("other"));
    let whole = lab
        .task("a", "say \u{e9}\u{2028}")
        .in_dir(&aside)
        .with("target_agent", "claude")
        .with("constraints", vec!["c"])
        .with("learnings", vec!["l"])
        .with("callback_url", "")
        .with("clawvisor_task_id", "t")
        .with("ttl_seconds", 60)
        .with("x_more", 1);
    let right = signed(&lab, &whole, &[]);
    let elsewhere = other_dir.to_str().expect("UTF-8");
    for (field, other) in [
        ("id", "dispatch-b".into()),
        ("dispatched_by", "me".into()),
        ("task", "rm -rf".into()),
        ("project", "other".into()),
        ("project_dir", elsewhere.into()),
        ("target_agent", "codex".into()),
        ("constraints", vec!["d"].into()),
        ("learnings", vec!["l", "m"].into()),
        ("callback_url", "http://127.0.0.1:9/x".into()),
        ("clawvisor_task_id", "u".into()),
        ("ttl_seconds", Value::from(61)),
        ("x_more", Value::from(2)),
        ("x_new", Value::from(1)),
    ] {
        let swapped = right.clone().with(field, other);
        lab.place("dispatch-a.json", &swapped.bytes());
        let (dir, why) = lab.rejected("dispatch-a.json");
        assert_eq!(why["reason"], "signature", "{field}: {why}");
        fs::remove_dir_all(dir).expect("forget it");
    }
    let mut fields: Vec<String> = Vec::new();
    for (key, value) in right.0.as_object().expect("an object").iter().rev() {
        fields.push(format!("\"{key}\" :\t{}", value.to_string().replace('\u{e9}', "\\u00E9")));
    }
    lab.place("dispatch-a.json", format!("{{\n{}}}\n", fields.join(" ,\r\n")).as_bytes());
    went_on(&lab, "a", Some("strong"), Some("test1"));
    drop(daemon);
}

#[test]
fn without_a_key_any_text_is_unchecked() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    for (name, field) in [("a", "x"), ("b", "v2;kid=a;iat=1;exp=2;sig=x")] {
        lab.send(&lab.task(name, "hello").with("source_signature", field));
        went_on(&lab, name, Some("unchecked"), None);
    }
    lab.send(&lab.task("c", "hello"));
    went_on(&lab, "c", None, None);
    // A folder without a key is no key.
    fs::create_dir(lab.ours().join("keys")).expect("create keys");
    fs::write(key_path(&lab, "README"), "x").expect("write");
    fs::write(key_path(&lab, "a b.key"), KEY).expect("write");
    lab.send(&lab.task("d", "hello").with("source_signature", "x"));
    went_on(&lab, "d", Some("unchecked"), None);
    assert!(!lab.ours().join("spent").exists());
    drop(daemon);
}
