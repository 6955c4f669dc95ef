//! The canonical form of a dispatch, in which it is signed: RFC 8785 for the part of JSON that all
//! libraries write alike.
//!
//! What they do not write alike makes a document malformed: a key that stands twice or is not plain
//! ASCII, and a number that is not a plainly written integer within ±(2^53−1). Must not look at
//! what a field means: unknown fields are signed too.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::pure::dispatch::SIGNATURE_FIELD;
use crate::pure::text::clip::one_line;

/// The largest integer that every JSON library reads exactly: 2^53 − 1.
const INTEGER_MAX: u64 = (1 << 53) - 1;
/// How much of a key an error shows, in characters.
const SHOWN_CHARS_MAX: usize = 100;

/// A dispatch in its canonical form, without a signature.
#[derive(Debug, PartialEq, Eq)]
pub struct Canonical {
    /// Each field's value in canonical JSON, in the order of the keys.
    fields: BTreeMap<String, String>,
}

impl Canonical {
    /// The error says in one line what other JSON libraries would not read or write alike.
    pub fn parse(bytes: &[u8]) -> Result<Canonical, String> {
        // An editor on another system may put a byte order mark in front.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let Document(mut fields) = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        fields.remove(SIGNATURE_FIELD);
        Ok(Canonical { fields })
    }

    /// The bytes that are signed, after the header.
    pub fn text(&self) -> String {
        object(&self.fields)
    }

    /// The whole dispatch in one line, with that signature.
    pub fn signed(mut self, signature: &str) -> String {
        self.fields.insert(SIGNATURE_FIELD.into(), string(signature));
        object(&self.fields)
    }
}

fn object(fields: &BTreeMap<String, String>) -> String {
    let entry = |(key, value): (&String, &String)| format!("{}:{value}", string(key));
    let entries: Vec<String> = fields.iter().map(entry).collect();
    format!("{{{}}}", entries.join(","))
}

/// serde_json escapes just what RFC 8785 does, and in the same spelling.
fn string(text: &str) -> String {
    serde_json::to_string(text).expect("invariant: every text is a JSON string")
}

struct Document(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Document, D::Error> {
        struct DocumentVisitor;
        impl<'de> Visitor<'de> for DocumentVisitor {
            type Value = Document;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Document, A::Error> {
                fields(map).map(Document)
            }
        }
        deserializer.deserialize_map(DocumentVisitor)
    }
}

fn fields<'de, A: MapAccess<'de>>(mut map: A) -> Result<BTreeMap<String, String>, A::Error> {
    let mut fields = BTreeMap::new();
    while let Some(key) = map.next_key::<String>()? {
        let shown = one_line(&key, SHOWN_CHARS_MAX);
        // A sort by bytes and one by UTF-16 units agree on these alone.
        if !key.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
            return Err(A::Error::custom(format_args!("the key {shown} is not plain ASCII")));
        }
        match fields.entry(key) {
            Entry::Vacant(free) => drop(free.insert(map.next_value::<Element>()?.0)),
            Entry::Occupied(_) => {
                return Err(A::Error::custom(format_args!("{shown} stands twice")));
            }
        }
    }
    Ok(fields)
}

/// Any value, in canonical JSON.
struct Element(String);

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Element, D::Error> {
        deserializer.deserialize_any(ElementVisitor).map(Element)
    }
}

struct ElementVisitor;

