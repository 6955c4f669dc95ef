//! Arguments in, exit code out. Everything else is in the library.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    gstack_dispatch_daemon::main(std::env::args_os().skip(1))
}
