//! The members of a JSON object as they are written: where each begins, and its value's own text.
//!
//! A parser gives values and forgets where they stood and how they were spelled. Whoever shows a
//! person the line of a mistake, or puts one field of a document in another's place and must leave
//! all others byte for byte, asks here. Must not judge: what is no JSON is a parser's to refuse.

/// One member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<'t> {
    pub key: String,
    /// Where the key begins, in bytes from the beginning of the object's text.
    pub key_at: usize,
    /// The value's text, without the blanks around it.
    pub value: &'t str,
    pub value_at: usize,
}

/// The members of the object that `text` is, in their order. `None`: it is no object, or no JSON as
/// far as this looks.
pub fn members(text: &str) -> Option<Vec<Member<'_>>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = after(bytes, skip_blanks(bytes, 0), b'{')?;
    if bytes.get(at) == Some(&b'}') {
        return Some(found);
    }
    loop {
        let key_end = skip_string(bytes, at)?;
        let key = serde_json::from_str(text.get(at..key_end)?).ok()?;
        let value_at = after(bytes, skip_blanks(bytes, key_end), b':')?;
        let value_end = skip_value(bytes, value_at)?;
        let value = text.get(value_at..value_end)?;
        found.push(Member { key, key_at: at, value, value_at });
        let end = skip_blanks(bytes, value_end);
        match bytes.get(end)? {
            b',' => at = skip_blanks(bytes, end + 1),
            b'}' => return Some(found),
            _ => return None,
        }
    }
}

/// The number of the line on which that byte stands, from 1.
pub fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

fn skip_blanks(bytes: &[u8], from: usize) -> usize {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let blanks = bytes.iter().skip(from).take_while(|byte| is_blank(byte));
    from + blanks.count()
}

/// Where the first thing after that mark begins.
fn after(bytes: &[u8], at: usize, mark: u8) -> Option<usize> {
    (bytes.get(at) == Some(&mark)).then(|| skip_blanks(bytes, at + 1))
}

fn skip_string(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = after_quote(bytes, at)?;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn after_quote(bytes: &[u8], at: usize) -> Option<usize> {
    (bytes.get(at) == Some(&b'"')).then_some(at + 1)
}

fn skip_value(bytes: &[u8], from: usize) -> Option<usize> {
    let (mut at, mut depth) = (from, 0_usize);
    loop {
        match bytes.get(at) {
            Some(b'"') => {
                at = skip_string(bytes, at)?;
                if depth == 0 {
                    return Some(at);
                }
                continue;
            }
            Some(b'{' | b'[') => depth += 1,
            Some(b'}' | b']') if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            // A number or a word ends before these.
            Some(b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r') | None if depth == 0 => {
                return (at > from).then_some(at);
            }
            None => return None,
            Some(_) => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Vec<(String, &str)>> {
        let members = members(text)?.into_iter();
        Some(members.map(|member| (member.key, member.value)).collect())
    }

    #[test]
    fn each_member_is_found_as_it_is_written() {
        for (text, want) in [
            ("{}", &[][..]),
            (" {\n} ", &[]),
            (r#"{"a":1}"#, &[("a", "1")]),
            ("{ \"a\" : -1.50e3 ,\n\t\"b\":null}", &[("a", "-1.50e3"), ("b", "null")]),
            (
                r#"{"a":"}\",{\\","b":[{"c":"]"},[]] , "d":{}}"#,
                &[("a", r#""}\",{\\""#), ("b", r#"[{"c":"]"},[]]"#), ("d", "{}")],
            ),
            (
                r#"{"\u0061":true,"a":18446744073709551616}"#,
                &[("a", "true"), ("a", "18446744073709551616")],
            ),
            (r#"{"é\n":"ü"}"#, &[("é\n", r#""ü""#)]),
        ] {
            let want: Vec<(String, &str)> = want.iter().map(|(k, v)| (k.to_string(), *v)).collect();
            assert_eq!(of(text), Some(want), "{text}");
        }
    }

    #[test]
    fn what_is_no_object_has_no_members() {
        for text in ["", "[]", "7", "{", "{\"a\"}", "{\"a\":}", "{\"a\":1", "{\"a\":\"x", "{a:1}"] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn the_line_is_that_of_the_key() {
        let text = "{\n  \"a\": 1,\n\n  \"b\":\n 2}";
        let members = members(text).expect("an object");
        let lines: Vec<usize> = members.iter().map(|member| line_of(text, member.key_at)).collect();
        assert_eq!(lines, [2, 4]);
        assert_eq!((line_of(text, members[1].value_at), line_of("", 9)), (5, 1));
    }
}
