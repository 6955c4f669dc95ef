//! The commands as they are typed: a table with a row for each, one parser over it, and what each
//! command makes of its words.
//!
//! Must not look at any file: whether a dispatch of an id is there is for the command to find out.
//! A new command is a [`row::Verb`], a file with its row, and a line in [`table`].

pub mod code;
pub mod help;
pub mod keys;
pub mod parse;
pub mod row;
pub mod run;
pub mod table;
pub mod typed;
pub mod verdict;
