//! What must hold of any bytes at all, as plain functions that panic where it does not: what stands
//! in a dispatch file, in an agent's stream, in the audit log, in the small files that the daemon
//! reads back, in `config.json`.
//!
//! Shared by the fuzz targets beside it (`make fuzz`) and by `tests/it/fuzzed.rs`, which replays
//! the corpus with every `cargo test`. They see the crate from outside, like any other user of it,
//! and touch no file but in a scratch folder.

mod records;
mod scratch;
mod signatures;
mod spelled;

use std::fs;
use std::path::{Path, PathBuf};

use gstack_dispatch_daemon::effects::store::{Rotation, Store};
use gstack_dispatch_daemon::pure::agent::lines::{COMPACT_BYTES_MAX, LINE_BYTES_MAX, Lines};
use gstack_dispatch_daemon::pure::agent::{self, Driver, Summary, Transcript};
use gstack_dispatch_daemon::pure::attempt::build_report;
use gstack_dispatch_daemon::pure::attempt::limits::{StopCause, StopLimits};
use gstack_dispatch_daemon::pure::attempt::outcome::{Evidence, Exit, classify};
use gstack_dispatch_daemon::pure::audit_event::{AuditEvent, AuditLine};
use gstack_dispatch_daemon::pure::config::{self, SETTINGS, Settings, strict_json, terms};
use gstack_dispatch_daemon::pure::dispatch as dispatches;
use gstack_dispatch_daemon::pure::dispatch::prompt::{self, Learnings};
use gstack_dispatch_daemon::pure::dispatch::{DispatchId, TTL_SECONDS_DEFAULT, TTL_SECONDS_MAX};
use gstack_dispatch_daemon::pure::report::{ERROR_CHARS_MAX, Status};
use gstack_dispatch_daemon::pure::text::{clip, escape};
use gstack_dispatch_daemon::pure::upkeep::rotation;
use serde_json::Value;

pub use records::control;
use scratch::Scratch;

// ---------------------------------------------------------------------------------------- dispatch

const TTL_SECONDS_MIN: u64 = 60;
/// Of a rejection, in characters: it goes into the log, the audit log and `reason.json` as it is.
const REJECTION_CHARS_MAX: usize = 2 * ERROR_CHARS_MAX;

/// A dispatch file's bytes are a dispatch that is safe to run, or are refused with a reason that is
/// safe to show.
pub fn dispatch(data: &[u8]) {
    signatures::signature(data);
    let parsed = dispatches::parse(data, TTL_SECONDS_MIN, &dispatches::AGENTS);
    assert_eq!(
        parsed,
        dispatches::parse(data, TTL_SECONDS_MIN, &dispatches::AGENTS),
        "the same bytes, the same verdict"
    );
    match parsed {
        Ok(dispatch) => {
            assert_names_one_folder(&dispatch.id);
            spelled::retried(data, &dispatch, TTL_SECONDS_MIN);
            let ttl = dispatch.ttl_seconds;
            let is_legal = (TTL_SECONDS_MIN..=TTL_SECONDS_MAX).contains(&ttl);
            assert!(is_legal || ttl == TTL_SECONDS_DEFAULT, "ttl_seconds {ttl}");
            assert!(dispatches::AGENTS.contains(&dispatch.target_agent));
            let ours = format!("Load gstack. Dispatch ID: {}. Task: ", dispatch.id);
            for learnings in [Learnings::Include, Learnings::Omit] {
                let prompt = prompt::first(&dispatch, learnings);
                assert!(prompt.starts_with(&ours) && !prompt.contains('\0'), "{prompt:?}");
            }
            assert!(!prompt::resume(&dispatch).is_empty());
        }
        Err(rejection) => {
            let shown = escape::line(&rejection.error);
            assert!(!shown.trim().is_empty() && !shown.contains(['\n', '\r', '\x1b']), "{shown:?}");
            let length = rejection.error.chars().count();
            assert!(length <= REJECTION_CHARS_MAX, "{length} characters: {shown:.200}");
            let Some(id) = rejection.id else { return };
            assert!(rejection.reason.answers_sender(), "{:?} names {id}", rejection.reason);
            assert_names_one_folder(&id);
            let report = build_report::to_rejection(&id, &rejection.error, 0);
            assert_is_an_error(report.error.as_deref());
        }
    }
}

/// Legal, and one name in whatever folder it is put.
pub(crate) fn assert_names_one_folder(id: &DispatchId) {
    assert_eq!(DispatchId::parse(id.as_str()).as_ref(), Some(id));
    let path = std::path::Path::new("/folder").join(format!("{id}.json"));
    assert_eq!(path.parent(), Some("/folder".as_ref()), "{id}");
    assert!(!path.components().any(|part| part == std::path::Component::ParentDir), "{id}");
    assert!(id.as_str().len() < 200 && id.as_str().is_ascii());
}

