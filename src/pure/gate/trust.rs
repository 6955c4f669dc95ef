//! `trusted_projects`: the directories in which a dispatch runs without anybody being asked.
//!
//! An entry stands for a directory and everything below it. It is compared by component, so that
//! `/srv/shop` never covers `/srv/shopping`. Where an entry's fixed part leads is asked at each
//! use: a link or a directory may come later. Must not trust what it cannot read.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Whether the operator trusts a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// `trusted_projects` is not set at all.
    NotSet,
    Trusted,
    Untrusted,
}

/// One entry: a directory as it is written, and what its names below must look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedPlace {
    /// The part before the first glob, from `/` or `~/`.
    pub fixed: String,
    globs: Vec<String>,
}

impl TrustedPlace {
    /// Reads an entry. The error says what is wrong with it.
    pub fn parse(text: &str) -> Result<TrustedPlace, String> {
        if !text.starts_with('/') && !text.starts_with("~/") {
            return Err(format!("{text} is no directory: name it from / or ~/"));
        }
        if text.contains('\0') {
            return Err(format!("{text:?} has a NUL character"));
        }
        let (top, rest) = text.split_once('/').unwrap_or((text, ""));
        let names: Vec<&str> = rest.split('/').filter(|name| !name.is_empty()).collect();
        let split = names.iter().position(|name| name.contains('*')).unwrap_or(names.len());
        let (fixed, globs) = names.split_at(split);
        if globs.iter().any(|name| matches!(*name, "." | "..")) {
            return Err(format!("{text}: neither . nor .. may stand behind a *"));
        }
        let fixed = format!("{top}/{}", fixed.join("/"));
        Ok(TrustedPlace { fixed, globs: globs.iter().map(|name| name.to_string()).collect() })
    }

    /// Whether a canonical directory is, or lies below, what this entry names. `leads_to`: where
    /// its fixed part leads now.
    fn covers(&self, dir: &Path, leads_to: &Path) -> bool {
        let Ok(below) = dir.strip_prefix(leads_to) else { return false };
        let names: Vec<&[u8]> = below
            .components()
            .map(|part| match part {
                Component::Normal(name) => name.as_bytes(),
                other => OsStr::as_bytes(other.as_os_str()),
            })
            .collect();
        matches_path(&self.globs, &names)
    }
}

/// Whether a directory is trusted. `dir`: its canonical path, or none if it does not exist;
/// `resolve` says where the fixed part of an entry leads now.
pub fn trust(
    entries: Option<&[TrustedPlace]>,
    dir: Option<&Path>,
    resolve: &dyn Fn(&str) -> PathBuf,
) -> Trust {
    let Some(entries) = entries else { return Trust::NotSet };
    let covers = |dir: &Path| entries.iter().any(|entry| entry.covers(dir, &resolve(&entry.fixed)));
    if dir.is_some_and(covers) { Trust::Trusted } else { Trust::Untrusted }
}

/// Whether the globs match the first of these names; those behind lie below the directory. Each
/// `**` stands for any number of names. Reading both from the front, only the last `**` is gone
/// back to, which keeps this linear in their product.
fn matches_path(globs: &[String], names: &[&[u8]]) -> bool {
    let (mut glob, mut name) = (0, 0);
    let mut again: Option<(usize, usize)> = None;
    loop {
        if glob == globs.len() {
            return true;
        }
        if globs[glob] == "**" {
            again = Some((glob + 1, name));
            glob += 1;
        } else if name < names.len() && matches_name(globs[glob].as_bytes(), names[name]) {
            glob += 1;
            name += 1;
        } else {
            let Some((after, from)) = again.filter(|(_, from)| *from < names.len()) else {
                return false;
            };
            again = Some((after, from + 1));
            (glob, name) = (after, from + 1);
        }
    }
}

