//! Where a test can end the process or make an effect fail: before each call that opens, reads or
//! changes a file of ours, starts a process or signals one. Without the feature `failpoints` none
//! of this is in the program.
//!
//! The failpoints sit in the effects themselves, not in a wrapper around the daemon: what is
//! counted is then just what can go wrong, and a test that walks through all numbers has seen every
//! place.

use std::path::Path;
#[cfg(not(feature = "failpoints"))]
use std::{fs::File, io};

/// What is about to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect<'a> {
    /// Asks which file this is, or whether there is one.
    Look,
    Open,
    Read,
    Create(&'a Path),
    MakeDir(&'a Path),
    Write,
    /// The target is a file or a folder.
    Sync(&'a Path),
    Rename(&'a Path, &'a Path),
    /// The target is a file, or a folder with all that is in it.
    Remove(&'a Path),
    Spawn,
    Signal,
}

#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn before(_effect: Effect<'_>) -> io::Result<()> {
    Ok(())
}

#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn write(file: &mut File, bytes: &[u8]) -> io::Result<usize> {
    io::Write::write(file, bytes)
}

#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn clock_error_ms() -> i64 {
    0
}

#[cfg(feature = "failpoints")]
pub use armed::{before, clock_error_ms, write};

/// A test sets these variables:
///
/// - `GSTACK_FAILPOINT`: `kill@N` (SIGKILL before the N-th effect), `ENOSPC@N` (the first effect
///   from the N-th on that can fail so fails once), `ENOSPC@N+` (all of them do, for ever),
///   `short@N` (that write takes half, the next one nothing).
/// - `GSTACK_FAILPOINT_OVER`: a path; nothing fails as long as something is there.
/// - `GSTACK_FAILPOINT_TRACE`: a file that gets one line for each effect: number, name, paths.
/// - `GSTACK_FAILPOINT_CLOCK`: a file; the wall clock is wrong by as many milliseconds as stand in
///   it, from one look to the next.
/// - `GSTACK_FAILPOINT_KEEP`: a folder in which a file that is removed or replaced keeps a second
///   name, the effect's number.
#[cfg(feature = "failpoints")]
mod armed {
    use std::fs::{File, OpenOptions};
    use std::io::{self, Write};
    use std::path::{Path, PathBuf};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::time::Duration;

    use rustix::io::Errno;
    use rustix::process::{Signal, getpid, kill_process};

    use super::Effect;

