//! gstack-dispatch-daemon: hands coding dispatches that are dropped into a directory to a headless
//! coding agent, and answers each with exactly one true report.
//!
//! # The way of a dispatch
//!
//! ```text
//!  dispatch-*.json dropped
//!     │ a name                  one look: open once, check, read once, parse
//!     ▼                         │
//!  threads::intake::watcher ──► threads::intake ─┬─ no  ──► rejected/ (+ a failed report)
//!                              pure::gate ◄──────┤
//!                                                ├─ wait ─► pending/<id>/, until a person says yes
//!                                                └─ yes ──► active/<id>/: a Claim, in the Queue
//!     ┌─ a claim moves, at a rendezvous ◄────────────────── intake owns the queue
//!     ▼
//!  threads::worker (N of them) ──► threads::session, once for each attempt:
//!     │                            attempt.json ► agent ► watch ► sweep ► judge ► end.json
//!     │                            a retry is the next attempt, in the same slot
//!     ▼
//!  threads::conclude: report.json (THE COMMIT) ► completed/<id>.json ► outbox/ ► threads::courier
//!                     then the inbox file goes, and active/<id> becomes finished/<id>
//! ```
//!
//! # What one attempt goes through, in order
//!
//! 1. [`pure::attempt::next_attempt`] says what it is to be; `threads::worker::start` makes the
//!    record ([`pure::attempt::record`]) durable and starts the agent.
//! 2. `threads::session::watch` looks at it once a second; [`pure::attempt::limits`] says when it
//!    must end, and `threads::session::follow` reads its stream with the agent's own reader.
//! 3. `effects::process` ends what is left of it (the sweep).
//! 4. [`pure::attempt::outcome`] judges how it ended, [`pure::attempt::sign`] says what that means
//!    for others with the same agent, and `threads::session::verify` runs the project's check.
//! 5. [`pure::attempt::retry`] decides what follows; `end.json` is written before it does.
//! 6. [`pure::attempt::build_report`] makes the report, and `threads::conclude` sees it through.
//!
//! # The layers; imports go downwards only, and never in circles (`tests/it/tidy.rs`)
//!
//! | layer | what it is | what it may touch |
//! |---|---|---|
//! | [`daemon`], `main` | wiring: builds, starts, waits for the end | everything |
//! | [`commands`] | beside it: one file for each command | effects, pure |
//! | [`threads`] | small loops; each owns its state, claims move in channels | effects, pure |
//! | [`effects`] | one module for each kind of effect | pure |
//! | [`pure`] | every decision, as functions of values | nothing |
//!
//! # Where is …
//!
//! - **A dropped file first seen?** By its name in `threads::intake::watcher`; it is read and
//!   judged in `threads::intake::accept`.
//! - **Checked who signed a dispatch?** [`pure::gate::signature`] decides, by the keys that
//!   `threads::intake::signatures` brings; `effects::store::keys` reads them.
//! - **Decided that a dispatch runs?** [`pure::schedule::queue`] keeps the order and
//!   `threads::intake` asks it; nobody else hands out a claim.
//! - **Decided who may run what?** [`pure::gate`], over facts that `threads::shared::gate` gathers:
//!   intake asks at the acceptance, a worker right before the start (`threads::worker::gate`), and
//!   `threads::recover_pending` at each start of the daemon. What waits: `threads::intake::gate`.
//! - **Asked what Clawvisor says?** `threads::authority` asks, over [`effects::http`], and
//!   `threads::shared::authority` keeps the answers for intake, workers and sessions;
//!   [`pure::gate::clawvisor`] says what an answer means, [`pure::gate::asking`] when to ask again.
//! - **Decided that an agent is held (a usage limit, refused credentials)?**
//!   [`pure::schedule::hold`], from the signs of attempts; `threads::intake::holds` keeps them.
//! - **Decided that a budget is used up?** [`pure::schedule::budget`] counts, in
//!   `threads::shared::budget`, where each end is noted; it is a hold like the others.
//! - **A process signalled?** Only in [`effects::process`], and only for the thread that owns the
//!   session (`threads::session`). Others ask.
//! - **A session started or ended by something else than us (`srun`, `docker`)?**
//!   [`pure::config::launcher`] is the prefix and its rules; `threads::session::engine` runs the
//!   engine's own command, before our signals and before every answer.
//! - **A path named?** Only in [`effects::store`].
//! - **HTTP spoken?** Only in [`effects::http`]. A callback's headers: [`effects::http::callback`];
//!   which one goes out next, and whether again: [`pure::callback`]; `threads::courier` sends.
//! - **The operator's own program run after a dispatch?** `threads::on_finish`, with the reports
//!   that [`effects::store`] keeps for it.
//! - **A file with a secret read?** Only in [`effects::store`], each time that the secret is used;
//!   `threads::courier` adds what it says to a callback.
//! - **Decided what happens after a crash?** [`pure::attempt::recovery`], one exhaustive function
//!   over what stands on disk; `threads::recover` looks, `threads::worker::resume` does.
//! - **A secret kept out of our texts?** [`pure::text::redact`] knows one when it sees it;
//!   [`effects::secrets`] has those that we hold, and is what everything goes through that is
//!   written for others.
//! - **Told what is wrong with the daemon itself?** [`pure::upkeep::health`] keeps the table and
//!   `threads::shared::health` tells. Whoever meets an error that is tried again says so there;
//!   `threads::intake::halt` holds new work back.
//! - **Read what the operator set, and read again on SIGHUP?** `threads::shared::sources` reads,
//!   `threads::reload` reads again, `threads::shared::live` has what is in force. Whose the file
//!   must be: [`pure::upkeep::ownership`].
//! - **Asked whether this is still the one daemon of the directory?** `threads::shared::lock`, by
//!   whoever is about to begin or answer something; the lock itself is in [`effects::store`].
//! - **Kept one dispatch's own trouble from the others?** `threads::shared::persist` gives what
//!   fails for one alone a few tries, `threads::conclude` answers from memory where its folder is
//!   of no use, `threads::intake::parked` keeps what cannot be answered yet, and [`effects::store`]
//!   moves aside what stands in the way.
//! - **Decided what a confined session may touch?** [`pure::confine`] turns it into single grants;
//!   `threads::session::wall` says which places, and [`effects::process`] builds the wall in its
//!   hidden verbs. A session's own temporary directory: [`effects::store`].
//! - **Shown to people what a session says?** A driver's reader of items ([`pure::agent`]) makes
//!   them of its stream, [`pure::logs`] makes text and JSON of them, [`commands::logs`] follows the
//!   files.
//! - **Counted what ended?** [`pure::tally`]; [`pure::page`] makes the page for a browser of it.
//! - **Said where a dispatch is, and what it waits for?** [`pure::record`], over the facts that the
//!   view of [`effects::store`] reads; `commands::overview` puts them together for each query.
//! - **Removed what is over?** [`pure::upkeep::retention`] decides, `threads::heartbeat::retention`
//!   does it, a little with each beat.
//!
//! # What a change touches
//!
//! - **Another agent:** one row in [`pure::agent::DRIVERS`] and a file or folder beside
//!   `pure/agent/claude/`; nothing else (`tests/toy_driver` does it).
//! - **A command:** a variant of [`pure::command::row::Verb`], its row in a file of
//!   [`pure::command`], its arm in [`commands::run`], and a file `src/commands/<name>.rs`, working
//!   on the store's files, so that it works with the daemon up or down.
//! - **An audit event:** a variant of [`pure::audit_event::AuditEvent`], a row of its test, a line
//!   in `pure/reference/topics/events.md`.
//! - **A field of the heartbeat:** [`pure::heartbeat::Heartbeat`], which the daemon writes and
//!   every command may read back with `Store::read_heartbeat`.
//! - **A setting:** one row in [`pure::config::SETTINGS`], from which its flag, variable, key,
//!   default and help follow, and whether it needs a restart; its field is in
//!   [`pure::config::Settings`].
//!
//! # What holds everywhere
//!
//! The directory is the truth: if the process died at this line, the next start must reach the same
//! answer. A panic ends the process (`panic = "abort"`), so that recovery is the ordinary path. A
//! failed session is a value; an `Error` is the daemon's own trouble; in the loops of threads no
//! error ends the loop.

