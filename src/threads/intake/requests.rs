//! Requests as files: cancel, pause, resume, release. A cancel file stays until its dispatch is
//! answered, so that a crash repeats it; one whose dispatch never came goes after a while.
//!
//! An event is one name, and only that is looked at: thousands of requests must not each cost a
//! look at all of them. Whoever calls has asked for the lock, since a request to another daemon
//! must not be taken away from it.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Intake;
use super::ignored::Ignored;
use super::ledger::Ledger;
use crate::effects::clock;
use crate::effects::error::Result;
use crate::effects::store::{IdOwner, Request, cancel_request, control_request};
use crate::pure::audit_event::AuditEvent;
use crate::pure::dispatch::DispatchId;
use crate::pure::schedule::pause::Pause;
use crate::pure::text::time::rfc3339;
use crate::pure::upkeep::health::Subsystem;
use crate::threads::shared::context::Context;

/// Since when cancels of unknown dispatches stand on disk. Only the disk says whether they still
/// do.
pub(super) struct Requests<'c> {
    context: &'c Context,
    waiting: HashMap<String, Instant>,
    /// The same cancels, the oldest first.
    by_age: BTreeSet<(Instant, String)>,
    pause: Option<Pause>,
}

/// The requests that stand on disk, but for those about the pause.
#[derive(Default)]
struct StandingRequests {
    /// What stands behind `cancel-`.
    cancels: BTreeSet<String>,
    /// Releases, verdicts, and names in `control/` that are no requests.
    others: Vec<OsString>,
}

impl<'c> Requests<'c> {
    pub fn new(context: &'c Context) -> Requests<'c> {
        Requests { context, waiting: HashMap::new(), by_age: BTreeSet::new(), pause: None }
    }

    /// When the first cancel has waited long enough.
    pub fn next_due(&self) -> Option<Instant> {
        let (since, _) = self.by_age.first()?;
        Some(*since + self.context.settings().cancel_keep)
    }

    /// The cancel that has waited longest, if its time is over.
    pub fn overdue_cancel(&self) -> Option<String> {
        let is_over = self.next_due().is_some_and(|due| Instant::now() >= due);
        if !is_over || !self.context.has_lock() {
            return None;
        }
        self.by_age.first().map(|(_, id)| id.clone())
    }

    /// Begins to count how long a cancel waits, if nobody has. Gives since when it waits.
    fn wait(&mut self, id: &str) -> Instant {
        if let Some(since) = self.waiting.get(id) {
            return *since;
        }
        let now = Instant::now();
        self.waiting.insert(id.into(), now);
        self.by_age.insert((now, id.into()));
        now
    }

    /// A cancel waits no longer.
    pub fn forget(&mut self, id: &str) {
        if let Some(since) = self.waiting.remove(id) {
            self.by_age.remove(&(since, id.to_string()));
        }
    }

    /// Reads the requests on disk. An error comes with what was read before it.
    fn scan(&self) -> (StandingRequests, Result<()>) {
        let (mut found, mut control) = (StandingRequests::default(), Vec::new());
        let store = &self.context.store;
        let scanned = store.scan_control(&mut |name| control.push(name)).and_then(|()| {
            store.scan_drop_zone(&mut |name, _| {
                if let Some(Request::Cancel(id)) = cancel_request(&name) {
                    found.cancels.insert(text_of(id));
                }
            })
        });
        for name in control {
            match control_request(&name) {
                // A cancel that stands in both places is one.
                Some(Request::Cancel(id)) => drop(found.cancels.insert(text_of(id))),
                Some(Request::Pause | Request::Resume) => {}
                Some(Request::Release(_) | Request::Approve(_) | Request::Deny(_)) | None => {
                    found.others.push(name);
                }
            }
        }
        // A cancel that was taken back is looked at too, and waits no longer.
        found.cancels.extend(self.waiting.keys().cloned());
        (found, scanned)
    }

    /// Pauses the daemon, or ends the pause, as the files and the clock say. Gives whether that
    /// changed anything.
    fn follow_pause(&mut self) -> bool {
        let store = &self.context.store;
        let pause = store.pause().unwrap_or_else(|e| {
            log::error!("{e}");
            self.pause
        });
        let is_over = pause.is_some_and(|pause| pause.is_over(clock::unix_ms()));
        let ends = is_over || store.is_resume_asked();
        if ends && let Err(e) = store.resume() {
            log::error!("{e}");
        }
        // A pause that is over is over, whatever becomes of its file.
        let stays = |_: &Pause| !is_over && !matches!(store.pause(), Ok(None));
        let pause = if ends { pause.filter(stays) } else { pause };
        let before = std::mem::replace(&mut self.pause, pause);
        let paused = pause.is_some();
        if self.context.paused.swap(paused, Ordering::AcqRel) != paused {
            let event = if paused { AuditEvent::Paused } else { AuditEvent::Resumed };
            self.context.audit.tell("", &event);
            match pause.map(|pause| pause.until_ms().map(rfc3339)) {
                Some(Some(until)) => log::info!("paused until {until}"),
                Some(None) => log::info!("paused"),
                None => log::info!("resumed"),
            }
            return true;
        }
        before != pause
    }

    /// When the pause ends, in milliseconds since 1970, if it ends by itself.
    pub fn paused_until_ms(&self) -> Option<i64> {
        self.pause?.until_ms()
    }

    /// The same as a time to wake up at.
    pub fn pause_end(&self) -> Option<Instant> {
        if self.context.level.is_lost() {
            return None;
        }
        let left_ms = self.paused_until_ms()? - clock::unix_ms();
        Instant::now().checked_add(Duration::from_millis(left_ms.max(0).unsigned_abs()))
    }

    fn is_pause_over(&self) -> bool {
        self.pause.is_some_and(|pause| pause.is_over(clock::unix_ms()))
    }

    /// Looks at the cancel file of that id, if there is one. Gives the open dispatch that it
    /// cancels. What is no plain file cancels nothing.
    fn look_at_cancel(
        &mut self,
        text: &str,
        ledger: &Ledger,
        ignored: &mut Ignored,
    ) -> Option<DispatchId> {
        if !self.context.store.is_cancel_asked(text) {
            self.forget(text);
            let name = OsString::from(format!("cancel-{text}"));
            // Something other than a plain file stands there.
            if matches!(self.context.store.stamp_inbox(&name), Ok(Some(_))) {
                ignored.tell_once(name, "a request is an empty file");
            }
            return None;
        }
        match DispatchId::parse(text) {
            Some(id) if ledger.is_open(&id) => return Some(id),
            Some(id) if self.is_answered(&id) => {
                self.context.audit.tell(text, &AuditEvent::CancelIgnored);
                self.drop_cancel(text);
            }
            _ => self.keep_for_a_while(text),
        }
        None
    }

    fn is_answered(&self, id: &DispatchId) -> bool {
        matches!(self.context.store.owner(id), Ok(IdOwner::Dispatch { .. }))
    }

    /// The dispatch of this cancel may still come.
    fn keep_for_a_while(&mut self, id: &str) {
        let since = self.wait(id);
        if since.elapsed() >= self.context.settings().cancel_keep {
            self.context.audit.tell(id, &AuditEvent::CancelIgnored);
            self.drop_cancel(id);
        }
    }

    fn drop_cancel(&mut self, id: &str) {
        self.forget(id);
        self.remove_cancel(id);
    }

    /// Removes a cancel that is on record, or whose time is over.
    pub fn remove_cancel(&self, id: &str) {
        if self.context.level.is_lost() {
            return;
        }
        if let Err(e) = self.context.store.remove_cancel(id) {
            log::error!("{e}");
        }
    }

    /// Whether a cancel came before its dispatch, and still stands there.
    pub fn was_cancelled_before(&mut self, id: &DispatchId) -> bool {
        let id = id.as_str();
        if !self.waiting.contains_key(id) {
            return false;
        }
        let is_asked = self.context.store.is_cancel_asked(id);
        if !is_asked {
            self.forget(id);
        }
        is_asked
    }
}

impl Intake<'_> {
    /// Looks at every request that stands on disk.
    pub(super) fn look_at_requests(&mut self) {
        if !self.context.has_lock() {
            return;
        }
        let (found, scanned) = self.requests.scan();
        if let Err(e) = scanned {
            self.halt.inbox_failed(Subsystem::Inbox, &e);
        }
        self.look_at_pause();
        for name in found.others {
            self.look_at_request(&name);
        }
        for text in found.cancels {
            self.look_at_cancel_of(&text);
        }
    }

