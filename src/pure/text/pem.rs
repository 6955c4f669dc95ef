//! The secret half of an Ed25519 key pair as a PEM file, as openssl reads and writes it.
//!
//! It is PKCS#8 version 1 (RFC 5958, RFC 8410): the same 16 bytes and then the seed. Version 2,
//! which has the public half too, is what openssl 3.0 refuses.

use super::base64;

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----\n";
const END: &str = "-----END PRIVATE KEY-----\n";
/// A sequence of 46 bytes: version 0, the algorithm 1.3.101.112, and the seed in two octet strings.
const PREFIX: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
const SEED_BYTES: usize = 32;

pub fn encode(seed: &[u8; SEED_BYTES]) -> String {
    format!("{BEGIN}{}\n{END}", base64::encode(&[&PREFIX[..], seed].concat()))
}

/// The seed in such a file. `None`: it is no file of that kind.
pub fn decode(file: &[u8]) -> Option<[u8; SEED_BYTES]> {
    let text = std::str::from_utf8(file).ok()?.trim();
    let inner = text.strip_prefix(BEGIN.trim_end())?.strip_suffix(END.trim_end())?;
    let digits: String = inner.split_ascii_whitespace().collect();
    base64::decode(&digits)?.strip_prefix(&PREFIX[..])?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_comes_back_from_its_file_and_from_nothing_else() {
        let seed: [u8; SEED_BYTES] = std::array::from_fn(|at| at as u8);
        let file = encode(&seed);
        let second = "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
        assert_eq!(file.lines().nth(1), Some(second));
        assert_eq!(decode(file.as_bytes()), Some(seed));
        let crlf = file.replace('\n', "\r\n");
        assert_eq!(decode(crlf.as_bytes()), Some(seed));
        for other in [
            file.replace("PRIVATE", "PUBLIC"),
            file.replace("MC4CAQAw", "MC4CAQEw"),
            file.replace("HR4f", ""),
            file.replacen("AABA", "AAB", 1),
            second.into(),
            String::new(),
        ] {
            assert_ne!(decode(other.as_bytes()), Some(seed), "{other}");
        }
        assert_eq!(decode(b"\xff"), None);
    }
}
