//! The exit codes: below 10 they say what became of the command, from 10 what became of the
//! dispatch. They are part of the interface, so none may ever get another meaning.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Done, or answered.
    Done = 0,
    /// It could not be done.
    NotDone = 1,
    WrongUsage = 2,
    /// There is no such dispatch, or there are several.
    NoSuchDispatch = 3,
    Failed = 10,
    Timeout = 11,
    Cancelled = 12,
    Rejected = 13,
    /// `--timeout` has passed.
    TimedOut = 124,
    /// Ctrl-C.
    Interrupted = 130,
}

impl Code {
    pub fn number(self) -> u8 {
        self as u8
    }
}
