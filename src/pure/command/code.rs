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
    pub const ALL: [Code; 10] = [
        Code::Done,
        Code::NotDone,
        Code::WrongUsage,
        Code::NoSuchDispatch,
        Code::Failed,
        Code::Timeout,
        Code::Cancelled,
        Code::Rejected,
        Code::TimedOut,
        Code::Interrupted,
    ];

    pub fn number(self) -> u8 {
        self as u8
    }

    /// What it says in general; the row of a command says what it means there.
    pub fn meaning(self) -> &'static str {
        match self {
            Code::Done => "done; of a question: answered, whatever the answer is",
            Code::NotDone => {
                "it could not be done; `doctor` found what fails; `status --check` does not hold"
            }
            Code::WrongUsage => {
                "wrong usage; of an unknown command, option or topic the nearest is named"
            }
            Code::NoSuchDispatch => "there is no such dispatch, or there are several",
            Code::Failed => "the dispatch that was waited for has failed",
            Code::Timeout => "it ran out of time",
            Code::Cancelled => "it was cancelled",
            Code::Rejected => "it was rejected",
            Code::TimedOut => "`--timeout` has passed (of a request to the daemon: 1)",
            Code::Interrupted => "Ctrl-C (of `status --watch`: 0)",
        }
    }
}
