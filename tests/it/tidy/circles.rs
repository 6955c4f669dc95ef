//! No circles of imports: of two neighbours in a folder, each taken with all that lies below it,
//! only one may reach the other.
//!
//! So a module and its own submodules are never a circle, while two files of one folder, or two
//! folders, are. An import counts for the file that really has the name: what a module passes on
//! from a submodule leads to that submodule. Must not know what any file is about.

use std::collections::{BTreeMap, BTreeSet};

use super::{Source, sources};

/// The names of modules, from the top.
type Path = Vec<String>;

/// What passes on a name may itself have it passed on; more often than this nobody does.
const PASSED_ON_MAX: u32 = 5;

#[derive(Default)]
struct Module {
    paths: Vec<Path>,
    /// What a `use` brings into it, by name.
    brought: BTreeMap<String, Path>,
}

type Modules = BTreeMap<Path, Module>;

fn module_of(name: &str) -> Path {
    let name = name.trim_end_matches(".rs").trim_end_matches("/mod");
    if name == "lib" { Path::new() } else { name.split('/').map(String::from).collect() }
}

fn modules(sources: &[Source]) -> Modules {
    let read = sources.iter().filter(|source| !source.is_test() && source.name != "main.rs");
    let code: BTreeMap<Path, String> =
        read.map(|source| (module_of(&source.name), source.code_text())).collect();
    let module = |(path, text): (&Path, &String)| {
        let mut reader = Reader { tokens: tokens(text), at: 0 };
        let mut module = Module::default();
        while let Some((is_use, found)) = reader.next_paths() {
            for named in found.into_iter().filter_map(|named| absolute(path, named, &code)) {
                if let (true, Some(last)) = (is_use, named.last()) {
                    module.brought.insert(last.clone(), named.clone());
                }
                module.paths.push(named);
            }
        }
        (path.clone(), module)
    };
    code.iter().map(module).collect()
}

/// `None` for what is of another crate.
fn absolute(here: &Path, named: Path, code: &BTreeMap<Path, String>) -> Option<Path> {
    let first = named.first()?;
    if first == "crate" {
        return Some(named[1..].to_vec());
    }
    let supers = named.iter().filter(|word| *word == "super").count();
    let is_relative = supers > 0 || first == "self";
    let words = named.into_iter().skip_while(|word| word == "super" || word == "self");
    let base = &here[..here.len().saturating_sub(supers)];
    let path: Path = base.iter().cloned().chain(words).collect();
    let is_child = code.contains_key(path.get(..=base.len())?);
    (is_relative || is_child).then_some(path)
}

fn tokens(text: &str) -> Vec<&str> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if is_word(first) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            ':' if rest.starts_with("::") => 2,
            _ => first.len_utf8(),
        };
        let (token, behind) = rest.split_at(length);
        found.push(token);
        rest = behind.trim_start();
    }
    found
}

struct Reader<'a> {
    tokens: Vec<&'a str>,
    at: usize,
}

impl Reader<'_> {
    fn token(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).copied().unwrap_or_default()
    }

    /// The next `use`, or the next path in the code that says where it begins; and whether it is a
    /// `use`.
    fn next_paths(&mut self) -> Option<(bool, Vec<Path>)> {
        while self.at < self.tokens.len() {
            let is_use = self.token(0) == "use";
            let is_path = ["crate", "super", "self"].contains(&self.token(0));
            if is_use || is_path && self.token(1) == "::" {
                self.at += usize::from(is_use);
                let mut found = Vec::new();
                self.tree(Path::new(), &mut found);
                return Some((is_use, found));
            }
            self.at += 1;
        }
        None
    }

    /// One path, or several that share their beginning: `a::{b, c::d}`.
    fn tree(&mut self, mut path: Path, found: &mut Vec<Path>) {
        loop {
            if self.token(0) == "{" {
                self.at += 1;
                while !["}", ""].contains(&self.token(0)) {
                    self.tree(path.clone(), found);
                    while ![",", "}", ""].contains(&self.token(0)) {
                        self.at += 1;
                    }
                    self.at += usize::from(self.token(0) == ",");
                }
                self.at += 1;
                return;
            }
            // In `a::{self, b}` it stands for `a`.
            if self.token(0) != "self" || path.is_empty() {
                path.push(self.token(0).to_string());
            }
            self.at += 1;
            if self.token(0) != "::" {
                found.push(path);
                return;
            }
            self.at += 1;
        }
    }
}

