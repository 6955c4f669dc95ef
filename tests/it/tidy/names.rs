//! One name, one meaning: no two types of a layer are called alike, whoever may see them.

use std::collections::{BTreeMap, BTreeSet};

use super::{LAYERS, Source, layer_of, sources};

/// The type that a line defines. What is indented belongs to a trait, a function or a system.
fn defined_in(line: &str) -> Option<&str> {
    let line = match line.strip_prefix("pub") {
        Some(rest) => rest.split_once(' ')?.1,
        None => line,
    };
    let (word, rest) = line.split_once(' ')?;
    let is_type = ["struct", "enum", "type", "trait"].contains(&word);
    is_type.then(|| rest.split(|c: char| !c.is_alphanumeric()).next()).flatten()
}

/// Names that two files of one layer give to types, with the files. Twice in one file is one type
/// for two systems.
fn double_names(sources: &[Source]) -> BTreeMap<String, BTreeSet<&str>> {
    let mut found: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.is_test()) {
        let Some(layer) = LAYERS.get(layer_of(&source.name)) else { continue };
        for name in source.code().filter_map(defined_in) {
            found.entry(format!("{layer}: {name}")).or_default().insert(&source.name);
        }
    }
    found.retain(|_, files| files.len() > 1);
    found
}

#[test]
fn a_name_of_a_layer_is_one_type() {
    let sources = sources();
    let found = double_names(&sources);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_second_type_of_a_name_is_found_whoever_may_see_it() {
    let first = "pub struct Look<'a> {";
    for second in ["enum Look {", "pub(super) struct Look;", "type Look = u8;", "pub trait Look {"]
    {
        let both = [Source::new("pure/x.rs", first), Source::new("pure/y/z.rs", second)];
        assert_eq!(double_names(&both).len(), 1, "{second}");
    }
    let apart = [
        Source::new("pure/x.rs", first),
        Source::new("threads/x.rs", first),
        Source::new(
            "pure/y.rs",
            "struct Looks;\n// struct Look;\n    type Look = u8;\nfn look() {}",
        ),
        Source::new("pure/z.rs", "#[cfg(test)]\nmod tests {\nstruct Look;\n}"),
        Source::new("pure/y_tests.rs", first),
    ];
    assert_eq!(double_names(&apart), BTreeMap::new());
}
