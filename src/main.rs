//! The program: arguments in, exit code out.
//!
//! Everything else is in the library, so that tests can reach it; nothing is decided here.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    gstack_dispatch_daemon::main(std::env::args_os().skip(1))
}