fn assert_is_an_error(error: Option<&str>) {
    let error = error.expect("an error");
    let length = error.chars().count();
    assert!((1..=ERROR_CHARS_MAX).contains(&length), "{length} characters: {error:.200}");
    assert!(!error.contains(char::is_control), "{error:?}");
}

// ------------------------------------------------------------------------------------------ stream

/// A stream says the same however it is cut; what is kept of it is bounded; a session that
/// completed has no error.
///
/// If it begins with `\x01`, then `\x01 N UNIT \x02` in the rest is the unit 64 N times over, so
/// that a small input reaches the limits of long lines.
pub fn stream(data: &[u8]) {
    match data.strip_prefix(b"\x01") {
        Some(rest) => check_stream(&stretched(rest)),
        None => check_stream(data),
    }
}

fn check_stream(data: &[u8]) {
    agent::DRIVERS.iter().for_each(|driver| check_stream_of(driver, data));
    assert_lines(data);
}

fn check_stream_of(driver: &'static Driver, data: &[u8]) {
    let mut whole = Transcript::new(driver);
    whole.feed(data);
    let mut summary = whole.finish();
    let mut in_pieces = Transcript::new(driver);
    for piece in pieces(data) {
        in_pieces.feed(piece);
    }
    assert_eq!(in_pieces.finish(), summary, "fed in pieces, and whole");
    assert_bounded(&summary);
    assert_endings(driver, data, &summary);
    // What a session can write into its stream it can write into its record.
    if let Some(record) = driver.own_record {
        (record.places)(&summary, &|_| Some("/home/u".into()));
        (record.read)(data, &mut summary);
        assert_bounded(&summary);
        assert_endings(driver, data, &summary);
    }
}

/// Most bytes of a stream that was stretched: beyond the last limit of a line, and not much more.
const STRETCHED_BYTES_MAX: usize = COMPACT_BYTES_MAX + 128 * 1024;

fn stretched(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = data;
    while let Some(at) = rest.iter().position(|byte| *byte == 1) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        let Some((count, after)) = rest.split_first() else { break };
        let end = after.iter().position(|byte| *byte == 2).unwrap_or(after.len());
        let room = STRETCHED_BYTES_MAX.saturating_sub(out.len()) / end.max(1);
        out.extend_from_slice(&after[..end].repeat(room.min(usize::from(*count) * 64)));
        rest = after.get(end + 1..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out
}

/// Cut where the bytes themselves say: mostly small pieces of a short input, larger ones of a long
/// one.
fn pieces(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    let mut state = data.iter().fold(0xcbf2_9ce4_8422_2325, fold) | 1;
    let longest = (data.len() as u64 / 16).max(8);
    let mut rest = data;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let length = usize::try_from(state % longest).unwrap_or_default().min(rest.len());
        let (piece, after) = rest.split_at(length);
        rest = after;
        Some(piece)
    })
}

/// Short lines come through as they are; long ones bounded or not at all.
fn assert_lines(data: &[u8]) {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut splitter = Lines::new();
    let mut keep = |line: &[u8]| lines.push(line.to_vec());
    pieces(data).for_each(|piece| splitter.feed(piece, &mut keep));
    let skipped = splitter.finish(&mut keep);
    assert!(lines.iter().all(|line| line.len() <= COMPACT_BYTES_MAX), "a line that is too long");
    if data.split(|byte| *byte == b'\n').all(|line| line.len() <= LINE_BYTES_MAX) {
        let plain = data.split(|byte| *byte == b'\n').map(|l| l.strip_suffix(b"\r").unwrap_or(l));
        let plain = plain.filter(|line| line.iter().any(|byte| *byte > b' '));
        assert!(plain.eq(lines.iter()) && skipped.too_long == 0, "short lines are not touched");
    }
}

