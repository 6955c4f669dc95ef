//! Black-box tests: the real binary, a real directory, real processes, and a fake agent
//! (`fixtures/bin/claude`).
//!
//! Every test has a directory of its own, so that all of them may run at once. None of them waits
//! for a fixed time: it waits for what it can see, with a deadline; a session that must be held
//! stands at a FIFO. After every test no process may be left that carries the test's mark in its
//! environment.

mod util;

mod afternoon;
mod agent_settings;
mod api;
mod blast;
mod budget;
mod callback;
mod callback_policy;
mod callback_signed;
mod callback_storm;
mod claude;
mod clawvisor;
mod cli;
mod clocks;
mod codex;
mod confined;
mod control;
mod cursor;
mod delivery;
mod differential;
mod disk;
mod drop_zone;
mod evidence;
mod file_notices;
mod first_answer;
mod fuzzed;
mod gate;
mod gemini;
mod gone_agent;
mod holds;
mod hostile;
mod intake;
mod launcher;
mod leader;
mod leftovers;
mod lock;
mod log;
mod names;
mod network_fs;
mod on_finish;
mod own_agent;
mod ownership;
mod places;
mod readme;
mod recorded;
mod recovery;
mod reload;
mod replayed;
mod requests;
mod resume;
mod retention;
mod rotation;
mod secrets;
mod service_manager;
mod sessions;
mod settings;
mod shutdown;
mod signatures;
mod slurm;
mod terminal;
mod tidy;
mod tmpfs;
mod told;
mod verify;
