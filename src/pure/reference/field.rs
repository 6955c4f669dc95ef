//! A field of a document, as people and programs are told of it: help, the man page and the JSON
//! Schemas are all made from these rows.
//!
//! Must not know any document. Tests hold the rows to the types that are written and read.

/// One field.
#[derive(Debug)]
pub struct FieldRow {
    pub name: &'static str,
    pub kind: FieldKind,
    /// It always stands there.
    pub is_required: bool,
    /// What it says, in a line without a full stop. The marks are those of the topics.
    pub help: &'static str,
}

/// What its value is.
#[derive(Clone, Copy, Debug)]
pub enum FieldKind {
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// The id of a dispatch.
    Id,
    /// RFC 3339.
    Time,
    Flag,
    /// A whole number from 0.
    Count,
    Integer,
    /// A number, with a fraction or without.
    Number,
    Texts,
    Counts,
    Object(&'static [FieldRow]),
    Objects(&'static [FieldRow]),
    /// One dispatch, as all commands give it.
    Records,
    /// Whatever stands there.
    Anything,
}

impl FieldRow {
    pub const fn new(name: &'static str, kind: FieldKind, help: &'static str) -> FieldRow {
        FieldRow { name, kind, is_required: false, help }
    }

    /// The same of a field that always stands there.
    pub const fn required(self) -> FieldRow {
        FieldRow { is_required: true, ..self }
    }

    /// The fields of the objects in it.
    pub fn inner(&self) -> &'static [FieldRow] {
        match self.kind {
            FieldKind::Object(rows) | FieldKind::Objects(rows) => rows,
            FieldKind::Text
            | FieldKind::Choice(_)
            | FieldKind::Id
            | FieldKind::Time
            | FieldKind::Flag
            | FieldKind::Count
            | FieldKind::Integer
            | FieldKind::Number
            | FieldKind::Texts
            | FieldKind::Counts
            | FieldKind::Records
            | FieldKind::Anything => &[],
        }
    }

    /// Its name as help shows it: `attempts[]` holds several.
    pub fn shown_name(&self) -> String {
        match self.kind {
            FieldKind::Texts | FieldKind::Counts | FieldKind::Objects(_) | FieldKind::Records => {
                format!("{}[]", self.name)
            }
            FieldKind::Text
            | FieldKind::Choice(_)
            | FieldKind::Id
            | FieldKind::Time
            | FieldKind::Flag
            | FieldKind::Count
            | FieldKind::Integer
            | FieldKind::Number
            | FieldKind::Object(_)
            | FieldKind::Anything => self.name.to_string(),
        }
    }
}