/// The limits that `pure::agent` names.
fn assert_bounded(summary: &Summary) {
    let words = [
        &summary.session_id,
        &summary.model,
        &summary.agent_version,
        &summary.last_tool,
        &summary.assistant_error,
    ];
    let is_word = |word: &String| word.len() <= agent::WORD_BYTES_MAX;
    assert!(words.into_iter().flatten().all(is_word), "a word that is too long");
    if let Some(id) = &summary.session_id {
        let is_plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        assert!(is_plain && !id.is_empty() && !id.starts_with('-'), "{id} may become an argument");
    }
    assert!(summary.pull_request.as_ref().is_none_or(|pr| pr.starts_with("https://github.com/")));
    assert!(summary.broken_lines <= summary.lines);
    let is_text =
        |text: &Option<String>| text.as_ref().is_none_or(|t| t.len() <= agent::RESULT_BYTES_MAX);
    assert!(is_text(&summary.last_text));
    let lines = summary.notes.iter().chain(&summary.last_error);
    assert!(lines.clone().all(|line| line.chars().count() <= 2 * ERROR_CHARS_MAX));
    assert!(lines.count() <= 10, "{} notes", summary.notes.len());
    let Some(result) = &summary.result else { return };
    assert!(is_text(&result.text));
    let message = result.failure.as_ref().map_or(0, |failure| failure.message.chars().count());
    assert!(message <= ERROR_CHARS_MAX, "an error of {message} characters");
    assert!(result.denials.len() <= agent::DENIALS_MAX.min(result.denials_total));
    for denial in &result.denials {
        let length = denial.input.as_ref().map_or(0, |input| input.chars().count());
        assert!(length <= agent::DENIAL_INPUT_CHARS_MAX && is_word(&denial.tool_name));
    }
    let usage = result.usage.as_ref().map_or(0, |usage| usage.to_string().len());
    assert!(usage <= agent::USAGE_BYTES_MAX, "{usage} bytes of usage");
}

const STOPS: [Option<StopCause>; 11] = [
    None,
    Some(StopCause::Ttl),
    Some(StopCause::Cancelled),
    Some(StopCause::Shutdown),
    Some(StopCause::Stalled),
    Some(StopCause::StartTimeout),
    Some(StopCause::OutputLimit),
    Some(StopCause::ResultGrace),
    Some(StopCause::TmpLimit),
    Some(StopCause::QueueTimeout),
    Some(StopCause::Unanswered),
];

fn assert_endings(driver: &'static Driver, data: &[u8], summary: &Summary) {
    let exits = [
        None,
        Some(Exit::default()),
        Some(Exit { code: Some(0), signal: None }),
        Some(Exit { code: Some(1), signal: None }),
        Some(Exit { code: Some(143), signal: None }),
        // Codes that mean something to a driver.
        Some(Exit { code: Some(42), signal: None }),
        Some(Exit { code: Some(173), signal: None }),
        Some(Exit { code: None, signal: Some(9) }),
    ];
    let limits = StopLimits::default();
    let stderr = String::from_utf8_lossy(&data[data.len().saturating_sub(1000)..]);
    for (stop, exit) in STOPS.into_iter().flat_map(|stop| exits.map(|exit| (stop, exit))) {
        let ending = classify(&Evidence {
            clawvisor_task: "",
            driver,
            stop,
            ttl_seconds: 3600,
            limits: &limits,
            exit,
            summary,
            launcher: None,
            stdout_bytes: data.len() as u64,
            stderr_tail: &stderr,
        });
        let completed = ending.status == Status::Completed;
        assert_eq!(completed, ending.error_type.is_none(), "{stop:?} {exit:?}: {ending:?}");
        assert_eq!(completed, ending.error.is_none(), "{stop:?} {exit:?}: {ending:?}");
        if completed {
            assert!(summary.result.as_ref().is_some_and(|result| result.failure.is_none()));
        } else {
            assert_is_an_error(ending.error.as_deref());
        }
    }
}

// ------------------------------------------------------------------------------------------- audit

/// What stands in the audit log stays as it is, and is read as far as it is known; what we add is
/// one whole line each.
pub fn audit(data: &[u8]) {
    let scratch = Scratch::new();
    let folder = scratch.path().join("dispatch");
    fs::create_dir(&folder).expect("the drop zone");
    let log = folder.join("audit.jsonl");
    fs::write(&log, data).expect("an old log");
    String::from_utf8_lossy(data).lines().for_each(check_line);
    let store = Store::new(scratch.path());
    // Some of them put the log aside while it is written; nothing of it may go.
    let max_bytes = data.first().map_or(0, |first| u64::from(first % 4) * 150);
    let text = String::from_utf8_lossy(&data[..data.len().min(200)]).into_owned();
    for opened in 1..=2 {
        let audit = store.open_audit(Rotation { max_bytes, keep: 1000 }).expect("open");
        audit.tell(
            &text,
            &AuditEvent::Spawned {
                project: text.clone(),
                retry: 0,
                attempt: opened,
                session_id: text.clone(),
            },
        );
        audit.follow();
        audit.tell("", &AuditEvent::ConfigRefused { error: text.clone() });
    }
    let all = scratch::numbered(&log);
    let added = all.strip_prefix(data).expect("what stood there still does");
    let torn = rotation::is_torn(&data[data.len().saturating_sub(4096)..]);
    let added =
        if torn { added.strip_prefix(b"\n").expect("the torn line is closed") } else { added };
    let added = std::str::from_utf8(added).expect("UTF-8");
    assert!(added.ends_with('\n'), "the last line is whole");
    let lines: Vec<AuditLine> = added.lines().map(AuditLine::read).collect();
    let of = |word: &str| lines.iter().filter(|line| line.word == word).count();
    assert_eq!(of("audit_tail_repaired"), usize::from(torn));
    assert_eq!((of("spawned"), of("config_refused")), (2, 2));
    assert_eq!(lines.len(), 4 + usize::from(torn) + of("audit_rotated"));
    let says = |line: &&AuditLine| match &line.event {
        Some(AuditEvent::Spawned { project, session_id, .. }) => {
            [&line.dispatch_id, project, session_id] == [&text; 3]
        }
        Some(AuditEvent::ConfigRefused { error }) => *error == text,
        _ => false,
    };
    assert_eq!(lines.iter().filter(says).count(), 4, "the lines say what was told");
}

