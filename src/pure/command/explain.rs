//! The commands that explain: their rows, and what each was asked, as a value. Must not look at any
//! file.

use super::code::Code;
use super::row::{CommandRow, Count, ValueKind, Verb, WordRow};
use super::typed::Typed;

pub const SCHEMA: &CommandRow = &CommandRow {
    verb: Verb::Schema,
    name: "schema",
    words: &[WordRow::new("OF", ValueKind::Choice(SCHEMAS), Count::One)],
    options: &[],
    help: "print the JSON Schema of a document",
    more: "OF is dispatch (a file for the drop zone), completion (the report, and the body of a \
           callback), config (config.json) or status (what status --json prints; \
           #/$defs/record is one dispatch as all commands give it). All are of the draft \
           2020-12. The schema of a dispatch has the agents and the smallest ttl_seconds that \
           the settings here allow.",
    examples: &["schema config >config.schema.json", "schema dispatch"],
    codes: &[(Code::Done, "printed"), (Code::WrongUsage, "wrong usage")],
    takes_settings: false,
};

const SCHEMAS: &[&str] = &["dispatch", "completion", "config", "status"];

/// Which document's schema is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaCall {
    Dispatch,
    Completion,
    Config,
    Status,
}

impl SchemaCall {
    pub fn of(typed: &Typed) -> Result<SchemaCall, String> {
        match typed.word(0)? {
            Some("dispatch") => Ok(SchemaCall::Dispatch),
            Some("completion") => Ok(SchemaCall::Completion),
            Some("config") => Ok(SchemaCall::Config),
            Some("status") => Ok(SchemaCall::Status),
            _ => Err(format!("schema needs one of {}", SCHEMAS.join(", "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::command::parse::{Command, parse};

    #[test]
    fn each_document_has_its_schema_and_no_other_has() {
        let typed = |word: &str| match parse(["schema", word].map(Into::into)) {
            Ok(Command::Other(typed)) => SchemaCall::of(&typed),
            Ok(other) => Err(format!("{other:?}")),
            Err(e) => Err(e),
        };
        for name in SCHEMAS {
            assert!(typed(name).is_ok(), "{name}");
        }
        let wrong = typed("statsu").expect_err("an unknown document");
        assert!(wrong.contains("did you mean status?"), "{wrong}");
    }
}
