//! `pause` and `resume`: ask the daemon to start nothing new, or to go on.
//!
//! The files decide what there is to ask: a pause holds as long as its file stands. Whether the
//! daemon has heeded it is told by its heartbeat.

use serde_json::{Value, json};

use super::out::{Out, Reply};
use super::running::{Heed, Running, patience, wait_heeded};
use super::{Place, Refusal};
use crate::effects::clock;
use crate::effects::store::Request;
use crate::pure::command::code::Code;
use crate::pure::command::typed::Typed;
use crate::pure::heartbeat::Heartbeat;
use crate::pure::human::look::Look;
use crate::pure::liveness::Liveness;
use crate::pure::schedule::pause::Pause;
use crate::pure::text::time::rfc3339;

/// What became of a request that is for no single dispatch.
#[derive(Debug)]
pub(super) struct Steered {
    pub request: Request,
    pub heeded: bool,
    pub daemon: Liveness,
    pub paused: bool,
    pub said: Said,
}

#[derive(Debug)]
pub(super) enum Said {
    Words(String),
    PausedUntil(i64),
}

impl Reply for Steered {
    fn text(&self, look: &Look) -> String {
        match &self.said {
            Said::Words(words) => format!("{words}\n"),
            Said::PausedUntil(until_ms) => format!("paused until {}\n", look.until(*until_ms)),
        }
    }

    fn json(&self) -> Value {
        json!({
            "request": self.request.name(),
            "heeded": self.heeded,
            "daemon": self.daemon.name(),
            "paused": self.paused,
        })
    }
}

/// What is to be shown of a request, or that the daemon has not answered.
pub(super) fn told(
    heed: &Heed,
    request: Request,
    paused: bool,
    done: Said,
) -> Result<Steered, Refusal> {
    let daemon = heed.running().liveness;
    let (heeded, said) = match heed {
        Heed::Heeded(_) => (true, done),
        Heed::Nobody(_) => (false, Said::Words(NOBODY.into())),
        Heed::NotYet(running) => return Err(not_answered(running)),
    };
    Ok(Steered { request, heeded, daemon, paused, said })
}

/// What is said where nobody can heed a request now.
pub(super) const NOBODY: &str = "requested; the daemon does not run";

pub(super) fn not_answered(running: &Running) -> Refusal {
    Refusal::NotDone(format!("requested; {} has not answered", running.name()))
}

/// What the files ask for, whatever the daemon has made of it.
fn asked(place: &Place) -> Result<Option<Pause>, Refusal> {
    let pause = place.store.pause().map_err(Refusal::not_done)?;
    let now_ms = clock::unix_ms();
    let holds = |pause: &Pause| !pause.is_over(now_ms) && !place.store.is_resume_asked();
    Ok(pause.filter(holds))
}

pub(super) fn is_paused(place: &Place) -> Result<bool, Refusal> {
    Ok(asked(place)?.is_some())
}

pub fn run(typed: &Typed, place: &Place, out: &Out) -> Result<Code, Refusal> {
    let span_ms = typed.seconds("--for").map(|seconds| seconds.saturating_mul(1000) as i64);
    let until_ms = span_ms.map(|span_ms| clock::unix_ms().saturating_add(span_ms));
    let wanted = until_ms.map_or(Pause::UntilResumed, Pause::Until);
    let said = until_ms.map_or_else(|| Said::Words("paused".into()), Said::PausedUntil);
    let is_so = |running: &Running| {
        let until = wanted.until_ms().map(rfc3339);
        let says = |beat: &Heartbeat| beat.paused && beat.paused_until == until;
        running.is_there() && running.beat.as_ref().is_some_and(says)
    };
    let running = Running::look(place)?;
    let stands = asked(place)? == Some(wanted);
    if stands && (!running.is_there() || is_so(&running)) {
        return already(Request::Pause, &running, true, "paused already", out);
    }
    if !stands {
        let text = wanted.until_ms().map(|until_ms| rfc3339(until_ms) + "\n").unwrap_or_default();
        // An end that was asked for before, and that nobody has heeded, would end this one.
        place.store.take_back(&Request::Resume).map_err(Refusal::not_done)?;
        place.store.request(&Request::Pause, &text).map_err(Refusal::not_done)?;
    }
    let heed = wait_heeded(place, patience(typed), |running| Ok(is_so(running)))?;
    out.answer(&told(&heed, Request::Pause, true, said)?)?;
    Ok(Code::Done)
}

pub fn run_resume(typed: &Typed, place: &Place, out: &Out) -> Result<Code, Refusal> {
    let running = Running::look(place)?;
    let is_told = |running: &Running| {
        running.is_there() && running.beat.as_ref().is_some_and(|beat| beat.paused)
    };
    let stands = place.store.pause().map_err(Refusal::not_done)?.is_some();
    let is_asked = place.store.is_resume_asked();
    if !(stands || is_asked || is_told(&running)) {
        return already(Request::Resume, &running, false, "it is not paused", out);
    }
    if !is_asked {
        place.store.request(&Request::Resume, "").map_err(Refusal::not_done)?;
    }
    let heed = wait_heeded(place, patience(typed), |running| {
        let is_gone = matches!(place.store.pause(), Ok(None)) && !place.store.is_resume_asked();
        Ok(is_gone && !is_told(running))
    })?;
    let paused = matches!(heed, Heed::Nobody(_)) && is_paused(place)?;
    out.answer(&told(&heed, Request::Resume, paused, Said::Words("resumed".into()))?)?;
    Ok(Code::Done)
}

/// There is nothing to ask for.
pub(super) fn already(
    request: Request,
    running: &Running,
    paused: bool,
    words: &str,
    out: &Out,
) -> Result<Code, Refusal> {
    let (daemon, said) = (running.liveness, Said::Words(words.into()));
    out.answer(&Steered { request, heeded: true, daemon, paused, said })?;
    Ok(Code::Done)
}
