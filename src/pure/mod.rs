//! Layer 1, pure: every decision, as functions of values. No file, process, thread, clock or
//! environment in here; a decision that would need one takes the fact as an argument instead.

pub mod agent;
pub mod answer;
pub mod audit_event;
pub mod claim;
pub mod cli;
pub mod clip;
pub mod clocks;
pub mod config;
pub mod cost;
pub mod delivery;
pub mod digest;
pub mod dispatch;
pub mod environment;
pub mod escape;
pub mod heartbeat;
pub mod hold;
pub mod lines;
pub mod nearest;
pub mod network_fs;
pub mod outcome;
pub mod ownership;
pub mod plan;
pub mod policy;
pub mod prompt;
pub mod queue;
pub mod recovery;
pub mod redact;
pub mod report;
pub mod retention;
pub mod rotation;
pub mod sign;
pub mod strict_json;
pub mod time;
pub mod trouble;
