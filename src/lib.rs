#![forbid(unsafe_code)]
pub mod daemon;
pub mod effects;
pub mod pure;
pub mod threads;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use pure::cli::{self, Command};

const FAILED: u8 = 1;
const WRONG_USAGE: u8 = 2;

/// The whole program. `args`: without the program's name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let answer = match cli::parse(args) {
        Ok(Command::Help) => print(&cli::help()),
        Ok(Command::Version) => {
            print(&format!("gstack-dispatch-daemon {}\n", env!("CARGO_PKG_VERSION")))
        }
        Ok(Command::Run(flags)) => {
            init_log();
            daemon::run(&flags).map_err(|e| (FAILED, e))
        }
        Err(usage) => Err((WRONG_USAGE, usage)),
    };
    answer.unwrap_or_else(|(code, error)| {
        eprintln!("gstack-dispatch-daemon: {error}");
        ExitCode::from(code)
    })
}

/// A reader that hangs up early (`| head`) is no failure.
fn print(text: &str) -> Result<ExitCode, (u8, String)> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err((FAILED, format!("cannot write the answer: {e}")))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// One line an event on stderr: time, level, thread, text. `GSTACK_DISPATCHD_LOG` or `RUST_LOG` choose the level.
fn init_log() {
    let level = |name| std::env::var(name).ok().filter(|level: &String| !level.is_empty());
    let filter = level("GSTACK_DISPATCHD_LOG")
        .or_else(|| level("RUST_LOG"))
        .unwrap_or_else(|| "info".into());
    env_logger::Builder::new()
        .parse_filters(&filter)
        .format(|out, record| {
            let thread = std::thread::current();
            let (stamp, name) = (effects::clock::stamp(), thread.name().unwrap_or("?"));
            writeln!(
                out,
                "{stamp} {:<5} {name}: {}",
                record.level(),
                pure::escape::line(&record.args().to_string())
            )
        })
        .init();
}
