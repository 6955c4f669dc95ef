//! The property `control`: the names in the drop zone and in `control/`, and the records that the
//! daemon reads back.
//!
//! The same bytes are both, a name in each line, or the text of every record: what is neither is
//! refused quickly.

use std::ffi::{OsStr, OsString};
use std::fmt::Debug;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use gstack_dispatch_daemon::effects::store::{
    OutboxEntry, Request, Store, cancel_request, control_request, is_cancel_name, is_inbox_name,
};
use gstack_dispatch_daemon::pure::attempt::build_report;
use gstack_dispatch_daemon::pure::attempt::record::{
    Accepted, AttemptEnd, AttemptStart, ChildRecord, Moment, StopRecord,
};
use gstack_dispatch_daemon::pure::dispatch::{self, DispatchId};
use gstack_dispatch_daemon::pure::heartbeat::Heartbeat;
use gstack_dispatch_daemon::pure::report::Report;
use gstack_dispatch_daemon::pure::schedule::hold::{HoldLimits, Holds, Saved};
use gstack_dispatch_daemon::pure::text::hex::{name_from_text, name_to_text};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::assert_names_one_folder;
use super::scratch::Scratch;

/// Some moment of today.
const NOW_MS: i64 = 1_775_226_600_123;
/// Longest name in a folder, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// What names a dispatch is a legal id and cannot leave its folder; a record that parses is written
/// as it was read.
pub fn control(data: &[u8]) {
    let names: Vec<&OsStr> =
        data.split(|byte| matches!(byte, 0 | b'/' | b'\n')).filter_map(name).collect();
    names.iter().for_each(|name| check_name(name));
    let is_like_one = |name: &OsStr| {
        let name = name.as_bytes();
        name.starts_with(b"cancel-") || name.starts_with(b"release")
    };
    if names.iter().any(|name| is_like_one(name)) {
        check_requests(&names);
    }
    check_records(data);
}

// ------------------------------------------------------------------------------------------- names

fn name(bytes: &[u8]) -> Option<&OsStr> {
    let is_name = !matches!(bytes, b"" | b"." | b"..") && bytes.len() <= NAME_BYTES_MAX;
    is_name.then(|| OsStr::from_bytes(bytes))
}

fn check_name(name: &OsStr) {
    match cancel_request(name) {
        Some(Request::Cancel(Ok(id))) => {
            assert_names_one_folder(&id);
            assert_eq!(name, OsStr::new(&format!("cancel-{id}")));
        }
        Some(Request::Cancel(Err(text))) => assert_eq!(DispatchId::parse(&text), None),
        Some(other) => panic!("{name:?} is {other:?}"),
        None => {}
    }
    assert!(cancel_request(name).is_none() || is_cancel_name(name), "{name:?} is not looked at");
    if is_inbox_name(name) {
        assert_eq!(name_from_text(&name_to_text(name.as_bytes())), name.as_bytes());
    }
}

/// Each request that is found can be taken back, by what it says; nothing else goes with it.
fn check_requests(names: &[&OsStr]) {
    let scratch = Scratch::new();
    let store = Store::new(scratch.path());
    for dir in [store.drop_zone(), store.control_dir()] {
        fs::create_dir_all(dir).expect("a folder");
    }
    let kept = store.drop_zone().join("dispatch-kept.json");
    fs::write(&kept, b"{}").expect("a file");
    for name in names {
        fs::write(store.control_dir().join(name), b"").expect("a request");
    }
    let mut requests = Vec::new();
    store.scan_control(&mut |name| requests.extend(control_request(&name))).expect("scan");
    for request in requests {
        match request {
            Request::Cancel(id) => {
                let text = id.map_or_else(|text| text, |id| id.to_string());
                store.remove_cancel(&text).expect("remove");
            }
            Request::Release(agent) => store.remove_release(agent.as_deref()).expect("remove"),
            Request::Approve(id) | Request::Deny(id) => store.forget_asked(&id).expect("remove"),
            Request::Pause => assert!(matches!(store.pause(), Ok(Some(_)))),
            Request::Resume => assert!(store.is_resume_asked()),
        }
    }
    store.resume().expect("resume");
    let is_gone =
        |name: OsString| assert_eq!(control_request(&name), None, "{name:?} stands there");
    store.scan_control(&mut { is_gone }).expect("scan");
    assert!(kept.exists());
    for name in names {
        let is_request = |name: &str| {
            let is_of = |begin: &&str| name.starts_with(*begin);
            let begins = ["cancel-", "release-"].iter().any(is_of);
            let verdict = name.strip_prefix("approve-").or_else(|| name.strip_prefix("deny-"));
            let is_verdict = verdict.is_some_and(|id| DispatchId::parse(id).is_some());
            begins || is_verdict || ["pause", "resume", "release"].contains(&name)
        };
        let is_there = store.control_dir().join(name).exists();
        assert_eq!(!is_there, name.to_str().is_some_and(is_request), "{name:?}");
    }
}

