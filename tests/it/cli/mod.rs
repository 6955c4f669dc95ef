//! The command line, the settings and where they come from, the look for `claude`, one daemon for
//! one directory, and what a start makes of the directory.

mod directories;
mod inherited;
mod one_of_us;
mod program;
mod sources;
mod words;

use std::fs;

use crate::util::*;

fn fake() -> String {
    format!("{FIXTURES}/bin/claude")
}

fn config(lab: &Lab, text: &str) {
    fs::create_dir_all(lab.ours()).expect("create dispatchd");
    fs::write(lab.ours().join("config.json"), text).expect("write config.json");
}
