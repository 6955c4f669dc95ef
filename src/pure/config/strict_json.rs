//! JSON in which no key may stand twice, at any depth: a checker that takes the first of two and a
//! runner that takes the last would see two different files, and so would two people.
//!
//! This is for what an operator writes. A dispatch has its own reader, which can still tell the id
//! when a key stands twice.

use std::fmt;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::pure::text::clip::one_line;

/// How much of a key is shown, in characters.
const SHOWN_CHARS_MAX: usize = 100;
const TWICE: &str = " stands twice";

/// The error is one line that says what is wrong where.
pub fn parse(bytes: &[u8]) -> Result<Value, String> {
    let parsed: Result<Strict, _> = serde_json::from_slice(bytes);
    parsed.map(|Strict(value)| value).map_err(|e| {
        // The parser's words for the place come last.
        let text = e.to_string();
        match text.split_once(TWICE) {
            Some((key, place)) if e.is_data() => {
                format!("{}{TWICE}{place}", one_line(key, SHOWN_CHARS_MAX))
            }
            _ => format!("it is not JSON: {text}"),
        }
    })
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Strict, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = serde_json::Map::new();
        while let Some((key, Strict(value))) = map.next_entry::<String, Strict>()? {
            if entries.contains_key(&key) {
                return Err(A::Error::custom(format_args!("{key}{TWICE}")));
            }
            entries.insert(key, value);
        }
        Ok(Value::Object(entries))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }
    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }
    fn visit_bool<E>(self, on: bool) -> Result<Value, E> {
        Ok(on.into())
    }
    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }
    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }
    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_stands_twice_is_refused_at_any_depth() {
        for (text, key) in [
            (r#"{"a":1,"a":1}"#, "a"),
            (r#"{"x":{"b":1,"c":2,"b":3}}"#, "b"),
            (r#"{"x":[{"d":1},{"e":[{"f":1,"\u0066":2}]}]}"#, "f"),
        ] {
            let error = parse(text.as_bytes()).expect_err(text);
            assert!(error.starts_with(&format!("{key} stands twice at line 1")), "{error}");
        }
        let long = format!(r#"{{"{0}":1,"{0}":2}}"#, "k".repeat(5000));
        assert!(parse(long.as_bytes()).expect_err("twice").len() < 200);
    }

    #[test]
    fn everything_else_is_as_it_always_was() {
        for text in [r#"{"a":[1,-2,0.5,true,null,"\u00e9",{"a":{"a":{}}}],"b":{}}"#, "[]", "\"x\""]
        {
            let plain: Value = serde_json::from_str(text).expect(text);
            assert_eq!(parse(text.as_bytes()), Ok(plain));
        }
        for text in ["", "{", "[1,]", "{\"a\" 1}", "nul", "\u{feff}{}"] {
            let error = parse(text.as_bytes()).expect_err(text);
            assert!(error.starts_with("it is not JSON: "), "{error}");
        }
        assert!(parse(b"\xff").is_err());
        assert!(parse("[".repeat(100_000).as_bytes()).is_err());
    }
}
