//! The signature of a dispatch: what stands in `source_signature`, whether it is right by the keys
//! that are handed in, and what follows.
//!
//! The policy comes from the settings and the algorithm from the name of the key's file; nothing in
//! the dispatch decides either. All that is wrong has one answer, so that nobody learns which part
//! was. Must not read a key or the clock: both are handed in.

use std::time::Duration;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use ring::{hmac, signature};
use serde::{Deserialize, Serialize};

use super::canonical::Canonical;
use super::key::{HeldKey, KEY_BYTES, KeyId};
use crate::pure::dispatch::Reason;
use crate::pure::report::{Approval, SignatureForm};
use crate::pure::text::base64;
use crate::pure::text::digest::sha256_of_hex;

/// The longest time between `iat` and `exp`, in seconds.
pub const TTL_SECONDS_MAX: u64 = 86_400;
/// How long a signature is valid if nothing else is said, in seconds.
pub const TTL_SECONDS_DEFAULT: u64 = 3600;
/// Most digits of `iat` and `exp`.
const TIME_DIGITS_MAX: usize = 15;
/// The id of a strongly signed dispatch stays taken for so long after its `exp`: a clock may be set
/// back, and `skew` is not the whole of what it may be wrong by.
const TAKEN_AFTER_EXP_SECONDS: u64 = 3600;

/// What was found out about the signature of an accepted dispatch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    pub form: SignatureForm,
    /// The key by which it is right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// Unix seconds. Only a strong signature has this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<u64>,
}

impl Signed {
    /// What the report says of it. Where no key was there to check by, that is nothing.
    pub fn approval(&self) -> Option<Approval> {
        let approval = || Approval {
            signature: Some(self.form),
            kid: self.kid.clone(),
            ..Approval::default()
        };
        (self.form != SignatureForm::Unchecked).then(approval)
    }

    /// Whether the id must stay taken at that time, so that the signature does not count twice.
    pub fn keeps_id(&self, now_ms: i64) -> bool {
        let until = |exp: u64| exp.saturating_add(TAKEN_AFTER_EXP_SECONDS) as i64;
        self.exp.is_some_and(|exp| now_ms / 1000 <= until(exp))
    }
}

/// What the judgement rests on.
pub struct SignatureFacts<'a> {
    /// The file.
    pub bytes: &'a [u8],
    pub task: &'a str,
    /// What stands in `source_signature`.
    pub field: Option<&'a str>,
    /// Those that can be used.
    pub keys: &'a [HeldKey],
    /// Whether there is any key, one that cannot be used included.
    pub has_keys: bool,
    pub is_required: bool,
    pub skew: Duration,
    /// Milliseconds since 1970. Signatures are the one thing that is judged by the wall clock.
    pub now_ms: i64,
}

/// Whether the dispatch goes on, and with what. `None`: it is not signed.
pub fn judge(facts: &SignatureFacts) -> Result<Option<Signed>, Reason> {
    let found = match facts.field {
        None => None,
        Some(_) if !facts.has_keys => Some(unchecked()),
        Some(text) => Some(check(text, facts)?),
    };
    let is_strong = found.as_ref().is_some_and(|found| found.form == SignatureForm::Strong);
    if facts.is_required && !is_strong { Err(Reason::SignatureMissing) } else { Ok(found) }
}

/// What is said of a rejection for that reason. One text stands for all that can be wrong with a
/// signature.
pub fn why(reason: Reason) -> &'static str {
    match reason {
        Reason::SignatureMissing => {
            "it has no strong signature, and require_signature is on: sign it (see \"Signatures\")"
        }
        Reason::SignatureExpired => "its signature is right, but not valid now",
        _ => "its signature is not right",
    }
}

fn unchecked() -> Signed {
    Signed { form: SignatureForm::Unchecked, kid: None, exp: None }
}

fn check(text: &str, facts: &SignatureFacts) -> Result<Signed, Reason> {
    if let Some(mac) = sha256_of_hex(text) {
        let task = facts.task.as_bytes();
        let mut secrets = facts.keys.iter().filter(|key| matches!(key.id, KeyId::Hmac(_)));
        let key = secrets.find(|key| hmac::verify(&hmac_key(&key.bytes), task, &mac).is_ok());
        let kid = Some(key.ok_or(Reason::Signature)?.id.to_string());
        return Ok(Signed { form: SignatureForm::Seed, kid, exp: None });
    }
    let strong = Strong::parse(text).ok_or(Reason::Signature)?;
    let canonical = Canonical::parse(facts.bytes).map_err(|_| Reason::Signature)?;
    let key = facts.keys.iter().find(|key| key.id == strong.terms.kid);
    let message = strong.terms.message(&canonical);
    if !is_right(&strong.mac, &message, key.ok_or(Reason::Signature)?) {
        return Err(Reason::Signature);
    }
    if !strong.terms.are_valid(facts.now_ms, facts.skew) {
        return Err(Reason::SignatureExpired);
    }
    let SignatureTerms { kid, exp, .. } = strong.terms;
    Ok(Signed { form: SignatureForm::Strong, kid: Some(kid.to_string()), exp: Some(exp) })
}

