//! The fields of a dispatch file. [`crate::pure::dispatch`] checks them; a test holds the two
//! together.

use super::field::{FieldKind, FieldRow};

const fn row(name: &'static str, kind: FieldKind, help: &'static str) -> FieldRow {
    FieldRow::new(name, kind, help)
}

pub const DISPATCH: &[FieldRow] = &[
    row(
        "id",
        FieldKind::Id,
        "`dispatch-`, then only letters, digits, `.`, `_`, `-`; at most 120 characters; never used \
         before",
    )
    .required(),
    row("dispatched_by", FieldKind::Text, "who sends it").required(),
    row("task", FieldKind::Text, "what to do; not empty").required(),
    row("project", FieldKind::Text, "the project's name, for people").required(),
    row(
        "project_dir",
        FieldKind::Text,
        "where to work: an existing directory, absolute or with a leading `~/`",
    )
    .required(),
    row(
        "target_agent",
        FieldKind::Text,
        "`claude`, `codex`, `cursor`, `gemini`, or one of your own (`help settings`); `claude`. \
         One whose program is not there is answered `unsupported_agent`",
    ),
    row("constraints", FieldKind::Texts, "texts, joined into one line of the prompt"),
    row("learnings", FieldKind::Texts, "texts; the first five go into the prompt"),
    row(
        "ttl_seconds",
        FieldKind::Count,
        "how long an attempt may take: a whole number, 60 to 86400; 3600. The setting \
         `min_ttl_seconds` may allow less",
    ),
    row(
        "callback_url",
        FieldKind::Text,
        "http or https, without credentials; gets the report as a POST; an empty one is none",
    ),
    row(
        "source_signature",
        FieldKind::Text,
        "who wrote it, provably: see Signatures in `help dispatch`",
    ),
    row(
        "clawvisor_task_id",
        FieldKind::Text,
        "the task in Clawvisor that lets it run, where Clawvisor is set up",
    ),
    row(
        "retry_of",
        FieldKind::Anything,
        "the id of the dispatch that this one runs again; anything else counts as an unknown field",
    ),
];
