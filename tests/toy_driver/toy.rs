//! The driver of an agent that does not exist: all that a new agent needs is one file like this one
//! and its row in a table.
//!
//! Its dialect is unlike the others' on purpose: other arguments, other events, other words for its
//! errors and for a session that it does not know.

use gstack_dispatch_daemon::pure::agent::environment::Variables;
use gstack_dispatch_daemon::pure::agent::{
    Checkup, Driver, Failure, ItemReader, Launch, Reader, ResultEvent, SessionRef, StreamItem,
    Summary,
};
use gstack_dispatch_daemon::pure::report::ErrorType;
use serde_json::Value;

pub const DRIVER: Driver = Driver {
    name: "toy",
    program: "toy",
    places: &["~/toybox"],
    named: |_| None,
    variables: Variables { set: &[("TOY_QUIET", "1")], withheld: &["TOY_OUTER_*"], kept: &[] },
    hides_git_identity: false,
    argv,
    reader: || Box::new(Diary::default()),
    items: || Box::new(DiaryItems),
    takes_session_id: true,
    start_lines: 0,
    start_failure: |_| None,
    exit_failure: |_, _, _| None,
    session_is_gone: |_, error| error.starts_with(STRANGER),
    resume_words: |id| ["again", id].map(String::from).to_vec(),
    homes: &[],
    own_record: None,
    self_check: None,
    own_state: &[],
    mode_when_confined: None,
    permission_modes: &[],
    ask_nobody: None,
    checkup: Checkup::NONE,
    template: None,
};

const STRANGER: &str = "stranger: ";

fn argv(launch: &Launch) -> Vec<String> {
    let (option, id) = match &launch.session {
        SessionRef::New(id) => ("--as", id),
        SessionRef::Resume(id) => ("--again", id),
    };
    ["work", option, id].map(String::from).to_vec()
}

/// The reader's own state: the notes that the result repeats.
#[derive(Default)]
struct Diary {
    notes: Vec<String>,
}

const NOTES_MAX: usize = 100;

impl Reader for Diary {
    fn line(&mut self, line: &[u8], summary: &mut Summary) {
        let Ok(event) = serde_json::from_slice::<Value>(line) else {
            summary.broken_lines += 1;
            return;
        };
        let text = |key: &str| event[key].as_str().map(String::from);
        match event["ev"].as_str() {
            Some("hello") => summary.session_id = text("who"),
            Some("step") => {
                summary.assistant_turns += 1;
                self.notes.extend(text("note").filter(|_| self.notes.len() < NOTES_MAX));
            }
            Some("bye") => {
                let mood = text("mood").unwrap_or_default();
                self.notes.extend(text("note"));
                summary.result = Some(ResultEvent {
                    failure: failure(&mood, &text("why").unwrap_or_default()),
                    text: Some(self.notes.join("; ")),
                    ..ResultEvent::default()
                });
            }
            _ => {}
        }
    }
}

fn failure(mood: &str, why: &str) -> Option<Failure> {
    let error_type = match mood {
        "well" => return None,
        "shaken" => ErrorType::ToolFailure,
        "stranger" => ErrorType::Config,
        _ => ErrorType::LogicError,
    };
    Some(Failure { error_type, message: format!("{mood}: {why}") })
}

/// What people see of it.
struct DiaryItems;

impl ItemReader for DiaryItems {
    fn line(&mut self, line: &[u8], each: &mut dyn FnMut(StreamItem)) {
        let event = serde_json::from_slice::<Value>(line).unwrap_or_default();
        if let Some(note) = event["note"].as_str() {
            each(StreamItem::Text(note.to_string()));
        }
    }
}
