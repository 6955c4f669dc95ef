//! `logs`: what the sessions of a dispatch say, as text for people, an object a line, or byte for
//! byte; what is there, and with `-f` what comes.
//!
//! Must change nothing and must not stand in anybody's way: it looks at the files a few times a
//! second, wherever the claim is by then.

mod printer;
mod tail;
mod telling;
