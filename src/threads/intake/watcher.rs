//! File events, boiled down to names. A name says no more than "look at this now", whatever the
//! event was.
//!
//! The callback runs on the notify crate's own thread: it filters and passes on, and never blocks.
//! Our own reads may cause events too (IN_OPEN), so that anything less than this filter would keep
//! itself busy for ever. When the channel is full a rescan is asked for instead: the scan must be
//! right without any event at all.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};
use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::effects::store::{Store, is_cancel_name, is_inbox_name};

/// How many names may be under way to intake: more than a burst of renames while intake makes one
/// dispatch durable.
const NAMES_MAX: usize = 4096;

/// What intake is to look at.
#[derive(Debug, PartialEq, Eq)]
pub enum FileEvent {
    /// A dispatch file.
    Inbox(OsString),
    /// A cancel file in the drop zone.
    Cancel(OsString),
    /// Something in `control/`.
    Control(OsString),
    /// Anything may have changed.
    Rescan,
}

pub struct Watcher {
    inner: Option<RecommendedWatcher>,
    /// Kept here so that the channel stays connected while nothing is watched.
    sender: Sender<FileEvent>,
    events: Receiver<FileEvent>,
    /// The channel was full: names were dropped.
    overflowed: Arc<AtomicBool>,
    paths: Paths,
}

#[derive(Clone)]
struct Paths {
    drop_zone: PathBuf,
    control: PathBuf,
}

impl Watcher {
    pub fn new(store: &Store) -> Watcher {
        let (sender, events) = bounded(NAMES_MAX);
        let overflowed = Arc::new(AtomicBool::new(false));
        let paths =
            Paths { drop_zone: store.drop_zone().into(), control: store.control_dir().into() };
        Watcher { inner: None, sender, events, overflowed, paths }
    }

    pub fn events(&self) -> &Receiver<FileEvent> {
        &self.events
    }

    /// Whether names were lost since the last call.
    pub fn take_overflow(&self) -> bool {
        self.overflowed.swap(false, Ordering::AcqRel)
    }

    /// (Re)starts watching: a directory that was removed and made again is silently not watched any
    /// more. The error says that watching does not work (limits, NFS), and polling has to do.
    pub fn watch(&mut self) -> Result<(), String> {
        let inner = match &mut self.inner {
            Some(inner) => inner,
            // If the system had nothing to watch with before, it may have by now.
            none => {
                none.insert(make(self.sender.clone(), self.overflowed.clone(), self.paths.clone())?)
            }
        };
        let mut works = Ok(());
        // The folder around them, where others may be busy, is not watched: when a watched
        // directory goes, its own watch tells.
        for path in [&self.paths.drop_zone, &self.paths.control] {
            let _ = inner.unwatch(path);
            if let Err(e) = inner.watch(path, RecursiveMode::NonRecursive) {
                works = Err(format!("cannot watch {}: {e}", path.display()));
            }
        }
        works
    }
}

fn make(
    sender: Sender<FileEvent>,
    overflowed: Arc<AtomicBool>,
    paths: Paths,
) -> Result<RecommendedWatcher, String> {
    let callback = move |event: notify::Result<notify::Event>| {
        let boiled_down = match event {
            Ok(event) => boil_down(&event, &paths),
            Err(_) => vec![FileEvent::Rescan],
        };
        for one in boiled_down {
            if sender.try_send(one).is_err() {
                overflowed.store(true, Ordering::Release);
            }
        }
    };
    notify::recommended_watcher(callback).map_err(|e| format!("cannot watch files here: {e}"))
}

fn boil_down(event: &notify::Event, paths: &Paths) -> Vec<FileEvent> {
    if event.need_rescan() {
        return vec![FileEvent::Rescan];
    }
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => {}
        EventKind::Access(_) => return Vec::new(),
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => {}
    }
    let brings_nothing = brings_nothing(event.kind);
    let named = event.paths.iter().filter_map(|path| of_path(path, paths));
    named.filter(|named| !(brings_nothing && matches!(named, FileEvent::Inbox(_)))).collect()
}

/// Whether an event says no more than that a dispatch file went: mostly we removed it, and whether
/// it is gone is asked when its turn comes. A rename tells the new name too. Inotify tells of one
/// event at a time, so that a file which came again has an event of its own; other systems may tell
/// of several as one.
fn brings_nothing(kind: EventKind) -> bool {
    use RenameMode::{Both, From};
    let is_gone =
        matches!(kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(From | Both)));
    is_gone && cfg!(target_os = "linux")
}

fn of_path(path: &Path, paths: &Paths) -> Option<FileEvent> {
    // One of the two itself was removed, made again, or moved.
    if *path == paths.drop_zone || *path == paths.control {
        return Some(FileEvent::Rescan);
    }
    let (parent, name) = (path.parent()?, path.file_name()?);
    if parent == paths.control {
        return Some(FileEvent::Control(name.into()));
    }
    if parent != paths.drop_zone {
        return None;
    }
    if is_inbox_name(name) {
        return Some(FileEvent::Inbox(name.into()));
    }
    is_cancel_name(name).then(|| FileEvent::Cancel(name.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{CreateKind, Flag, RemoveKind};

    #[test]
    fn only_what_matters_gets_through() {
        let paths = Paths { drop_zone: "/h/dispatch".into(), control: "/h/d/control".into() };
        let created = |path: &str| {
            let event =
                notify::Event::new(EventKind::Create(CreateKind::File)).add_path(path.into());
            boil_down(&event, &paths)
        };
        assert_eq!(
            created("/h/dispatch/dispatch-x.json"),
            [FileEvent::Inbox("dispatch-x.json".into())]
        );
        assert_eq!(
            created("/h/dispatch/cancel-dispatch-x"),
            [FileEvent::Cancel("cancel-dispatch-x".into())]
        );
        assert_eq!(created("/h/d/control/pause"), [FileEvent::Control("pause".into())]);
        assert_eq!(created("/h/dispatch"), [FileEvent::Rescan]);
        for other in ["/h/dispatch/.daemon-heartbeat", "/h/dispatch/audit.jsonl", "/h/sessions"] {
            assert_eq!(created(other), [], "{other}");
        }
        let open = EventKind::Access(AccessKind::Open(AccessMode::Any));
        let event = notify::Event::new(open).add_path("/h/dispatch/dispatch-x.json".into());
        assert_eq!(boil_down(&event, &paths), [], "our own reads");
        let gone = |path: &str| {
            let kind = EventKind::Remove(RemoveKind::File);
            boil_down(&notify::Event::new(kind).add_path(path.into()), &paths)
        };
        if cfg!(target_os = "linux") {
            assert_eq!(gone("/h/dispatch/dispatch-x.json"), [], "mostly it was us");
        }
        assert_eq!(gone("/h/d/control/pause"), [FileEvent::Control("pause".into())]);
        assert_eq!(gone("/h/dispatch"), [FileEvent::Rescan]);
        assert_eq!(gone("/h/d/control"), [FileEvent::Rescan]);
        let overflow = notify::Event::new(EventKind::Other).set_flag(Flag::Rescan);
        assert_eq!(boil_down(&overflow, &paths), [FileEvent::Rescan]);
    }
}