    /// How wrong the wall clock is just now.
    pub fn clock_error_ms() -> i64 {
        static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();
        let file = FILE.get_or_init(|| std::env::var_os("GSTACK_FAILPOINT_CLOCK").map(Into::into));
        let text = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
        text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    struct Plan {
        fault: Option<Fault>,
        from: u64,
        for_ever: bool,
        over: Option<PathBuf>,
        trace: Option<File>,
        keep: Option<PathBuf>,
        count: AtomicU64,
        is_spent: AtomicBool,
        /// Writes since the short one, itself included.
        shorts: AtomicU64,
    }

    enum Fault {
        Kill,
        Fail(&'static str, Errno, &'static [&'static str]),
        Short,
    }

    /// Which errors which effect can have (open(2), write(2), rename(2), fork(2) and so on).
    const FAULTS: [(&str, Errno, &[&str]); 9] = [
        ("ENOSPC", Errno::NOSPC, &["Create", "MakeDir", "Write", "Sync", "Rename"]),
        ("EDQUOT", Errno::DQUOT, &["Create", "MakeDir", "Write", "Sync", "Rename"]),
        (
            "EIO",
            Errno::IO,
            &["Look", "Open", "Read", "Create", "MakeDir", "Write", "Sync", "Rename", "Remove"],
        ),
        ("EROFS", Errno::ROFS, &["Create", "MakeDir", "Write", "Rename", "Remove"]),
        ("EMFILE", Errno::MFILE, &["Open", "Create", "Spawn"]),
        ("ENFILE", Errno::NFILE, &["Open", "Create", "Spawn"]),
        (
            "ENOMEM",
            Errno::NOMEM,
            &["Look", "Open", "Read", "Create", "MakeDir", "Write", "Rename", "Remove", "Spawn"],
        ),
        ("EAGAIN", Errno::AGAIN, &["Spawn"]),
        ("EINTR", Errno::INTR, &["Write"]),
    ];

    fn parts<'a>(effect: Effect<'a>) -> (&'static str, &'a Path, &'a Path) {
        let none = Path::new("");
        match effect {
            Effect::Look => ("Look", none, none),
            Effect::Open => ("Open", none, none),
            Effect::Read => ("Read", none, none),
            Effect::Create(path) => ("Create", path, none),
            Effect::MakeDir(path) => ("MakeDir", path, none),
            Effect::Write => ("Write", none, none),
            Effect::Sync(path) => ("Sync", path, none),
            Effect::Rename(from, to) => ("Rename", from, to),
            Effect::Remove(path) => ("Remove", path, none),
            Effect::Spawn => ("Spawn", none, none),
            Effect::Signal => ("Signal", none, none),
        }
    }

    fn plan() -> &'static Plan {
        static PLAN: OnceLock<Plan> = OnceLock::new();
        PLAN.get_or_init(|| {
            let text = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
            let order = text("GSTACK_FAILPOINT").unwrap_or_default();
            let (what, at) = order.split_once('@').unwrap_or((&order, "0"));
            let fault = match what {
                "" => None,
                "kill" => Some(Fault::Kill),
                "short" => Some(Fault::Short),
                name => {
                    let known = FAULTS.iter().find(|(known, _, _)| *known == name);
                    let (name, errno, effects) = known.expect("a fault that is known");
                    Some(Fault::Fail(name, *errno, effects))
                }
            };
            let trace = text("GSTACK_FAILPOINT_TRACE")
                .and_then(|path| OpenOptions::new().append(true).create(true).open(path).ok());
            Plan {
                fault,
                from: at.trim_end_matches('+').parse().expect("the number of an effect"),
                for_ever: at.ends_with('+'),
                over: text("GSTACK_FAILPOINT_OVER").map(PathBuf::from),
                trace,
                keep: text("GSTACK_FAILPOINT_KEEP").map(PathBuf::from),
                count: AtomicU64::new(0),
                is_spent: AtomicBool::new(false),
                shorts: AtomicU64::new(0),
            }
        })
    }

    impl Plan {
        fn is_over(&self) -> bool {
            self.over.as_ref().is_some_and(|path| path.exists())
        }

        fn count(&self, effect: Effect<'_>) -> u64 {
            let number = self.count.fetch_add(1, Ordering::AcqRel) + 1;
            if let Some(mut trace) = self.trace.as_ref() {
                let (name, from, to) = parts(effect);
                let line = format!("{number}\t{name}\t{}\t{}\n", from.display(), to.display());
                let _ = trace.write_all(line.as_bytes());
            }
            let lost = match effect {
                Effect::Remove(path) | Effect::Rename(_, path) => path,
                _ => return number,
            };
            if let Some(keep) = &self.keep {
                let _ = std::fs::hard_link(lost, keep.join(number.to_string()));
            }
            number
        }

        /// Whether the fault strikes here. A fault that strikes once is spent then.
        fn strikes(&self, number: u64) -> bool {
            number >= self.from
                && !self.is_over()
                && (self.for_ever || !self.is_spent.swap(true, Ordering::AcqRel))
        }
    }

    pub fn before(effect: Effect<'_>) -> io::Result<()> {
        while IS_DYING.load(Ordering::Acquire) {
            std::thread::park();
        }
        let plan = plan();
        let number = plan.count(effect);
        match &plan.fault {
            Some(Fault::Kill) if number == plan.from => die(),
            Some(Fault::Fail(name, errno, effects))
                if effects.contains(&parts(effect).0) && plan.strikes(number) =>
            {
                log::debug!("failpoint: {name} at {number}");
                Err((*errno).into())
            }
            _ => Ok(()),
        }
    }

    pub fn write(file: &mut File, bytes: &[u8]) -> io::Result<usize> {
        before(Effect::Write)?;
        let plan = plan();
        let Some(Fault::Short) = plan.fault else { return file.write(bytes) };
        if plan.count.load(Ordering::Acquire) < plan.from || plan.is_over() {
            return file.write(bytes);
        }
        match plan.shorts.fetch_add(1, Ordering::AcqRel) {
            0 => file.write(&bytes[..bytes.len() / 2]),
            // The write after the short one finds no room.
            n if n == 1 || plan.for_ever => Err(Errno::NOSPC.into()),
            _ => file.write(bytes),
        }
    }

    /// Other threads have this long to do what they announced, and nothing new is done: the trace
    /// is what happened.
    const LAST_EFFECTS: Duration = Duration::from_millis(25);
    static IS_DYING: AtomicBool = AtomicBool::new(false);

    fn die() -> ! {
        IS_DYING.store(true, Ordering::Release);
        std::thread::sleep(LAST_EFFECTS);
        let _ = kill_process(getpid(), Signal::KILL);
        loop {
            std::thread::park();
        }
    }
}
