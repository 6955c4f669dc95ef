//! Signs a callback in both ways that receivers know, so that each takes the one that it can check:
//! Clawvisor's, over the body alone, and Standard Webhooks', over id, time and body.
//!
//! Must not show a secret: the types that hold one have no text form.

use ring::hmac::{HMAC_SHA256, Key, sign};

use crate::pure::text::base64;
use crate::pure::text::digest::sha256_of_hex;
use crate::pure::text::hex::hex;

/// What a secret of Standard Webhooks may be long, in bytes (its specification, "Signature
/// scheme").
const KEY_BYTES: core::ops::RangeInclusive<usize> = 24..=64;

/// The secret that callbacks are signed with, and perhaps the one before it.
#[derive(Clone)]
pub struct CallbackSecret {
    /// The secret as it is written, which is Clawvisor's key.
    text: String,
    /// Standard Webhooks' keys, new first.
    keys: Vec<Vec<u8>>,
}

impl CallbackSecret {
    /// Reads `cbsec_` and 64 hex digits, or `whsec_` and the base64 of 24 to 64 bytes. A second
    /// line is the former secret.
    pub fn parse(text: &str) -> Result<CallbackSecret, &'static str> {
        let mut lines = text.lines().map(|line| line.trim_end_matches('\r'));
        let first = lines.next().unwrap_or_default();
        let mut keys = vec![key(first)?];
        if let Some(former) = lines.next() {
            keys.push(key(former)?);
        }
        match lines.next() {
            Some(_) => Err("it has more than two lines"),
            None => Ok(CallbackSecret { text: first.into(), keys }),
        }
    }

    /// The headers that sign a try of `at_s` (Unix seconds).
    pub fn headers(&self, key: &str, at_s: i64, body: &str) -> [(&'static str, String); 4] {
        // The specification forbids full stops in an id.
        let id = key.replace('.', "_");
        let signed = format!("{id}.{at_s}.{body}");
        let signatures = self.keys.iter().map(|key| {
            let tag = sign(&Key::new(HMAC_SHA256, key), signed.as_bytes());
            format!("v1,{}", base64::encode(tag.as_ref()))
        });
        let signatures = signatures.collect::<Vec<_>>().join(" ");
        let clawvisor = sign(&Key::new(HMAC_SHA256, self.text.as_bytes()), body.as_bytes());
        [
            ("webhook-id", id),
            ("webhook-timestamp", at_s.to_string()),
            ("webhook-signature", signatures),
            ("X-Clawvisor-Signature", format!("sha256={}", hex(clawvisor.as_ref()))),
        ]
    }
}

fn key(secret: &str) -> Result<Vec<u8>, &'static str> {
    const FORMS: &str =
        "it is neither cbsec_ and 64 hex digits nor whsec_ and the base64 of 24 to 64 bytes";
    let key = match (secret.strip_prefix("cbsec_"), secret.strip_prefix("whsec_")) {
        (Some(digits), _) => sha256_of_hex(digits).map(Vec::from),
        (None, Some(text)) => {
            base64::decode_unpadded(text).filter(|key| KEY_BYTES.contains(&key.len()))
        }
        (None, None) => None,
    };
    key.ok_or(FORMS)
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
