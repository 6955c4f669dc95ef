//! The bounds on what is remembered of a stream's ids and names: how long each may be, and how many
//! there may be. Must not judge whether an id is legal: whoever uses it does. Without these bounds
//! a stream could fill the daemon's memory.

use serde_json::Value;

use crate::pure::agent::WORD_BYTES_MAX;
use crate::pure::text::clip::clip;

/// At most this many calls are remembered, and as many tasks.
pub(super) const IDS_MAX: usize = 1000;

pub(super) fn word(value: &Value) -> Option<String> {
    value.as_str().map(|text| clip(text, WORD_BYTES_MAX))
}
