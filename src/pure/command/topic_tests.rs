//! The topics are held to the code: each event, setting, exit code, error and reason is in its own,
//! and everything fits 80 columns.

use super::*;
use crate::pure::audit_event::AuditEvent;
use crate::pure::config::confine;
use crate::pure::human::paragraph::COLUMNS;
use crate::pure::human::width;
use crate::pure::reference::words::ERROR_TYPES;

fn page(name: &str) -> String {
    text(topic::find(name).expect(name))
}

/// The words of the entries of a topic, each alone.
fn words(name: &str) -> Vec<String> {
    let blocks = blocks(topic::find(name).expect(name));
    let entries = blocks.into_iter().filter_map(|block| match block {
        Block::Entries(entries) => Some(entries),
        Block::Heading(_) | Block::Paragraph(_) | Block::Bullet(_) | Block::Code(_) => None,
    });
    let words = entries.flatten().map(|entry| markup::plain(&entry.word));
    words
        .flat_map(|word| word.split([',', ';']).map(|one| one.trim().into()).collect::<Vec<_>>())
        .collect()
}

/// The words that an enum without a list of them takes, from serde's own complaint.
fn variants(complaint: &str) -> Vec<String> {
    let (_, list) = complaint.split_once("expected one of ").expect("a list of words");
    list.split('`').skip(1).step_by(2).map(String::from).collect()
}

#[test]
fn every_topic_fits_eighty_columns() {
    for topic in TOPICS {
        for line in text(topic).lines() {
            assert!(width::of(line) <= COLUMNS, "{}: {}: {line}", topic.name, width::of(line));
        }
    }
}

#[test]
fn every_table_that_a_topic_names_is_there() {
    for topic in TOPICS {
        assert!(topic.help.chars().count() <= 48, "{}", topic.name);
        for block in blocks(topic) {
            assert_ne!(block, Block::Entries(Vec::new()), "{}", topic.name);
        }
        assert!(!text(topic).contains("<!--"), "{}", topic.name);
    }
}

#[test]
fn every_event_of_the_audit_log_is_in_its_topic() {
    let line = serde_json::json!({ "event": "none" });
    let complaint = serde_json::from_value::<AuditEvent>(line).expect_err("no event");
    let events = variants(&complaint.to_string());
    assert!(events.len() > 40, "{events:?}");
    let told = words("events");
    for event in events {
        assert!(told.contains(&event), "{event}");
    }
}

#[test]
fn every_setting_is_in_its_topic_with_its_flag_default_and_when_it_holds() {
    let told = page("settings").split_whitespace().collect::<Vec<_>>().join(" ");
    for setting in SETTINGS {
        let mark = if setting.reload == Reload::Restart { " ↻" } else { "" };
        let (key, usage, default) = (setting.key, setting.usage(), setting.default);
        let said = format!("{key}{mark} {}. {usage}; default: {default}", setting.help);
        assert!(told.contains(&said), "{said}");
    }
}

#[test]
fn every_exit_code_is_in_its_topic_in_general_and_of_each_command() {
    let told = words("exit-codes");
    for code in Code::ALL {
        assert!(told.contains(&code.number().to_string()), "{code:?}");
        assert_eq!(Code::ALL.iter().filter(|other| other.number() == code.number()).count(), 1);
    }
    for row in COMMANDS {
        assert!(told.contains(&row.name.to_string()), "{}", row.name);
        let all = |code: &Code| Code::ALL.contains(code);
        assert!(row.codes.iter().all(|(code, _)| all(code)), "{}", row.name);
    }
}

#[test]
fn every_kind_of_failure_and_every_reason_to_reject_is_in_its_topic() {
    let told = words("report");
    for kind in ERROR_TYPES {
        assert!(told.contains(&kind.to_string()), "{kind}");
    }
    let complaint = serde_json::from_str::<crate::pure::dispatch::Reason>("\"none\"");
    let complaint = complaint.expect_err("no reason").to_string();
    let page = page("dispatch");
    for reason in variants(&complaint) {
        assert!(page.contains(&reason), "{reason}");
    }
}

#[test]
fn the_usual_places_of_secrets_are_in_their_topic() {
    let page = page("permissions");
    for place in confine::USUAL {
        let name = place.trim_start_matches("~/.config/");
        assert!(page.contains(name), "{place}");
    }
}

#[test]
fn what_degrades_the_daemon_is_in_its_topic() {
    let told = words("recovery");
    let complaint = serde_json::from_str::<crate::pure::upkeep::health::Subsystem>("\"none\"");
    for place in variants(&complaint.expect_err("no subsystem").to_string()) {
        assert!(told.contains(&place), "{place}");
    }
}

#[test]
fn a_word_that_nobody_explains_is_told_with_the_nearest() {
    let row = super::super::explain::HELP;
    let asked = |word: &str| {
        let words = vec![word.into()];
        HelpCall::of(&Typed { words, ..Typed::new(row) }).map(|call| format!("{call:?}"))
    };
    assert!(asked("report").is_ok() && asked("sign").is_ok());
    let said = asked("setings").expect_err("no topic");
    assert_eq!(said, "there is no command or topic setings; did you mean settings? (see help)");
    assert_eq!(asked("qqqqqq"), Err("there is no command or topic qqqqqq (see help)".into()));
}
