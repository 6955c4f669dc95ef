//! Layer 2, effects: one module per kind of effect, each the only one of its kind.
//!
//! `store` is the only module that names a path of ours, `process` the only one that spawns, waits
//! for and signals processes, `http` the only one that knows the client library, `clock` the only
//! one that asks for the time, `secrets` keeps what no text of ours may show, `terminal` knows
//! stdout's, `interrupt` Ctrl-C, `zone` the local time, `service_manager` tells whoever started us
//! how we are. Effects decide nothing: they do what they are told and say what happened.
//! `failpoint` is where a test makes them fail.

pub mod agent_program;
pub mod agent_record;
pub mod clock;
pub mod error;
pub mod failpoint;
pub mod git;
pub mod http;
pub mod interrupt;
pub mod page_file;
pub mod process;
pub mod project;
pub mod project_dir;
pub mod random;
pub mod secrets;
pub mod service_files;
pub mod service_manager;
pub mod stderr;
pub mod store;
pub mod terminal;
pub mod zone;
