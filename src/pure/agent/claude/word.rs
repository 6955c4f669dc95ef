//! What is remembered of a stream's ids and names: so much of each, and so many.

use serde_json::Value;

use crate::pure::agent::WORD_BYTES_MAX;
use crate::pure::text::clip::clip;

/// Calls and tasks that are remembered, each.
pub(super) const IDS_MAX: usize = 1000;

pub(super) fn word(value: &Value) -> Option<String> {
    value.as_str().map(|text| clip(text, WORD_BYTES_MAX))
}