#![forbid(unsafe_code)]

pub mod commands;
pub mod daemon;
pub mod effects;
pub mod pure;
pub mod threads;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use commands::{Environment, Refusal};
use effects::process;
use effects::stderr::{self, Stderr};
use env_logger::Target;
use pure::agent::{self, Driver, Drivers};
use pure::command::code::Code;
use pure::command::help;
use pure::command::parse::{self, Command};
use pure::command::run::RunUntil;
use pure::command::typed::Typed;
use pure::config::flags::Flags;

/// The whole program. `args`: without the program's name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    main_with(args, agent::DRIVERS)
}

/// The same with another table of agents.
pub fn main_with(args: impl IntoIterator<Item = OsString>, drivers: &'static [Driver]) -> ExitCode {
    let mut args = args.into_iter().peekable();
    if args.next_if(|first| first == process::SESSION_VERB).is_some() {
        return not_become(&process::become_session(args));
    }
    if args.next_if(|first| first == process::CONFINED_VERB).is_some() {
        return not_become(&process::become_confined(args));
    }
    let code = match parse::parse(args) {
        Ok(Command::Help(None)) => print(&help::of_program()),
        Ok(Command::Help(Some(row))) => print(&help::of_command(row)),
        Ok(Command::Version) => {
            print(&format!("gstack-dispatch-daemon {}\n", env!("CARGO_PKG_VERSION")))
        }
        Ok(Command::Other(typed)) => {
            let environment = Environment::new(std::env::vars_os());
            commands::run(&typed, environment, Drivers::new(drivers))
        }
        Ok(Command::Run(typed)) => return run_daemon(&typed, drivers),
        Err(usage) => Refusal::WrongUsage(usage).tell(),
    };
    ExitCode::from(code.number())
}