// ----------------------------------------------------------------------------------------- records

fn check_records(data: &[u8]) {
    record::<ChildRecord>(data);
    record::<StopRecord>(data);
    record::<Report>(data);
    if let Some(accepted) = record::<Accepted>(data) {
        check_accepted(&accepted);
    }
    if let Some(start) = record::<AttemptStart>(data) {
        check_accepted(&start.accepted);
        for (monotonic_ms, boot_id) in [(0, start.boot_id.clone()), (i64::MAX, "another".into())] {
            let _ = Moment { at_ms: NOW_MS, monotonic_ms, boot_id }.ms_since(&start.first);
        }
        let _ = dispatch::parse(start.dispatch.as_bytes(), 0, &dispatch::AGENTS);
    }
    if let Some(end) = record::<AttemptEnd>(data) {
        check_end(end);
    }
    if let Some(saved) = record::<Saved>(data) {
        check_holds(saved);
    }
    record::<Heartbeat>(data);
    if let Some(entry) = record::<OutboxEntry>(data) {
        check_outbox(data, &entry);
    }
}

/// Written and read again it is the same.
fn record<T: DeserializeOwned + Serialize + PartialEq + Debug>(data: &[u8]) -> Option<T> {
    let read: T = serde_json::from_slice(data).ok()?;
    let written = serde_json::to_vec(&read).expect("a record can be written");
    let again: T = serde_json::from_slice(&written).expect("what we wrote can be read");
    assert_eq!(again, read, "{}", String::from_utf8_lossy(&written));
    Some(read)
}

fn check_accepted(accepted: &Accepted) {
    let _ = (accepted.inbox_name(), accepted.at_ms());
}

fn check_end(end: AttemptEnd) {
    const DISPATCH: &[u8] =
        br#"{"id":"dispatch-a","dispatched_by":"o","task":"t","project":"p","project_dir":"~/p"}"#;
    let _ = end.next.wait_ms(NOW_MS);
    let dispatch = dispatch::parse(DISPATCH, 0, &dispatch::AGENTS).expect("valid");
    let report = build_report::from_attempts(&dispatch, Vec::new(), end, String::new());
    serde_json::to_vec(&report).expect("a report can be written");
}

/// No file can hold an agent back for longer than the settings allow.
fn check_holds(saved: Saved) {
    let limits = HoldLimits { max_ms: 1000, probe_ms: 100 };
    let mut holds = Holds::restore(limits, saved, &dispatch::AGENTS, NOW_MS);
    assert!(holds.list().iter().all(|hold| hold.until_ms <= NOW_MS + limits.max_ms));
    for agent in dispatch::AGENTS {
        assert!(holds.admits(agent, NOW_MS + limits.max_ms), "{agent} is held for too long");
    }
    let id = DispatchId::parse("dispatch-a").expect("an id");
    holds.let_through(&id, "claude", "/p", NOW_MS);
    holds.gone(&id);
    record::<Saved>(&serde_json::to_vec(&holds.save(NOW_MS)).expect("written"));
    holds.release(None);
    assert!(holds.is_empty());
}

/// An entry is the one that its file's name says, and it goes when it is answered; whatever it
/// holds, no other file does.
fn check_outbox(data: &[u8], entry: &OutboxEntry) {
    let scratch = Scratch::new();
    let store = Store::new(scratch.path());
    let outbox = scratch.path().join("dispatchd/outbox");
    fs::create_dir_all(&outbox).expect("the outbox");
    fs::write(outbox.join("dispatch-other.damaged"), b"kept").expect("a file");
    let before = scratch.tree();
    let id = DispatchId::parse(&entry.dispatch_id);
    let name = id.as_ref().map_or("dispatch-a", |id| id.as_str());
    fs::write(outbox.join(format!("{name}.json")), data).expect("an entry");
    for id in store.list_outbox().expect("list") {
        let Some(entry) = store.read_outbox(&id).expect("read") else { continue };
        assert_eq!(entry.dispatch_id, name, "the entry of another dispatch");
        store.update_outbox(&entry).expect("update");
        assert_eq!(store.list_outbox().expect("list"), std::slice::from_ref(&id));
        assert_eq!(store.read_outbox(&id).expect("read"), Some(entry.clone()));
        store.remove_outbox(&entry).expect("remove");
    }
    assert_eq!(store.list_outbox().expect("list"), []);
    if id.is_some() {
        assert_eq!(scratch.tree(), before);
    }
}
