//! Requests as files: `cancel-<id>` in the drop zone or in `control/`; `pause`, `resume`, `release`
//! and `release-<agent>` in `control/` only, since the drop zone may belong to an orchestrator that
//! should not be able to stop or drive the daemon.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::effects::error::{At, Result};
use crate::effects::store::Store;
use crate::effects::store::disk::files::{self, Record};
use crate::effects::store::disk::identity;
use crate::pure::attempt::record::Identity;
use crate::pure::dispatch::DispatchId;
use crate::pure::schedule::pause::Pause;

/// More than any time takes.
const PAUSE_BYTES_MAX: u64 = 100;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The `Err` is what was typed, if that is no id: such a file is removed when its time is over.
    Cancel(std::result::Result<DispatchId, String>),
    /// A person's yes to a dispatch that waits for it.
    Approve(DispatchId),
    Deny(DispatchId),
    Pause,
    Resume,
    /// Holds are to end: all of them, or those of one agent.
    Release(Option<String>),
}

impl Request {
    /// The name of its file.
    pub fn name(&self) -> String {
        match self {
            Request::Cancel(Ok(id)) => format!("cancel-{id}"),
            Request::Cancel(Err(text)) => format!("cancel-{text}"),
            Request::Approve(id) => format!("approve-{id}"),
            Request::Deny(id) => format!("deny-{id}"),
            Request::Pause => "pause".into(),
            Request::Resume => "resume".into(),
            Request::Release(None) => "release".into(),
            Request::Release(Some(agent)) => format!("release-{agent}"),
        }
    }
}

pub fn is_cancel_name(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b"cancel-")
}

/// Parses `cancel-<id>`. A name that is no text is no request: it names no dispatch, and could not
/// be removed by what it says.
pub fn cancel_request(name: &OsStr) -> Option<Request> {
    let id = name.to_str()?.strip_prefix("cancel-")?;
    Some(Request::Cancel(DispatchId::parse(id).ok_or_else(|| id.into())))
}

/// What the name of a file in `control/` asks for.
pub fn control_request(name: &OsStr) -> Option<Request> {
    match name.to_str() {
        Some("pause") => Some(Request::Pause),
        Some("resume") => Some(Request::Resume),
        Some("release") => Some(Request::Release(None)),
        Some(name) if name.starts_with("release-") => {
            name.strip_prefix("release-").map(|agent| Request::Release(Some(agent.into())))
        }
        Some(name) => verdict(name).or_else(|| cancel_request(OsStr::new(name))),
        None => None,
    }
}

fn verdict(name: &str) -> Option<Request> {
    let of = |begin| name.strip_prefix(begin).and_then(DispatchId::parse);
    of("approve-").map(Request::Approve).or_else(|| of("deny-").map(Request::Deny))
}

impl Store {
    /// Calls `each` with every name in `control/`.
    pub fn scan_control(&self, each: &mut dyn FnMut(OsString)) -> Result<()> {
        for entry in files::list(&self.control)? {
            each(entry.at("read", &self.control)?.file_name());
        }
        Ok(())
    }

    pub fn is_release_asked(&self, agent: Option<&str>) -> bool {
        is_request(&self.release_path(agent))
    }

    pub fn control_dir_identity(&self) -> Result<Identity> {
        Ok(identity::of_path(&self.control).at("look at", &self.control)?.identity)
    }

    /// Removes a release request, once the end of the holds is on record.
    pub fn remove_release(&self, agent: Option<&str>) -> Result<()> {
        let path = self.release_path(agent);
        if is_request(&path) { files::remove(&path) } else { Ok(()) }
    }

    fn release_path(&self, agent: Option<&str>) -> PathBuf {
        let name = agent.map_or("release".into(), |agent| format!("release-{agent}"));
        self.control.join(name)
    }

    /// `id` is what stood behind `cancel-`, and may be no id.
    pub fn is_cancel_asked(&self, id: &str) -> bool {
        self.cancel_paths(id).iter().any(|path| is_request(path))
    }

    /// Removes a cancel request that is on record, or whose time is over.
    pub fn remove_cancel(&self, id: &str) -> Result<()> {
        self.cancel_paths(id)
            .iter()
            .filter(|path| is_request(path))
            .try_for_each(|p| files::remove(p))
    }

    fn cancel_paths(&self, id: &str) -> [PathBuf; 2] {
        let name = format!("cancel-{id}");
        [self.dispatch.join(&name), self.control.join(&name)]
    }

    /// Whether a pause is asked for, over or not.
    pub fn is_paused(&self) -> bool {
        is_request(&self.control.join("pause"))
    }

    /// The pause that is asked for, if one is: its file stays as long as it lasts, so that a
    /// restart changes nothing.
    pub fn pause(&self) -> Result<Option<Pause>> {
        let path = self.control.join("pause");
        if !self.is_paused() {
            return Ok(None);
        }
        Ok(match files::read(&path, PAUSE_BYTES_MAX)? {
            Record::Read(bytes) => Some(Pause::read(&String::from_utf8_lossy(&bytes))),
            Record::Unreadable => Some(Pause::UntilResumed),
            Record::Absent => None,
        })
    }

    pub fn is_resume_asked(&self) -> bool {
        is_request(&self.control.join("resume"))
    }

    /// Ends a pause that was asked to end, or is over. The request goes last, so that a crash in
    /// between repeats it.
    pub fn resume(&self) -> Result<()> {
        files::remove(&self.control.join("pause"))?;
        files::remove(&self.control.join("resume"))
    }
}

/// Whether a plain file has that name. Nothing else is a request: neither a directory, which could
/// not be removed like one, nor a link.
fn is_request(path: &Path) -> bool {
    identity::of_path(path).is_ok_and(|stamp| stamp.is_plain_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn a_cancel_file_whose_name_is_no_text_is_no_request() {
        let id = DispatchId::parse("dispatch-a").expect("an id");
        for (name, want) in [
            (&b"cancel-dispatch-a"[..], Some(Request::Cancel(Ok(id)))),
            (b"cancel-x", Some(Request::Cancel(Err("x".into())))),
            (b"cancel-dispatch-\xff", None),
            (b"cancel", None),
        ] {
            assert_eq!(cancel_request(OsStr::from_bytes(name)), want, "{}", name.escape_ascii());
        }
    }
}