/// Whether one name is what the glob says: `*` stands for any bytes, but for no leading dot.
fn matches_name(glob: &[u8], name: &[u8]) -> bool {
    if glob.first() == Some(&b'*') && name.first() == Some(&b'.') {
        return false;
    }
    let (mut at, mut byte) = (0, 0);
    let mut again: Option<(usize, usize)> = None;
    while byte < name.len() {
        if glob.get(at) == Some(&b'*') {
            again = Some((at + 1, byte));
            at += 1;
        } else if glob.get(at) == Some(&name[byte]) {
            at += 1;
            byte += 1;
        } else {
            let Some((after, from)) = again else { return false };
            again = Some((after, from + 1));
            (at, byte) = (after, from + 1);
        }
    }
    glob[at..].iter().all(|rest| *rest == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(fixed: &str) -> PathBuf {
        match fixed.strip_prefix("~/") {
            Some(rest) => Path::new("/home/u").join(rest),
            None => fixed.into(),
        }
    }

    fn is_trusted(entry: &str, dir: &str) -> bool {
        let entries = [TrustedPlace::parse(entry).expect("an entry")];
        trust(Some(&entries), Some(Path::new(dir)), &home) == Trust::Trusted
    }

    #[test]
    fn an_entry_is_a_directory_and_all_below_it_by_component() {
        for (entry, dir, want) in [
            ("/srv/shop", "/srv/shop", true),
            ("/srv/shop/", "/srv/shop/a/b", true),
            ("/srv/shop", "/srv/shopping", false),
            ("/srv/shop", "/srv", false),
            ("/srv//shop", "/srv/shop", true),
            ("~/git", "/home/u/git/x", true),
            ("~/", "/home/u/x", true),
            ("~/git", "/home/v/git", false),
            ("/", "/anything", true),
            ("/srv/*", "/srv/a", true),
            ("/srv/*", "/srv/a/b/c", true),
            ("/srv/*", "/srv", false),
            ("/srv/*", "/srv/.hidden", false),
            ("/srv/*", "/srv/a/.hidden", true),
            ("/srv/.*", "/srv/.hidden", true),
            ("/srv/shop-*", "/srv/shop-1/x", true),
            ("/srv/shop-*", "/srv/shop", false),
            ("/srv/*-shop", "/srv/.x-shop", false),
            ("/srv/*/app", "/srv/a/app", true),
            ("/srv/*/app", "/srv/a/b/app", false),
            ("/srv/*/app", "/srv/app", false),
            ("/srv/**/app", "/srv/app/deep", true),
            ("/srv/**/app", "/srv/a/b/c/app", true),
            ("/srv/**/app", "/srv/a/b/c", false),
            ("/srv/**", "/srv", true),
            // Only of `*` it is said that it is never a leading dot.
            ("/srv/**/app", "/srv/.hidden/app", true),
            ("/srv/**/*", "/srv/.hidden", false),
            ("/srv/**/a/**/b", "/srv/a/x/a/y/b", true),
            ("/srv/**/a/**/b", "/srv/b/a", false),
            ("/srv/a*b*c", "/srv/axxbyyc", true),
            ("/srv/a*b*c", "/srv/acb", false),
            ("/srv/**x", "/srv/ax", true),
            ("/srv/[ab]", "/srv/a", false),
            ("/srv/a?", "/srv/ab", false),
        ] {
            assert_eq!(is_trusted(entry, dir), want, "{entry} {dir}");
        }
    }

    #[test]
    fn not_set_empty_and_missing_are_three_things() {
        let entries = [TrustedPlace::parse("/srv").expect("an entry")];
        let dir = Some(Path::new("/srv/a"));
        assert_eq!(trust(None, dir, &home), Trust::NotSet);
        assert_eq!(trust(None, None, &home), Trust::NotSet);
        assert_eq!(trust(Some(&[]), dir, &home), Trust::Untrusted);
        assert_eq!(trust(Some(&entries), dir, &home), Trust::Trusted);
        assert_eq!(trust(Some(&entries), None, &home), Trust::Untrusted);
    }

    #[test]
    fn what_names_no_directory_is_no_entry() {
        for (text, says) in [
            ("git/shop", "git/shop is no directory: name it from / or ~/"),
            ("", " is no directory: name it from / or ~/"),
            ("~", "~ is no directory: name it from / or ~/"),
            ("~root/x", "~root/x is no directory: name it from / or ~/"),
            ("/a/*/../b", "/a/*/../b: neither . nor .. may stand behind a *"),
        ] {
            assert_eq!(TrustedPlace::parse(text), Err(says.to_string()));
        }
    }

    #[test]
    fn a_glob_of_many_stars_takes_no_time() {
        let entry = format!("/srv/{}b", "a*".repeat(200));
        assert!(!is_trusted(&entry, &format!("/srv/{}", "a".repeat(4000))));
        let deep = format!("/srv/{}/x", vec!["**"; 100].join("/"));
        assert!(!is_trusted(&deep, &format!("/srv{}", "/a".repeat(500))));
    }
}
