//! Why something in the inbox is no dispatch, and who is told.
//!
//! The reasons' names stand in `reason.json` and in the audit log, and do not change.

use serde::{Deserialize, Serialize};

use super::DispatchId;

/// Why something in the inbox is no dispatch. The name is what `reason.json` and the audit log say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    NotJson,
    NotAnObject,
    Schema,
    UnsafeId,
    Nul,
    TooLarge,
    Symlink,
    NotAFile,
    Unreadable,
    ForeignOwner,
    WritableByOthers,
    HardLink,
    DuplicateId,
    /// A strong signature is required, and there is none.
    SignatureMissing,
    /// The signature is malformed, of an unknown key, or wrong.
    Signature,
    /// The signature is right, but not valid now.
    SignatureExpired,
    /// The id was that of a signed dispatch of which nothing else is left.
    Replayed,
}

impl Reason {
    pub fn name(self) -> &'static str {
        match self {
            Reason::NotJson => "not_json",
            Reason::NotAnObject => "not_an_object",
            Reason::Schema => "schema",
            Reason::UnsafeId => "unsafe_id",
            Reason::Nul => "nul",
            Reason::TooLarge => "too_large",
            Reason::Symlink => "symlink",
            Reason::NotAFile => "not_a_file",
            Reason::Unreadable => "unreadable",
            Reason::ForeignOwner => "foreign_owner",
            Reason::WritableByOthers => "writable_by_others",
            Reason::HardLink => "hard_link",
            Reason::DuplicateId => "duplicate_id",
            Reason::SignatureMissing => "signature_missing",
            Reason::Signature => "signature",
            Reason::SignatureExpired => "signature_expired",
            Reason::Replayed => "replayed",
        }
    }

    /// A file that is still being written can look like this (and one that its sender links into
    /// place and unlinks elsewhere); it is looked at again until it no longer changes.
    pub fn may_be_half_written(self) -> bool {
        match self {
            Reason::NotJson | Reason::Unreadable | Reason::HardLink => true,
            Reason::NotAnObject
            | Reason::Schema
            | Reason::UnsafeId
            | Reason::Nul
            | Reason::TooLarge
            | Reason::Symlink
            | Reason::NotAFile
            | Reason::ForeignOwner
            | Reason::WritableByOthers
            | Reason::DuplicateId
            | Reason::SignatureMissing
            | Reason::Signature
            | Reason::SignatureExpired
            | Reason::Replayed => false,
        }
    }

    /// Whether the sender is answered with a failed report under the id (if that is legal and
    /// unused). There is no answer when the file may be somebody else's (its signature did not show
    /// whose it is), or when the id has its answer already. A file that is too large is the
    /// sender's own: its owner and mode have been looked at before its size.
    pub fn answers_sender(self) -> bool {
        match self {
            Reason::NotJson
            | Reason::NotAnObject
            | Reason::Schema
            | Reason::Nul
            | Reason::TooLarge => true,
            Reason::UnsafeId
            | Reason::Symlink
            | Reason::NotAFile
            | Reason::Unreadable
            | Reason::ForeignOwner
            | Reason::WritableByOthers
            | Reason::HardLink
            | Reason::DuplicateId
            | Reason::SignatureMissing
            | Reason::Signature
            | Reason::SignatureExpired
            | Reason::Replayed => false,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Rejection {
    pub reason: Reason,
    pub error: String,
    /// The id, where it could be read and is legal.
    pub id: Option<DispatchId>,
}

impl Rejection {
    pub fn new(reason: Reason, error: impl Into<String>) -> Rejection {
        Rejection { reason, error: error.into(), id: None }
    }

    /// The id under which the sender is answered, if at all. Where the file names none, its own
    /// name stands in: whoever waits for an answer would otherwise wait for ever.
    pub fn answered_id(&self, file_name: &str) -> Option<DispatchId> {
        if !self.reason.answers_sender() {
            return None;
        }
        let named = || DispatchId::parse(file_name.strip_suffix(".json")?);
        self.id.clone().or_else(named)
    }
}
