//! `help`, `man` and `completions`: print texts that are made from the tables of commands and of
//! the reference.

use serde_json::{Value, json};

use super::Refusal;
use super::out::{Out, Reply};
use crate::pure::command::code::Code;
use crate::pure::command::explain::shell_of;
use crate::pure::command::topic::{self, HelpCall};
use crate::pure::command::typed::Typed;
use crate::pure::command::{completions, help, man};
use crate::pure::human::look::Look;

/// A text that is the same on a terminal and elsewhere.
struct Text(String);

impl Reply for Text {
    fn text(&self, _: &Look) -> String {
        self.0.clone()
    }

    fn json(&self) -> Value {
        json!({ "text": self.0 })
    }
}

pub fn run(typed: &Typed, out: &Out) -> Result<Code, Refusal> {
    let text = match HelpCall::of(typed).map_err(Refusal::WrongUsage)? {
        HelpCall::Program => help::of_program(),
        HelpCall::Word(row, about) => {
            let texts = row.map(help::of_command).into_iter().chain(about.map(topic::text));
            texts.collect::<Vec<_>>().join("\n")
        }
    };
    out.answer(&Text(text))?;
    Ok(Code::Done)
}

pub fn man(out: &Out) -> Result<Code, Refusal> {
    out.answer(&Text(man::page()))?;
    Ok(Code::Done)
}

pub fn completions(typed: &Typed, out: &Out) -> Result<Code, Refusal> {
    let shell = shell_of(typed).map_err(Refusal::WrongUsage)?;
    out.answer(&Text(completions::of(shell)))?;
    Ok(Code::Done)
}
