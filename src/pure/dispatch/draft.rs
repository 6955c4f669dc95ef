//! A dispatch that is about to be sent: a document, what is typed in the place of its fields, and
//! what stands for what neither says. Also the same again, for a retry.
//!
//! What nobody replaces stays as it is spelled, down to the digits of a number: a document is never
//! read and written again. Must not decide what a dispatch is: [`super::parse`] does, as for every
//! file that is dropped.

use serde_json::{Map, Value, json};

use super::{DispatchId, ID_CHARS_MAX, RETRY_OF, SIGNATURE_FIELD};
use crate::pure::text::members::members;

/// How many characters of an id are drawn: with so many nobody meets an id that is taken.
const DRAWN_CHARS: usize = 10;
const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// A field that somebody typed, and as which option.
#[derive(Clone, Debug, PartialEq)]
pub struct TypedField {
    pub option: &'static str,
    pub key: &'static str,
    pub value: Value,
}

/// What stands for what neither the document nor an option says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DraftDefaults {
    pub id: DispatchId,
    pub dispatched_by: String,
    pub project_dir: String,
}

/// The option that no dispatch could have, in the words of whoever refuses it. Each is tried alone
/// in a dispatch that is right.
pub fn option_at_fault<E>(
    typed: &[TypedField],
    check: impl Fn(&str) -> Result<(), E>,
) -> Option<(&'static str, E)> {
    typed.iter().find_map(|field| {
        let mut right = json!({
            "id": "dispatch-a", "dispatched_by": "a", "task": "a", "project": "a",
            "project_dir": "/",
        });
        right[field.key] = field.value.clone();
        check(&right.to_string()).err().map(|e| (field.option, e))
    })
}

/// The document with what was typed in the place of its fields, and the defaults for what is
/// missing. What is no JSON object comes back as it is, for the parser to refuse.
pub fn draft(document: Option<&str>, typed: &[TypedField], defaults: &DraftDefaults) -> String {
    let document = document.unwrap_or("{}");
    let Some(mut fields) = Spelled::of(document) else { return document.into() };
    for field in typed {
        fields.put(field.key, &field.value);
    }
    if !typed.is_empty() {
        // It would be that of other fields.
        fields.remove(SIGNATURE_FIELD);
    }
    let DraftDefaults { id, dispatched_by, project_dir } = defaults;
    for (key, value) in [
        ("id", id.as_str()),
        ("dispatched_by", dispatched_by.as_str()),
        ("project_dir", project_dir.as_str()),
    ] {
        fields.put_missing(key, || value.into());
    }
    let dir = fields.text("project_dir").unwrap_or_else(|| project_dir.clone());
    fields.put_missing("project", || project_name(&dir).into());
    fields.to_json()
}

/// The document with its signature.
pub fn with_signature(document: &str, signature: &str) -> String {
    let Some(mut fields) = Spelled::of(document) else { return document.into() };
    fields.put(SIGNATURE_FIELD, &json!(signature));
    fields.to_json()
}

/// Whether a document names its own id.
pub fn names_id(document: &str) -> bool {
    Spelled::of(document).is_some_and(|fields| fields.has("id"))
}

/// The same dispatch again, under another id.
pub fn retry(document: &str, old: &DispatchId, new: &DispatchId) -> String {
    let Some(mut fields) = Spelled::of(document) else { return document.into() };
    fields.remove(SIGNATURE_FIELD);
    fields.put("id", &json!(new.as_str()));
    fields.put(RETRY_OF, &json!(old.as_str()));
    fields.to_json()
}

/// The ids under which a dispatch is run again, in the order in which they are tried: `-r2` behind
/// the id of the first run, then `-r3`.
pub fn retry_ids(old: &DispatchId) -> impl Iterator<Item = DispatchId> {
    let base = first_run(old.as_str()).to_string();
    (2_u32..).filter_map(move |number| {
        let suffix = format!("-r{number}");
        let kept = base.len().min(ID_CHARS_MAX - suffix.len());
        DispatchId::parse(&format!("{}{suffix}", base.get(..kept)?))
    })
}

