//! `doctor`: looks at everything that a daemon needs, under the environment that it would have, and
//! says what to type where something is wrong. It changes nothing and leaves no process.

mod agents;
mod environment;
mod folders;
mod settings;
mod state;

use serde_json::{Value, json};

use self::environment::Judged;
use super::out::{Out, Reply};
use super::{Place, Refusal};
use crate::effects::process::Processes;
use crate::pure::command::code::Code;
use crate::pure::command::typed::Typed;
use crate::pure::doctor::{Check, CheckStatus, Diagnosis};
use crate::pure::human::look::{Look, Style};
use crate::pure::human::width;
use crate::pure::text::escape;

/// Where the text of a check begins.
const TEXT_COLUMN: usize = 19;
const ARROW: &str = "  -> ";

/// What every check may look at.
struct Examined<'a> {
    place: &'a Place,
    processes: Processes,
    judged: Judged,
}

pub fn run(typed: &Typed, place: &Place, out: &Out) -> Result<Code, Refusal> {
    let processes = Processes::new(|_| true);
    let judged = Judged::find(&processes);
    let examined = Examined { place, processes, judged };
    let (read, config) = settings::read(&examined, &typed.flags);
    let mut checks = folders::look(&examined, &read.settings);
    checks.extend(config);
    checks.extend(agents::look(&examined, &read));
    checks.extend(folders::look_at_machine(&examined, &read.settings));
    checks.extend(state::look(&examined));
    checks.extend(settings::look_at_projects(&examined, &read.settings));
    checks.extend(settings::try_confinement(&examined, &read.settings));
    checks.extend(environment::look_at_service(&examined));
    let found = Diagnosis { environment: examined.judged.of.clone(), checks };
    out.answer(&found)?;
    Ok(if found.count(CheckStatus::Fail) == 0 { Code::Done } else { Code::NotDone })
}

impl Reply for Diagnosis {
    fn text(&self, look: &Look) -> String {
        self.checks.iter().map(|check| line(check, look)).collect()
    }

    fn json(&self) -> Value {
        json!({
            "ok": self.count(CheckStatus::Ok),
            "warn": self.count(CheckStatus::Warn),
            "fail": self.count(CheckStatus::Fail),
            "environment": self.environment,
            "checks": self.checks,
        })
    }
}

fn line(check: &Check, look: &Look) -> String {
    let status = check.status.word();
    let style = match check.status {
        CheckStatus::Ok => Style::Good,
        CheckStatus::Warn => Style::Bold,
        CheckStatus::Fail => Style::Bad,
        CheckStatus::Skip => Style::Dim,
    };
    let head = look.paint(style, status) + &" ".repeat(5 - status.len());
    let name = width::pad(check.name, TEXT_COLUMN - 5 - 1) + " ";
    let mut text = head + &name + &wrapped(&check.text, TEXT_COLUMN, look) + "\n";
    if let Some(fix) = &check.fix {
        text += &format!("{ARROW}{}\n", wrapped(fix, ARROW.len(), look));
    }
    text
}

/// The text, with what does not fit into the terminal below its beginning.
fn wrapped(text: &str, column: usize, look: &Look) -> String {
    let text = escape::line(text);
    match look.width.filter(|columns| *columns > column + 10) {
        Some(columns) => {
            let gap = format!("\n{}", " ".repeat(column));
            width::wrap(&text, columns - column).join(&gap)
        }
        None => text,
    }
}