    /// Something happened to a cancel file in the drop zone.
    pub(super) fn look_at_cancel(&mut self, name: &OsStr) {
        if let Some(Request::Cancel(id)) = cancel_request(name) {
            self.look_at_cancel_of(&text_of(id));
        }
    }

    /// Something happened to that name in `control/`.
    pub(super) fn look_at_request(&mut self, name: &OsStr) {
        match control_request(name) {
            Some(Request::Cancel(id)) => self.look_at_cancel_of(&text_of(id)),
            Some(Request::Pause | Request::Resume) => self.look_at_pause(),
            Some(Request::Approve(id) | Request::Deny(id)) => self.look_at_verdict(&id),
            Some(Request::Release(agent))
                if self.context.store.is_release_asked(agent.as_deref()) =>
            {
                self.holds.release(agent.as_deref());
            }
            Some(Request::Release(_)) | None => {}
        }
        self.inbox.ignored.tell_request(name);
    }

    /// Ends a pause that is over.
    pub(super) fn expire_pause(&mut self) {
        if self.requests.is_pause_over() && self.context.has_lock() {
            self.look_at_pause();
        }
    }

    fn look_at_pause(&mut self) {
        self.is_news |= self.requests.follow_pause();
    }

    /// `text` is what stands behind `cancel-`, and may be no id.
    pub(super) fn look_at_cancel_of(&mut self, text: &str) {
        let ignored = &mut self.inbox.ignored;
        if let Some(id) = self.requests.look_at_cancel(text, &self.ledger, ignored) {
            self.cancel(&id);
        }
    }
}

/// What stands behind `cancel-`, whether it is an id or not.
fn text_of(id: std::result::Result<DispatchId, String>) -> String {
    id.map_or_else(|text| text, |id| id.to_string())
}
