//! Recognises names that lie where dispatches or requests are dropped and will never be looked at:
//! whoever made them waits in vain, and should be told. Our own names and hidden ones are passed
//! over in silence.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::inbox::is_inbox_name;
use super::requests::{Request, control_request};

/// Why a name in the drop zone is ignored for ever. `None` if it is not ignored, or is ours.
pub fn ignored_in_drop_zone(name: &OsStr) -> Option<&'static str> {
    let bytes = name.as_bytes();
    let is_ours = bytes.starts_with(b".")
        || bytes.starts_with(b"audit.jsonl")
        || bytes == b"completed"
        || is_inbox_name(name);
    if is_ours {
        return None;
    }
    if bytes.starts_with(b"cancel-") {
        return ignored_cancel(name);
    }
    Some("the name of a dispatch begins with `dispatch-` and ends with `.json`")
}

/// Why a name in `control/` is ignored for ever.
pub fn ignored_in_control(name: &OsStr) -> Option<&'static str> {
    match control_request(name) {
        _ if name.as_bytes().starts_with(b".") => None,
        None => Some("it is no request that the daemon knows"),
        Some(Request::Cancel(_)) => ignored_cancel(name),
        Some(Request::Approve(_) | Request::Deny(_) | Request::Release(_)) => None,
        Some(Request::Pause | Request::Resume) => None,
    }
}

fn ignored_cancel(name: &OsStr) -> Option<&'static str> {
    match control_request(name) {
        Some(Request::Cancel(Ok(_))) => None,
        _ => Some("what follows `cancel-` is no id of a dispatch"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_will_ever_look_at_is_named_and_nothing_else_is() {
        for (name, drop_zone, control) in [
            (&b"dispatch-x.json"[..], false, true),
            (b"dispatch-\xff.json", false, true),
            (b"dispatch-x.JSON", true, true),
            (b"x.json", true, true),
            (b"dispatch-x", true, true),
            (b"Dispatch-x.json", true, true),
            (b"completed", false, true),
            (b"audit.jsonl", false, true),
            (b"audit.jsonl.1", false, true),
            (b".daemon-heartbeat", false, false),
            (b".tmp.x", false, false),
            (b".aside-dispatch-x-1", false, false),
            (b"cancel-dispatch-x", false, false),
            (b"cancel-x", true, true),
            (b"cancel-", true, true),
            (b"cancel-dispatch-\xff", true, true),
            (b"cancel-dispatch-a b", true, true),
            (b"pause", true, false),
            (b"resume", true, false),
            (b"release", true, false),
            (b"release-claude", true, false),
            (b"approve-dispatch-x", true, false),
            (b"deny-dispatch-x", true, false),
            (b"approve-x", true, true),
            (b"stop", true, true),
        ] {
            let os = OsStr::from_bytes(name);
            let got = (ignored_in_drop_zone(os).is_some(), ignored_in_control(os).is_some());
            assert_eq!(got, (drop_zone, control), "{}", name.escape_ascii());
        }
    }
}
