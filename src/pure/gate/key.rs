//! What a key is called, and which file of `dispatchd/keys/` holds it.
//!
//! The file's name says the algorithm and nothing in a dispatch does, so that a public key is never
//! taken for a shared secret. Must not open a file, nor show a key's bytes.

use std::fmt;

use crate::pure::text::digest::sha256_of_hex;

/// Longest name of a key, in characters.
pub const KEY_NAME_CHARS_MAX: usize = 32;
/// A key, of either kind, in bytes.
pub const KEY_BYTES: usize = 32;

/// The `kid` of a signature. A name is `[A-Za-z0-9_-]`, 1 to 32 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyId {
    /// `KID`, a shared secret in `KID.key`.
    Hmac(String),
    /// `ed:NAME`, a public key in `NAME.pub`.
    Ed25519(String),
}

impl KeyId {
    pub fn parse(text: &str) -> Option<KeyId> {
        match text.strip_prefix("ed:") {
            Some(name) => is_name(name).then(|| KeyId::Ed25519(name.into())),
            None => is_name(text).then(|| KeyId::Hmac(text.into())),
        }
    }

    /// `None`: no key's file has such a name, and nobody looks at it.
    pub fn of_file(name: &str) -> Option<KeyId> {
        let (name, kind) = name.rsplit_once('.')?;
        match kind {
            "key" if is_name(name) => Some(KeyId::Hmac(name.into())),
            "pub" if is_name(name) => Some(KeyId::Ed25519(name.into())),
            _ => None,
        }
    }

    pub fn file_name(&self) -> String {
        match self {
            KeyId::Hmac(name) => format!("{name}.key"),
            KeyId::Ed25519(name) => format!("{name}.pub"),
        }
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            KeyId::Hmac(name) => f.write_str(name),
            KeyId::Ed25519(name) => write!(f, "ed:{name}"),
        }
    }
}

fn is_name(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=KEY_NAME_CHARS_MAX).contains(&text.len()) && text.bytes().all(legal)
}

/// A key that can be used. It has no `Debug`, so that no line ever shows it.
#[derive(Clone)]
pub struct HeldKey {
    pub id: KeyId,
    pub bytes: [u8; KEY_BYTES],
}

/// Reads the content of a key's file: 64 hexadecimal digits; one newline at the end is cut.
pub fn key_in(content: &[u8]) -> Option<[u8; KEY_BYTES]> {
    let digits = content.strip_suffix(b"\n").unwrap_or(content);
    sha256_of_hex(std::str::from_utf8(digits).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_safe_names_are_keys() {
        for kid in ["a", "test-2", "A_9-z", "ed:a", "key", &"k".repeat(32)] {
            let id = KeyId::parse(kid).expect(kid);
            assert_eq!(id.to_string(), kid);
            assert_eq!(KeyId::of_file(&id.file_name()), Some(id), "{kid}");
        }
        for kid in ["", "ed:", "a.b", "../a", "a b", "ed:ed:a", "é", "a/b", &"k".repeat(33)] {
            assert_eq!(KeyId::parse(kid), None, "{kid}");
        }
        for name in ["a", ".key", "a.pem", "a.key~", ".a.key", "a.b.key", "a.KEY", "a.key.pub"] {
            assert_eq!(KeyId::of_file(name), None, "{name}");
        }
    }

    #[test]
    fn a_key_is_64_digits_and_at_most_one_newline() {
        let digits = "0aF9".repeat(16);
        for (content, is_key) in [
            (digits.clone(), true),
            (format!("{digits}\n"), true),
            (format!("{digits}\n\n"), false),
            (format!("{digits}\r\n"), false),
            (format!(" {digits}"), false),
            (digits[1..].to_string(), false),
            (format!("{digits}00"), false),
            (digits.replace('F', "g"), false),
            (String::new(), false),
        ] {
            assert_eq!(key_in(content.as_bytes()).is_some(), is_key, "{content:?}");
        }
    }
}