/// The module that has what a path names.
fn owner(modules: &Modules, path: &Path, passed_on_max: u32) -> Path {
    let is_module = |length: &usize| modules.contains_key(&path[..*length]);
    let length = (0..=path.len()).rev().find(is_module).unwrap_or_default();
    let (module, rest) = path.split_at(length);
    let brought = rest.first().and_then(|name| modules.get(module)?.brought.get(name));
    match brought {
        Some(from) if from != path && passed_on_max > 0 => {
            let path = from.iter().chain(&rest[1..]).cloned().collect();
            owner(modules, &path, passed_on_max - 1)
        }
        Some(_) | None => module.to_vec(),
    }
}

/// Who imports from whom, among neighbours; and by which paths.
fn imports(modules: &Modules) -> BTreeMap<(String, String), Vec<String>> {
    let mut found: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for (here, module) in modules {
        for path in &module.paths {
            let there = owner(modules, path, PASSED_ON_MAX);
            let shared = here.iter().zip(&there).take_while(|(one, two)| one == two).count();
            // One of them lies below the other, or both are the same.
            if shared == here.len() || shared == there.len() {
                continue;
            }
            let neighbours = (here[..=shared].join("/"), there[..=shared].join("/"));
            let how = format!("{} names {}", here.join("/"), path.join("::"));
            found.entry(neighbours).or_default().push(how);
        }
    }
    found
}

/// Each circle, with the imports that make it one.
fn circles(sources: &[Source]) -> BTreeMap<String, Vec<String>> {
    let imports = imports(&modules(sources));
    let reached = |from: &str| {
        let (mut reached, mut next) = (BTreeSet::new(), vec![from.to_string()]);
        while let Some(name) = next.pop() {
            let more = imports.keys().filter(|(one, _)| *one == name).map(|(_, two)| two);
            next.extend(more.filter(|two| reached.insert(two.to_string())).cloned());
        }
        reached
    };
    let all: BTreeMap<&str, BTreeSet<String>> =
        imports.keys().map(|(one, _)| (one.as_str(), reached(one))).collect();
    let mut found = BTreeMap::new();
    for (one, reached) in &all {
        let leads_back = |two: &&String| all.get(two.as_str()).is_some_and(|of| of.contains(*one));
        let members: Vec<&str> = reached.iter().filter(leads_back).map(String::as_str).collect();
        if members.len() > 1 {
            let inside = |(one, two): &(String, String)| {
                members.contains(&one.as_str()) && members.contains(&two.as_str())
            };
            let those = imports.iter().filter(|(names, _)| inside(names));
            let those = those.flat_map(|(_, paths)| paths.clone()).collect();
            found.insert(members.join(" <-> "), those);
        }
    }
    found
}

#[test]
fn imports_make_no_circles() {
    let found = circles(&sources());
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_circle_is_found_however_it_is_written() {
    let found = |files: &[(&str, &str)]| -> Vec<String> {
        let sources: Vec<Source> =
            files.iter().map(|(name, text)| Source::new(name, text)).collect();
        circles(&sources).into_keys().collect()
    };
    let two = ["pure/a <-> pure/b"];
    let plain = ("pure/a.rs", "use crate::pure::b::B;");
    assert_eq!(found(&[plain, ("pure/b.rs", "use super::a::{A, C};")]), two);
    assert_eq!(found(&[plain, ("pure/b.rs", "use crate::{std, pure::{c, a::{self, A}}};")]), two);
    assert_eq!(found(&[plain, ("pure/b.rs", "fn f() -> u8 { super::a::f(crate::x) }")]), two);
    assert_eq!(
        found(&[plain, ("pure/b/mod.rs", "mod deep;"), ("pure/b/deep.rs", "use super::super::a;")]),
        two
    );
    let passed_on = ("pure/mod.rs", "pub mod a;\nmod b;\npub use a::A;");
    assert_eq!(found(&[plain, passed_on, ("pure/b.rs", "use super::A;")]), two);
    let three = [plain, ("pure/b.rs", "use super::c;"), ("pure/c.rs", "use super::a::A;")];
    assert_eq!(found(&three), ["pure/a <-> pure/b <-> pure/c"]);
    // One way only; a module and its own submodule; words that are no import.
    let none: [&str; 0] = [];
    assert_eq!(found(&[plain, ("pure/b.rs", "use super::c; // not super::a::A")]), none);
    let family = ("pure/a/mod.rs", "mod x;\nuse x::X;\nfn f() { self::x::g() }");
    assert_eq!(found(&[family, ("pure/a/x.rs", "use super::A;\nuse crate::pure::a::B;")]), none);
    assert_eq!(found(&[plain, ("pure/b.rs", "use std::a::A;\nfn f() { a::f() }")]), none);
}
