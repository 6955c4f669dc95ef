//! Bytes as hexadecimal digits, and file names as text without loss.
//!
//! Must not judge a name: any name that a file can have must survive the way through JSON.

/// A file name as text, without loss: UTF-8 as it is, anything else as `hex:` and its bytes. Inbox
/// names begin with `dispatch-`, so that the two cannot be confused.
pub fn name_to_text(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(text) => text.to_string(),
        Err(_) => format!("hex:{}", hex(name)),
    }
}

pub fn name_from_text(text: &str) -> Vec<u8> {
    let digits = text.strip_prefix("hex:").map(str::as_bytes);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits
        .and_then(|digits| digits.chunks(2).map(byte).collect())
        .unwrap_or_else(|| text.as_bytes().to_vec())
}

pub fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(half.into(), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_name_survives_the_way_through_json() {
        for name in
            [&b"dispatch-x.json"[..], b"dispatch-\xff\x00.json", "dispatch-é.json".as_bytes()]
        {
            assert_eq!(name_from_text(&name_to_text(name)), name);
        }
    }
}
