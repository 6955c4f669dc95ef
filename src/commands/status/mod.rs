//! `status`: the daemon, its sessions, what waits and why, and what ended last.
//!
//! It is the heartbeat, brought up to date from the files.

pub mod text;
mod watch;

use std::path::PathBuf;

use serde_json::{Value, json};

use super::out::{Out, Reply};
use super::overview::{Overview, Wants};
use super::{Place, Refusal};
use crate::pure::command::code::Code;
use crate::pure::command::status::StatusCall;
use crate::pure::command::typed::Typed;
use crate::pure::human::look::Look;
use crate::pure::liveness::Liveness;
use crate::pure::record::{DispatchState, Record};
use crate::pure::schedule::pause::Pause;
use crate::pure::text::time::rfc3339;

/// How many of those that have ended are told of.
const FINISHED_MAX: usize = 10;

/// The whole of a directory at one moment.
pub struct Status {
    home: PathBuf,
    overview: Overview,
    finished: Vec<Record>,
    undelivered: usize,
    rejected: usize,
}

pub fn run(typed: &Typed, place: &Place, out: &mut Out) -> Result<Code, Refusal> {
    match StatusCall::of(typed).map_err(Refusal::WrongUsage)? {
        StatusCall::Once => {
            out.answer(&read(place)?)?;
            Ok(Code::Done)
        }
        StatusCall::Check => check(place, out),
        StatusCall::Watch if out.is_json => watch::lines(place, out),
        StatusCall::Watch if !out.can_draw => Err(Refusal::WrongUsage(
            "status --watch needs a terminal that is not dumb; status --json --watch prints a line \
             on each change"
                .into(),
        )),
        StatusCall::Watch => watch::screen(place, out),
    }
}

fn check(place: &Place, out: &Out) -> Result<Code, Refusal> {
    let liveness = place.view().daemon().liveness;
    let checked = Checked(liveness);
    out.answer(&checked)?;
    match liveness {
        Liveness::Run | Liveness::Drain => Ok(Code::Done),
        Liveness::Stopped | Liveness::Dead | Liveness::Hung | Liveness::None => Ok(Code::NotDone),
    }
}

struct Checked(Liveness);

impl Reply for Checked {
    fn text(&self, _: &Look) -> String {
        format!("{}\n", self.0.name())
    }

    fn json(&self) -> Value {
        json!({ "state": self.0.name() })
    }
}

fn read(place: &Place) -> Result<Status, Refusal> {
    let view = place.view();
    let mut overview = Overview::read(&view)?;
    let mut finished = Vec::new();
    overview.ended(&view, &mut |record| {
        finished.push(record);
        if finished.len() < FINISHED_MAX { Wants::More } else { Wants::NoMore }
    })?;
    overview.forget(&finished);
    Ok(Status {
        home: place.home.clone(),
        undelivered: view.count_undelivered().map_err(Refusal::not_done)?,
        rejected: view.count_rejected().map_err(Refusal::not_done)?,
        overview,
        finished,
    })
}

impl Status {
    fn of_state(&self, state: DispatchState) -> Vec<&Record> {
        self.overview.in_state(state).collect()
    }
}

impl Reply for Status {
    fn text(&self, look: &Look) -> String {
        text::render(self, text::SHOWN_MAX, look)
    }

    fn json(&self) -> Value {
        let daemon = &self.overview.daemon;
        let mut all = serde_json::to_value(&daemon.beat).unwrap_or_default();
        if all["ts"] == "" {
            // There is no heartbeat that could say this.
            all = json!({});
        } else {
            all["heartbeat_at"] = all["ts"].take();
        }
        let (running, queue) =
            (self.of_state(DispatchState::Running), self.of_state(DispatchState::Queued));
        let parts = json!({
            "ts": rfc3339(daemon.now_ms),
            "state": daemon.liveness.name(),
            "home": self.home.to_string_lossy(),
            "active": running.len(),
            "queued": queue.len(),
            "paused": daemon.pause.is_some(),
            "sessions": running,
            "queue": queue,
            "pending": self.of_state(DispatchState::Pending),
            "inbox": self.of_state(DispatchState::Inbox),
            "finished": self.finished,
            "undelivered": self.undelivered,
            "rejected": self.rejected,
        });
        if let (Some(all), Value::Object(parts)) = (all.as_object_mut(), parts) {
            all.extend(parts);
            // All of them are in `pending`.
            all.remove("pending_count");
            if !daemon.liveness.is_there() {
                // It was the trouble of a daemon that is gone.
                all.remove("degraded");
                all.remove("parked");
            }
            all.entry("holds").or_insert_with(|| json!([]));
            if let Some(pid) = daemon.pid() {
                all.insert("pid".into(), pid.into());
            }
            all.remove("paused_until");
            if let Some(until) = daemon.pause.and_then(Pause::until_ms) {
                all.insert("paused_until".into(), rfc3339(until).into());
            }
        }
        all
    }
}
