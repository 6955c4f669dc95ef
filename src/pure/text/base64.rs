//! Base64 (RFC 4648), as keys and signatures are written.
//!
//! Reading takes the canonical form only: bits that mean nothing must be zero, so that no two texts
//! mean the same bytes.

#[derive(Clone, Copy)]
enum Alphabet {
    /// With `+` and `/`, padded.
    Standard,
    /// With `-` and `_`, without padding.
    Url,
}

impl Alphabet {
    fn digits(self) -> &'static [u8; 64] {
        match self {
            Alphabet::Standard => {
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
            }
            Alphabet::Url => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
        }
    }
}

pub fn encode(bytes: &[u8]) -> String {
    let digits = write(bytes, Alphabet::Standard);
    let padding = "=".repeat(digits.len().next_multiple_of(4) - digits.len());
    digits + &padding
}

/// For URLs and the like: `-` and `_`, without padding.
pub fn encode_url(bytes: &[u8]) -> String {
    write(bytes, Alphabet::Url)
}

/// Reads what [`encode_url`] writes, and nothing else.
pub fn decode_url(text: &str) -> Option<Vec<u8>> {
    read(text, Alphabet::Url).filter(|bytes| encode_url(bytes) == text)
}

/// Reads what [`encode`] writes, and nothing else.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    read(text.trim_end_matches('='), Alphabet::Standard).filter(|bytes| encode(bytes) == text)
}

fn write(bytes: &[u8], alphabet: Alphabet) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..=group.len() {
            let value = bits >> (18 - 6 * digit) & 63;
            text.push(alphabet.digits()[value as usize].into());
        }
    }
    text
}

fn read(text: &str, alphabet: Alphabet) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    for group in text.as_bytes().chunks(4) {
        let mut bits = 0;
        for digit in group {
            let value = alphabet.digits().iter().position(|known| known == digit)?;
            bits = bits << 6 | value as u32;
        }
        bits <<= 6 * (4 - group.len());
        bytes.extend(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc_hold_both_ways() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()));
            let bare = text.trim_end_matches('=');
            assert_eq!(encode_url(bytes.as_bytes()), bare);
            assert_eq!(decode_url(bare).as_deref(), Some(bytes.as_bytes()));
        }
        assert_eq!((encode(b"\xfb\xff"), encode_url(b"\xfb\xff")), ("+/8=".into(), "-_8".into()));
    }

    #[test]
    fn no_two_texts_mean_the_same_bytes() {
        for text in ["Zg==", "Zh", "Z", "Zm9vY", "Zm9v\n", " Zm9v", "Zm9+", "Zm9/", "é"] {
            assert_eq!(decode_url(text), None, "{text}");
        }
        for text in ["Zg", "Zg=", "Zg===", "Zh==", "=", "Z===", "Zm9-", "Zm9v=", "Zg==Zg=="] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
