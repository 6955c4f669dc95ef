//! Base64 (RFC 4648, section 4): with padding when written, with or without it when read.
//!
//! A text that no writer would make (blanks, other characters, bits that are not zero at its end)
//! is not read, so that one value has one text.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let octet = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let group = octet(0) << 16 | octet(1) << 8 | octet(2);
        for place in 0..4 {
            let digit = ALPHABET[(group >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= chunk.len() { digit.into() } else { '=' });
        }
    }
    text
}

pub fn bytes_of_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    let is_whole = text.len().is_multiple_of(4) && padding <= 2;
    if padding > 0 && !is_whole || digits.len() % 4 == 1 {
        return None;
    }
    let value = |digit: u8| ALPHABET.iter().position(|known| *known == digit);
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for chunk in digits.as_bytes().chunks(4) {
        let mut group = 0;
        for (place, digit) in chunk.iter().enumerate() {
            group |= value(*digit)? << (18 - 6 * place);
        }
        let octets = [(group >> 16) as u8, (group >> 8) as u8, group as u8];
        let told = chunk.len() - 1;
        if octets[told..].iter().any(|rest| *rest != 0) {
            return None;
        }
        bytes.extend(&octets[..told]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc_are_written_and_read_back() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
            assert_eq!(bytes_of_base64(text).as_deref(), Some(bytes.as_bytes()), "{text}");
            let bare = text.trim_end_matches('=');
            assert_eq!(bytes_of_base64(bare).as_deref(), Some(bytes.as_bytes()), "{bare}");
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(bytes_of_base64(&base64(&all)), Some(all));
    }

    #[test]
    fn what_nobody_would_write_is_not_read() {
        for text in [
            "A", "AA=", "AA===", "=", "====", "Zh==", "Zm9=", "Zm9v=", "Zm 9v", "Zm9v\n", "Zm-v",
            "é",
        ] {
            assert_eq!(bytes_of_base64(text), None, "{text:?}");
        }
    }
}
