//! Finds an agent's program: what the settings name, or what is in `$PATH` or in the places where
//! its installer puts it. Must not start it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::process::find_program;
use super::project;
use crate::pure::agent::Driver;
use crate::pure::config::Settings;

/// An absolute path. The error says what was looked for, and where. `path`: `$PATH`.
pub fn find_agent(
    driver: &Driver,
    settings: &Settings,
    home: Option<&OsStr>,
    path: Option<&OsStr>,
) -> Result<PathBuf, String> {
    let named = driver.named(settings);
    let program = named.unwrap_or(driver.program);
    if program.contains('/') {
        let named = project::expand(program, home);
        let found = find_program(&named.to_string_lossy(), None, &[]);
        return found.ok_or_else(|| format!("{program} is no executable file"));
    }
    let places = driver.places.iter().map(|place| project::expand(place, home));
    let places: Vec<PathBuf> = places.filter(|place| !place.starts_with("~")).collect();
    find_program(program, path, &places).ok_or_else(|| {
        let places = driver.places.join(", ");
        format!("no program {program} in PATH, {places}")
    })
}

/// What a program that is a script wants `env` to find for it (`#!/usr/bin/env node`).
pub fn interpreter_of(program: &Path) -> Option<String> {
    use std::io::Read;

    /// Linux reads no more of the first line (execve(2)).
    const LINE_BYTES_MAX: u64 = 255;
    let mut line = Vec::new();
    std::fs::File::open(program).ok()?.take(LINE_BYTES_MAX).read_to_end(&mut line).ok()?;
    let line = String::from_utf8_lossy(&line);
    let mut words = line.lines().next()?.strip_prefix("#!")?.split_whitespace();
    words.next().filter(|program| program.ends_with("/env"))?;
    words.find(|word| !word.starts_with('-') && !word.contains('=')).map(str::to_string)
}
