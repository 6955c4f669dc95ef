//! `schema`: prints the JSON Schema of a document that others write or read.

use serde_json::Value;

use super::out::{Out, Reply};
use super::{Place, Refusal};
use crate::pure::command::code::Code;
use crate::pure::command::explain::SchemaCall;
use crate::pure::command::typed::Typed;
use crate::pure::config::Settings;
use crate::pure::dispatch::AGENTS;
use crate::pure::human::look::Look;
use crate::pure::reference::schema::{of_completion, of_dispatch, of_status};
use crate::pure::reference::schema_of_config::of_config;

struct Schema(Value);

impl Reply for Schema {
    fn text(&self, _: &Look) -> String {
        format!("{:#}\n", self.0)
    }

    fn json(&self) -> Value {
        self.0.clone()
    }
}

/// `place`: where the settings stand, if that is known.
pub fn run(typed: &Typed, place: Option<&Place>, out: &Out) -> Result<Code, Refusal> {
    let schema = match SchemaCall::of(typed).map_err(Refusal::WrongUsage)? {
        SchemaCall::Dispatch => dispatch(place),
        SchemaCall::Completion => of_completion(),
        SchemaCall::Config => of_config(),
        SchemaCall::Status => of_status(),
    };
    out.answer(&Schema(schema))?;
    Ok(Code::Done)
}

/// What is wrong with the settings here is told by others: a schema is the same without them.
fn dispatch(place: Option<&Place>) -> Value {
    match place.and_then(|place| place.settings().ok()) {
        Some((settings, drivers)) => of_dispatch(drivers.names(), settings.min_ttl_seconds),
        None => of_dispatch(&AGENTS, Settings::default().min_ttl_seconds),
    }
}
