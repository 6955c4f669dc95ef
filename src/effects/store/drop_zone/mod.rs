//! The folder that is shared with the orchestrator, and the requests that come by file.
//!
//! Nothing in there is believed before it was looked at, since others write there too.

pub(super) mod audit;
pub(super) mod heartbeat;
pub(super) mod ignored;
pub(super) mod inbox;
pub(super) mod requests;
