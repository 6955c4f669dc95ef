//! What sessions may cost together: the amounts that an operator sets, for all or for a project.
//!
//! Must not know what was spent; [`crate::pure::schedule::budget`] counts. Dollars are whole
//! numbers of billionths, so that ten times ten cents are a dollar.

pub const NANOS_PER_USD: f64 = 1e9;

/// What may be spent within the window. `None`: whatever is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    pub usd_nanos: Option<u64>,
    pub tokens: Option<u64>,
}

impl Budget {
    pub fn is_set(&self) -> bool {
        self.usd_nanos.is_some() || self.tokens.is_some()
    }
}

/// Billionths of a dollar. What is below zero, or no number, becomes 0.
pub fn nanos(usd: f64) -> u64 {
    (usd * NANOS_PER_USD).round() as u64
}
