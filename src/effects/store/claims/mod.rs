//! Accepted dispatches on disk: `active/<id>/` with its attempts, from the acceptance to the
//! publication of the answer, and `started/`.
//!
//! Nothing is decided here: what the records mean is for `pure::attempt` to say.

pub(super) mod accept;
pub(in crate::effects::store) mod attempt_logs;
pub(super) mod attempts;
pub(super) mod claim;
pub(super) mod names;
pub(super) mod output;
pub(super) mod past_agents;
pub(super) mod publish;
pub(super) mod reading;
pub(super) mod started;
pub(super) mod stream;
