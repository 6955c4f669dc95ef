//! The secrets that this process has read, so that none of them gets into a text of ours.
//!
//! Whoever reads a key or a token calls [`hold`] with it, before anything else is done with it.
//! Everything that we write for others goes through [`redact`] or [`redact_json`] last of all: the
//! log, the audit log, the heartbeat, reports and records. Only what others wrote is kept as it is.
//! A secret that was replaced stays held, since texts of before may still come.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use crate::pure::text::redact::Held;

static HELD: RwLock<Held> = RwLock::new(Held::new());

/// Hides this secret, by value, in every text from now on. It costs little to say it again.
pub fn hold(secret: &str) {
    if !held().has(secret) {
        HELD.write().unwrap_or_else(PoisonError::into_inner).add(secret);
    }
}

/// The text without secrets.
pub fn redact(text: &str) -> String {
    held().redact(text)
}

/// The same for JSON: in each of its texts.
pub fn redact_json(text: &str) -> String {
    held().redact_json(text)
}

/// The same for JSON as bytes.
pub fn redact_json_bytes(json: Vec<u8>) -> Vec<u8> {
    match String::from_utf8(json) {
        Ok(text) => redact_json(&text).into_bytes(),
        // JSON is UTF-8; nothing can be told of anything else.
        Err(_) => Vec::new(),
    }
}

fn held() -> RwLockReadGuard<'static, Held> {
    HELD.read().unwrap_or_else(PoisonError::into_inner)
}

/// Lets nobody read this process: it leaves no core, and a session of the same user sees neither
/// its environment nor its memory in /proc. An exec ends that, so that the programs that we start
/// can be looked at.
#[cfg(target_os = "linux")]
pub fn shut_memory() -> std::io::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Elsewhere a limit says that there is no core.
#[cfg(not(target_os = "linux"))]
pub fn shut_memory() -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_held_once_is_hidden_in_texts_and_in_json() {
        let secret = "correct horse battery";
        assert_eq!(redact("a correct horse battery b"), "a correct horse battery b");
        hold(secret);
        hold("correct horse battery\n");
        assert_eq!(redact("a correct horse battery b"), "a [redacted] b");
        let json = redact_json_bytes(br#"{"n":1.50,"why":"no correct horse battery"}"#.to_vec());
        assert_eq!(json, br#"{"n":1.50,"why":"no [redacted]"}"#);
    }
}
