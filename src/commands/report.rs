//! `report`: the numbers of what ended, as tables, as JSON or as a page for a browser.
//!
//! Must change nothing but the page's own file, which appears whole or not at all.

use serde_json::{Value, json};

use super::out::{Out, Reply};
use super::{Place, Refusal};
use crate::effects::page_file;
use crate::pure::command::code::Code;
use crate::pure::command::report::{PageFile, ReportCall};
use crate::pure::command::typed::Typed;
use crate::pure::human::look::Look;
use crate::pure::page;
use crate::pure::tally::holds::HoldReader;
use crate::pure::tally::{self, EndedDispatch, Tally, Window};

struct Numbers(Tally);

impl Reply for Numbers {
    fn text(&self, look: &Look) -> String {
        tally::text(&self.0, look)
    }

    fn json(&self) -> Value {
        self.0.json()
    }
}

/// Where the page is now.
struct Written(String);

impl Reply for Written {
    fn text(&self, _: &Look) -> String {
        format!("{}\n", super::out::shown(&self.0))
    }

    fn json(&self) -> Value {
        json!({ "html": self.0 })
    }
}

pub fn run(typed: &Typed, place: &Place, out: &Out) -> Result<Code, Refusal> {
    let call = ReportCall::of(typed).map_err(Refusal::WrongUsage)?;
    let window = Window {
        since_ms: call.since.ms(out.look.now_ms, &out.look.zone),
        until_ms: out.look.now_ms,
    };
    let ended = ended(place, &call, window, &out.look)?;
    let rejected = match call.project {
        // Nobody knows of which project a refused file was.
        Some(_) => 0,
        None => place.store.rejected_between(window).map_err(Refusal::not_done)?,
    };
    let mut holds = HoldReader::default();
    let since_ms = window.since_ms;
    let read = place.store.audit_lines(since_ms, HoldReader::may_tell, &mut |l| holds.read(&l));
    read.map_err(Refusal::not_done)?;
    let tally = Tally::new(window, &ended, rejected, holds.spans(window));
    let version = env!("CARGO_PKG_VERSION");
    let page = || page::page(&tally, &ended, &out.look, version);
    match &call.html {
        None => out.answer(&Numbers(tally))?,
        Some(PageFile::Stdout) => out.text(&page())?,
        Some(PageFile::File(path)) => {
            page_file::write(path, page().as_bytes()).map_err(Refusal::not_done)?;
            out.answer(&Written(path.to_string_lossy().into_owned()))?;
        }
    }
    Ok(Code::Done)
}

/// What ended in the window, the newest first.
fn ended(
    place: &Place,
    call: &ReportCall,
    window: Window,
    look: &Look,
) -> Result<Vec<EndedDispatch>, Refusal> {
    let home = look.home.as_deref();
    let mut ended = place.store.ended_since(window.since_ms, home).map_err(Refusal::not_done)?;
    ended.retain(|one| {
        let is_asked = call.project.as_deref().is_none_or(|project| {
            one.project() == project || one.project_dir.as_deref() == Some(project)
        });
        is_asked && one.finished_at_ms().is_some_and(|at| window.has(at))
    });
    ended.sort_by_key(|one| std::cmp::Reverse(one.finished_at_ms()));
    Ok(ended)
}