/// The id without the `-rN` of a retry.
pub fn first_run(id: &str) -> &str {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match id.rsplit_once("-r") {
        Some((base, number)) if is_number(number) && base.len() > "dispatch-".len() => base,
        _ => id,
    }
}

/// An id that nobody has had, made of random bytes.
pub fn drawn_id(random: &[u8; DRAWN_CHARS]) -> DispatchId {
    let letter = |byte: &u8| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]);
    let drawn: String = random.iter().map(letter).collect();
    DispatchId::parse(&format!("dispatch-{drawn}")).expect("invariant: those letters make an id")
}

/// The name of a project that lies in that directory.
fn project_name(dir: &str) -> &str {
    let name = dir.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    if name.is_empty() { dir } else { name }
}

/// The fields of a document, in their order, each as it is spelled.
struct Spelled(Vec<(String, String)>);

impl Spelled {
    /// `None`: it is no JSON object.
    fn of(document: &str) -> Option<Spelled> {
        let document = document.strip_prefix('\u{feff}').unwrap_or(document);
        serde_json::from_str::<Map<String, Value>>(document).ok()?;
        let fields = members(document)?.into_iter();
        Some(Spelled(fields.map(|field| (field.key, field.value.to_string())).collect()))
    }

    fn put(&mut self, key: &str, value: &Value) {
        match self.0.iter_mut().find(|(known, _)| known == key) {
            Some((_, spelled)) => *spelled = value.to_string(),
            None => self.0.push((key.into(), value.to_string())),
        }
    }

    fn put_missing(&mut self, key: &str, value: impl FnOnce() -> Value) {
        if !self.has(key) {
            self.put(key, &value());
        }
    }

    fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(known, _)| known == key)
    }

    fn remove(&mut self, key: &str) {
        self.0.retain(|(known, _)| known != key);
    }

    fn text(&self, key: &str) -> Option<String> {
        let (_, spelled) = self.0.iter().find(|(known, _)| known == key)?;
        serde_json::from_str(spelled).ok()
    }

    fn to_json(&self) -> String {
        let field = |(key, value): &(String, String)| format!("{}:{value}", Value::from(&**key));
        let fields: Vec<String> = self.0.iter().map(field).collect();
        format!("{{{}}}\n", fields.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::dispatch::{self, AGENTS};

    fn id(text: &str) -> DispatchId {
        DispatchId::parse(text).expect(text)
    }

    fn typed(option: &'static str, key: &'static str, value: impl Into<Value>) -> TypedField {
        TypedField { option, key, value: value.into() }
    }

    fn made(document: Option<&str>, fields: &[TypedField]) -> String {
        let defaults = DraftDefaults {
            id: id("dispatch-d"),
            dispatched_by: "u".into(),
            project_dir: "/git/shop".into(),
        };
        draft(document, fields, &defaults)
    }

    #[test]
    fn a_task_alone_makes_a_dispatch() {
        let text = made(None, &[typed("--task", "task", "t")]);
        let want = concat!(
            r#"{"task":"t","id":"dispatch-d","dispatched_by":"u","project_dir":"/git/shop","#,
            r#""project":"shop"}"#,
            "\n",
        );
        assert_eq!(text, want);
        assert!(dispatch::parse(text.as_bytes(), 60, &AGENTS).is_ok());
        for (dir, name) in [("/git/a b/", "a b"), ("~/x", "x"), ("/", "/"), ("~", "~")] {
            let text = made(None, &[typed("--project-dir", "project_dir", dir)]);
            let fields: Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(fields["project"], name, "{dir}");
        }
    }

    #[test]
    fn what_is_typed_replaces_a_field_and_every_other_one_stays_as_it_is_spelled() {
        let document = concat!(
            "\u{feff}{ \"id\" : \"dispatch-x\",\n\"n\":1.50, \"big\": 123456789012345678901234567890,",
            "\"project\":\"p\",\"project_dir\":\"/x\",\"dispatched_by\":\"\\u0061\",\"task\":\"old\",",
            "\"source_signature\":\"s\"}",
        );
        let text = made(
            Some(document),
            &[typed("--task", "task", "n\"w"), typed("--ttl", "ttl_seconds", 7200)],
        );
        let want = concat!(
            r#"{"id":"dispatch-x","n":1.50,"big":123456789012345678901234567890,"project":"p","#,
            r#""project_dir":"/x","dispatched_by":"\u0061","task":"n\"w","ttl_seconds":7200}"#,
            "\n",
        );
        assert_eq!(text, want);
    }

    #[test]
    fn what_is_no_object_is_left_to_the_parser() {
        for text in ["", "[]", "{", "7", "{\"a\":1} x"] {
            assert_eq!(made(Some(text), &[typed("--task", "task", "t")]), text);
        }
        let twice = made(Some(r#"{"a":1,"a":2}"#), &[typed("--task", "task", "t")]);
        assert!(dispatch::parse(twice.as_bytes(), 60, &AGENTS).is_err(), "{twice}");
    }

    #[test]
    fn the_option_that_is_wrong_is_told_from_what_is_wrong_in_the_document() {
        let check = |text: &str| {
            let parsed = dispatch::parse(text.as_bytes(), 60, &AGENTS);
            parsed.map(drop).map_err(|rejection| rejection.error)
        };
        for (field, want) in [
            (typed("--id", "id", "dispatch-a/b"), true),
            (typed("--id", "id", "dispatch-b"), false),
            (typed("--task", "task", ""), true),
            (typed("--task", "task", "a\0b"), true),
            (typed("--ttl", "ttl_seconds", 59), true),
            (typed("--ttl", "ttl_seconds", 60), false),
            (typed("--target-agent", "target_agent", "nobody"), true),
            (typed("--constraint", "constraints", vec!["a"]), false),
        ] {
            let typed = [typed("--project", "project", "p"), field.clone()];
            let found = option_at_fault(&typed, check).map(|(option, _)| option);
            assert_eq!(found, want.then_some(field.option), "{field:?}");
        }
    }

    #[test]
    fn a_retry_keeps_every_field_but_the_signature() {
        let document = r#"{"id":"dispatch-a","x":{"y":1.0},"source_signature":"s","task":"t"}"#;
        let text = retry(document, &id("dispatch-a"), &id("dispatch-a-r2"));
        let want = r#"{"id":"dispatch-a-r2","x":{"y":1.0},"task":"t","retry_of":"dispatch-a"}"#;
        assert_eq!(text.trim_end(), want);
        let again = retry(&text, &id("dispatch-a-r2"), &id("dispatch-a-r3"));
        let want = r#"{"id":"dispatch-a-r3","x":{"y":1.0},"task":"t","retry_of":"dispatch-a-r2"}"#;
        assert_eq!(again.trim_end(), want);
    }

    #[test]
    fn retries_are_numbered_from_the_first_run_on() {
        let longest = format!("dispatch-{}", "a".repeat(ID_CHARS_MAX - 9));
        for (old, first, second) in [
            ("dispatch-a", "dispatch-a-r2", "dispatch-a-r3"),
            ("dispatch-a-r2", "dispatch-a-r2", "dispatch-a-r3"),
            ("dispatch-a-r17", "dispatch-a-r2", "dispatch-a-r3"),
            ("dispatch-a-rx", "dispatch-a-rx-r2", "dispatch-a-rx-r3"),
            ("dispatch-r2", "dispatch-r2-r2", "dispatch-r2-r3"),
            ("dispatch--r2", "dispatch--r2-r2", "dispatch--r2-r3"),
            ("dispatch-a-r", "dispatch-a-r-r2", "dispatch-a-r-r3"),
        ] {
            let ids: Vec<String> = retry_ids(&id(old)).take(2).map(|id| id.to_string()).collect();
            assert_eq!(ids, [first, second], "{old}");
        }
        let of_longest = retry_ids(&id(&longest)).nth(8).expect("an id");
        assert!(of_longest.as_str().len() == ID_CHARS_MAX && of_longest.as_str().ends_with("-r10"));
    }

    #[test]
    fn a_drawn_id_is_ten_letters_and_digits() {
        assert_eq!(drawn_id(&[0, 25, 26, 35, 36, 255, 1, 2, 3, 4]).as_str(), "dispatch-az09adbcde");
    }
}
