//! SHA-256 in hex, and random identifiers.
//!
//! Must not draw random bytes itself: the caller brings them, so that the same bytes always give
//! the same identifier.

use super::hex::hex;

/// A digest in the form in which many are kept at once.
pub type Sha256 = [u8; 32];

pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref())
}

/// Reads a digest that was written in hex. `None`: the text is no digest.
pub fn sha256_of_hex(text: &str) -> Option<Sha256> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    if digits.len().is_multiple_of(2) { bytes.try_into().ok() } else { None }
}

/// A version 4 UUID (RFC 9562, section 5.4).
pub fn uuid_v4(mut random: [u8; 16]) -> String {
    random[6] = random[6] & 0x0f | 0x40;
    random[8] = random[8] & 0x3f | 0x80;
    let h = hex(&random);
    format!("{}-{}-{}-{}-{}", &h[..8], &h[8..12], &h[12..16], &h[16..20], &h[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_comes_back_from_its_hex_form_and_nothing_else_does() {
        let text = sha256_hex(b"x");
        assert_eq!(sha256_of_hex(&text).map(|digest| hex(&digest)), Some(text.clone()));
        for other in ["", "00", &text[1..], &format!("{text}0"), &text.replace(&text[..1], "g")] {
            assert_eq!(sha256_of_hex(other), None, "{other}");
        }
    }

    #[test]
    fn digest_and_uuid_have_their_standard_form() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256_hex(b""), empty);
        assert_eq!(uuid_v4([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