fn run_daemon(typed: &Typed, drivers: &'static [Driver]) -> ExitCode {
    // This comes before any secret is read.
    let is_shut = effects::secrets::shut_memory();
    init_log(&typed.flags);
    if let Err(e) = is_shut {
        log::warn!("processes of this user can read the daemon's memory: {e}");
    }
    let until = RunUntil::of(typed);
    daemon::run(&typed.flags, until, Drivers::new(drivers)).unwrap_or_else(|error| refuse(&error))
}

fn print(text: &str) -> Code {
    commands::out::print(text).map_or_else(|refusal| refusal.tell(), |()| Code::Done)
}

/// A hidden verb could not become the program that it was called for.
fn not_become(why: &std::io::Error) -> ExitCode {
    eprintln!("gstack-dispatch-daemon: cannot become a session: {why}");
    ExitCode::from(Code::NotDone.number())
}

/// Why the daemon does not start: a line as the log has them, whatever level was asked for.
fn refuse(error: &str) -> ExitCode {
    let line = stderr::log_line("ERROR", &effects::secrets::redact(error));
    // There is nobody else to tell.
    let _ = writeln!(std::io::stderr(), "{line}");
    ExitCode::from(Code::NotDone.number())
}

/// One line an event on stderr: time, level, thread, text. `GSTACK_DISPATCHD_LOG` or `RUST_LOG`
/// choose the level. What the flags and the environment say of its form holds at once; what
/// `config.json` says, once it is read.
fn init_log(flags: &Flags) {
    stderr::set_format(flags.log_format(std::env::vars_os()));
    let level = |name| std::env::var(name).ok().filter(|level: &String| !level.is_empty());
    let filter = level("GSTACK_DISPATCHD_LOG")
        .or_else(|| level("RUST_LOG"))
        .unwrap_or_else(|| "info".into());
    let mut builder = env_logger::Builder::new();
    builder.parse_filters(&filter).format(|out, record| {
        let text = effects::secrets::redact(&record.args().to_string());
        writeln!(out, "{}", stderr::log_line(record.level().as_str(), &text))
    });
    if let Ok(stderr) = Stderr::open() {
        builder.target(Target::Pipe(Box::new(stderr)));
    }
    builder.init();
    stderr::let_no_panic_wait();
}