/// An event that is known is written as the line that it was read from says.
fn check_line(text: &str) {
    let read = AuditLine::read(text);
    assert_eq!(read.text, text);
    if let Some(event) = read.event {
        let line = event.line("", &read.dispatch_id);
        let again = AuditLine::read(line.trim_end());
        assert_eq!((again.word, again.dispatch_id), (read.word, read.dispatch_id));
        assert_eq!(again.event, Some(event));
    }
}

// ------------------------------------------------------------------------------------------ config

/// Longest text that is tried as a setting's value.
const TEXT_BYTES_MAX: usize = 2000;

/// A `config.json` is taken as it is, or refused with the key that is wrong.
pub fn config(data: &[u8]) {
    if let Ok(value) = strict_json::parse(data) {
        assert_eq!(serde_json::from_slice::<Value>(data).ok().as_ref(), Some(&value));
        let mut settings = Settings::default();
        match config::apply_config(&mut settings, &value) {
            Ok(()) => {
                let first = settings.clone();
                config::apply_config(&mut settings, &value).expect("it was applied before");
                assert_eq!(settings, first, "applied again");
                assert_sensible(&settings);
            }
            Err(error) => {
                assert_names_a_key(&error, &value);
                if value.is_object() {
                    spelled::told_with_its_line(data, &error);
                }
            }
        }
    }
    if data.len() > TEXT_BYTES_MAX {
        return;
    }
    // Flags and variables have the same settings as text.
    let text = Value::String(String::from_utf8_lossy(data).into_owned());
    for setting in SETTINGS {
        let (mut once, mut twice) = (Settings::default(), Settings::default());
        let applied = setting.apply(&mut once, &text);
        for _ in 0..2 {
            assert_eq!(setting.apply(&mut twice, &text), applied, "{}", setting.key);
        }
        assert_eq!(once, twice, "{}", setting.key);
        assert_sensible(&once);
    }
}

fn assert_names_a_key(error: &str, value: &Value) {
    let Some(entries) = value.as_object() else {
        return assert_eq!(error, "it must hold one JSON object");
    };
    let named = |key: &String| {
        let is_known = SETTINGS.iter().any(|setting| setting.key == key);
        let says = error.strip_prefix(key.as_str()).and_then(|rest| rest.strip_prefix(": "));
        // An unknown one may be long, and is shown in one line.
        let shown = clip::one_line(key, 100);
        let unknown = error.strip_prefix("unknown setting ").and_then(|e| e.strip_prefix(&*shown));
        match is_known {
            true => says.is_some_and(|what| !what.is_empty()),
            false => unknown.is_some_and(|hint| hint.is_empty() || hint.starts_with(" (did you")),
        }
    };
    assert!(entries.keys().any(named), "{error} names no key of {value}");
}

/// What the loops of the program rely on.
fn assert_sensible(settings: &Settings) {
    assert!(settings.max_concurrent >= 1 && settings.audit_keep >= 1);
    for pause in [settings.heartbeat, settings.poll, settings.trouble_pause, settings.probe] {
        assert!(pause.as_millis() >= 10, "a busy loop: {pause:?}");
    }
    assert!(settings.callback_delays.last().is_some_and(|last| last.as_millis() >= 100));
    let forms = |key: &str| [PathBuf::from(key), PathBuf::from("/p").join(key)];
    for dir in ["/", "/p/q", ""].map(Path::new) {
        let own = terms::project(settings, dir, &forms).map(|(_, own)| own);
        let terms = terms::terms(settings, own, "claude");
        let is_option = |text: &String| text.starts_with('-');
        assert!(!terms.allow_tools.iter().any(is_option) && !terms.model.iter().any(is_option));
        let verify = terms::verify(settings, dir, "shop", &forms);
        assert!(verify.is_none_or(|(_, verify)| !verify.argv[0].is_empty()));
    }
}
