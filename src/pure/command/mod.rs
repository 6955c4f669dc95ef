//! The commands as they are typed: a table with a row for each, one parser over it, and what each
//! command makes of its words.
//!
//! Must not look at any file: whether a dispatch of an id is there is for the command to find out.
//! A new command is a [`row::Verb`], a file with its row, and a line in [`table`].

pub mod code;
pub mod completions;
pub mod config;
pub mod doctor;
pub mod explain;
pub mod help;
pub mod keys;
pub mod list;
pub mod logs;
pub mod man;
pub mod parse;
pub mod report;
pub mod row;
pub mod run;
pub mod service;
pub mod show;
pub mod status;
pub mod steer;
pub mod submit;
pub mod table;
pub mod topic;
pub mod typed;
pub mod verdict;
pub mod wait;
