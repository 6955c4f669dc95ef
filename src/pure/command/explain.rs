//! The commands that explain: their rows, and what each was asked, as a value. Must not look at any
//! file.

use super::code::Code;
use super::row::{CommandRow, Count, ValueKind, Verb, WordRow};
use super::typed::Typed;

pub const HELP: &CommandRow = &CommandRow {
    verb: Verb::Help,
    name: "help",
    words: &[WordRow::new("COMMAND|TOPIC", ValueKind::Text, Count::AtMostOne)],
    options: &[],
    help: "the help of a command, or a topic",
    more: "The topics are the reference: what stands in which file, what each setting does, what \
           each exit code means. A word that is both prints the command's help, then the topic.",
    examples: &["help", "help submit", "help settings"],
    codes: &[
        (Code::Done, "printed"),
        (Code::WrongUsage, "there is no such command or topic; the nearest is named"),
    ],
    takes_settings: false,
};

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

pub const MAN: &CommandRow = &CommandRow {
    verb: Verb::Man,
    name: "man",
    words: &[],
    options: &[],
    help: "print the man page, with all of the reference",
    more: "Put it where man looks, or read it at once: man -l FILE.",
    examples: &["man >~/.local/share/man/man1/gstack-dispatch-daemon.1"],
    codes: &[(Code::Done, "printed")],
    takes_settings: false,
};

pub const COMPLETIONS: &CommandRow = &CommandRow {
    verb: Verb::Completions,
    name: "completions",
    words: &[WordRow::new("SHELL", ValueKind::Choice(SHELLS), Count::One)],
    options: &[],
    help: "print completions for a shell",
    more: "bash: source it, or put it into ~/.local/share/bash-completion/completions.\n\
           zsh: a file _gstack-dispatch-daemon in a directory of $fpath.\n\
           fish: a file in ~/.config/fish/completions.",
    examples: &[
        "completions bash >/etc/bash_completion.d/gstack",
        "completions zsh >~/.zfunc/_gstack-dispatch-daemon",
    ],
    codes: &[(Code::Done, "printed"), (Code::WrongUsage, "wrong usage")],
    takes_settings: false,
};

const SHELLS: &[&str] = &["bash", "zsh", "fish"];
const SCHEMAS: &[&str] = &["dispatch", "completion", "config", "status"];

/// For whom completions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

pub fn shell_of(typed: &Typed) -> Result<Shell, String> {
    match typed.word(0)? {
        Some("bash") => Ok(Shell::Bash),
        Some("zsh") => Ok(Shell::Zsh),
        Some("fish") => Ok(Shell::Fish),
        _ => Err(format!("completions needs one of {}", SHELLS.join(", "))),
    }
}

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