impl<'de> Visitor<'de> for ElementVisitor {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<String, A::Error> {
        fields(map).map(|fields| object(&fields))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<String, A::Error> {
        let mut items = Vec::new();
        while let Some(Element(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(format!("[{}]", items.join(",")))
    }
    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(string(text))
    }
    fn visit_bool<E>(self, on: bool) -> Result<String, E> {
        Ok(on.to_string())
    }
    fn visit_unit<E>(self) -> Result<String, E> {
        Ok("null".into())
    }
    fn visit_u64<E: Error>(self, number: u64) -> Result<String, E> {
        if number <= INTEGER_MAX { Ok(number.to_string()) } else { Err(no_plain_integer(number)) }
    }
    fn visit_i64<E: Error>(self, number: i64) -> Result<String, E> {
        let fits = number.unsigned_abs() <= INTEGER_MAX;
        if fits { Ok(number.to_string()) } else { Err(no_plain_integer(number)) }
    }
    /// `60.0`, `6e1` and `-0` come here too.
    fn visit_f64<E: Error>(self, number: f64) -> Result<String, E> {
        Err(no_plain_integer(number))
    }
}

fn no_plain_integer<E: Error>(number: impl fmt::Display) -> E {
    E::custom(format_args!("{number} is no integer within ±(2^53−1), or not written plainly"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str) -> Result<String, String> {
        Canonical::parse(json.as_bytes()).map(|canonical| canonical.text())
    }

    #[test]
    fn order_spaces_and_escapes_do_not_count() {
        for (json, want) in [
            ("{}", "{}"),
            (r#" { "b" : 1 , "a" : [ ] } "#, r#"{"a":[],"b":1}"#),
            (
                r#"{"\u0062":{"z":null,"a":true},"a":"\u00e9\/\u000a"}"#,
                r#"{"a":"é/\n","b":{"a":true,"z":null}}"#,
            ),
            ("{\"a\":\"\u{7f}\u{2028}\u{1f600}\"}", "{\"a\":\"\u{7f}\u{2028}\u{1f600}\"}"),
            (
                r#"{"a":"\u0000\u0008\u0009\u000c\u000d\u001f\"\\"}"#,
                r#"{"a":"\u0000\b\t\f\r\u001f\"\\"}"#,
            ),
            (
                r#"{"source_signature":"x","a":{"source_signature":"y"}}"#,
                r#"{"a":{"source_signature":"y"}}"#,
            ),
            (
                r#"{"n":[9007199254740991,-9007199254740991,0,-1]}"#,
                r#"{"n":[9007199254740991,-9007199254740991,0,-1]}"#,
            ),
            (r#"{"Z":1,"a":2,"~":3," ":4,"":5}"#, r#"{"":5," ":4,"Z":1,"a":2,"~":3}"#),
        ] {
            assert_eq!(text(json).as_deref(), Ok(want), "{json}");
        }
        assert_eq!(text("\u{feff}{}").as_deref(), Ok("{}"));
        // Strings are taken as they are.
        assert_ne!(text("{\"a\":\"\u{e9}\"}"), text("{\"a\":\"e\u{301}\"}"));
    }

    #[test]
    fn what_libraries_do_not_write_alike_is_malformed_at_any_depth() {
        for value in
            ["60.0", "6e1", "6E1", "-0", "0.5", "1e400", "9007199254740992", "-9007199254740992"]
        {
            for json in [format!("{{\"a\":{value}}}"), format!("{{\"x\":[{{\"a\":[{value}]}}]}}")] {
                assert!(text(&json).is_err(), "{json}");
            }
        }
        for json in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":1}"#,
            r#"{"x":[{"a":1,"a":1}]}"#,
            r#"{"source_signature":"a","source_signature":"b"}"#,
            "{\"caf\u{e9}\":1}",
            r#"{"x":{"\u007f":1}}"#,
            r#"{"x":{"a\n":1}}"#,
            "[]",
            "1",
            "null",
            "",
            "{} {}",
            r#"{"a":"\ud800"}"#,
        ] {
            assert!(text(json).is_err(), "{json}");
        }
        assert!(Canonical::parse(b"{\"a\":\"\xff\"}").is_err());
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(text(&deep).is_err());
    }

    #[test]
    fn a_signature_takes_the_place_of_an_older_one() {
        let canonical = Canonical::parse(br#"{"z":1,"source_signature":"old","a":2}"#);
        let signed = canonical.expect("an object").signed("new");
        assert_eq!(signed, r#"{"a":2,"source_signature":"new","z":1}"#);
    }
}