/// The comparisons are ring's, and take the same time whatever is compared.
fn is_right(mac: &[u8], message: &str, key: &HeldKey) -> bool {
    let message = message.as_bytes();
    match key.id {
        KeyId::Hmac(_) => hmac::verify(&hmac_key(&key.bytes), message, mac).is_ok(),
        KeyId::Ed25519(_) => {
            UnparsedPublicKey::new(&ED25519, &key.bytes).verify(message, mac).is_ok()
        }
    }
}

fn hmac_key(bytes: &[u8; KEY_BYTES]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, bytes)
}

/// What a strong signature says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureTerms {
    pub kid: KeyId,
    /// Unix seconds, both of them.
    pub iat: u64,
    pub exp: u64,
}

impl SignatureTerms {
    fn message(&self, canonical: &Canonical) -> String {
        let SignatureTerms { kid, iat, exp } = self;
        format!("gstack-dispatch-v2\n{kid}\n{iat}\n{exp}\n{}", canonical.text())
    }

    fn are_valid(&self, now_ms: i64, skew: Duration) -> bool {
        let SignatureTerms { iat, exp, .. } = *self;
        // With 15 digits none of these overflows.
        let begins_ms = iat as i64 * 1000 - skew.as_millis() as i64;
        let is_now = begins_ms <= now_ms && now_ms.div_euclid(1000) <= exp as i64;
        is_now && iat < exp && exp <= iat + TTL_SECONDS_MAX
    }

    /// The text for `source_signature`.
    pub fn sign(&self, canonical: &Canonical, key: &SigningKey) -> String {
        let message = self.message(canonical);
        let mac = match key {
            SigningKey::Hmac(bytes) => {
                hmac::sign(&hmac_key(bytes), message.as_bytes()).as_ref().to_vec()
            }
            SigningKey::Ed25519(pair) => pair.sign(message.as_bytes()).as_ref().to_vec(),
        };
        let SignatureTerms { kid, iat, exp } = self;
        format!("v2;kid={kid};iat={iat};exp={exp};sig={}", base64::encode_url(&mac))
    }
}

/// The field's strong form, with the one spelling that it has.
#[derive(Debug, PartialEq, Eq)]
struct Strong {
    terms: SignatureTerms,
    mac: Vec<u8>,
}

impl Strong {
    fn parse(text: &str) -> Option<Strong> {
        let mut parts = text.split(';');
        let version = parts.next()?;
        let mut part = |name: &str| parts.next()?.strip_prefix(name);
        let kid = KeyId::parse(part("kid=")?)?;
        let (iat, exp) = (unix_seconds(part("iat=")?)?, unix_seconds(part("exp=")?)?);
        let mac = base64::decode_url(part("sig=")?)?;
        let mac_bytes = match kid {
            KeyId::Hmac(_) => ring::digest::SHA256_OUTPUT_LEN,
            KeyId::Ed25519(_) => signature::ED25519_PUBLIC_KEY_LEN * 2,
        };
        let is_whole = version == "v2" && parts.next().is_none() && mac.len() == mac_bytes;
        is_whole.then_some(Strong { terms: SignatureTerms { kid, iat, exp }, mac })
    }
}

/// A decimal number without sign and leading zero, at most 15 digits long.
pub fn unix_seconds(text: &str) -> Option<u64> {
    let is_plain = text == "0" || !text.starts_with('0');
    let is_number = (1..=TIME_DIGITS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain && is_number { text.parse().ok() } else { None }
}

/// What a sender signs with.
pub enum SigningKey {
    Hmac([u8; KEY_BYTES]),
    Ed25519(Box<Ed25519KeyPair>),
}

impl SigningKey {
    /// The key pair of that secret. `None`: there is none.
    pub fn of_seed(seed: &[u8; KEY_BYTES]) -> Option<SigningKey> {
        Some(SigningKey::Ed25519(Box::new(Ed25519KeyPair::from_seed_unchecked(seed).ok()?)))
    }

    /// What a receiver checks by. A shared secret has no public half.
    pub fn public(&self) -> Option<Vec<u8>> {
        match self {
            SigningKey::Hmac(_) => None,
            SigningKey::Ed25519(pair) => Some(pair.public_key().as_ref().to_vec()),
        }
    }
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
