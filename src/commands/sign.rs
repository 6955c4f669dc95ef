//! `sign`: gives a dispatch its strong signature, as a sender would.
//!
//! What a daemon here would reject for its form is not signed. Time, place and a taken id are not
//! looked at, so that old documents can be signed as they were.

use std::path::Path;

use serde_json::{Value, json};

use super::out::{Out, Reply};
use super::{Place, Refusal};
use crate::effects::clock;
use crate::effects::store::{
    SecretFile, open_to_others, read_document, read_key_elsewhere, read_secret,
};
use crate::pure::command::code::Code;
use crate::pure::command::keys::SignCall;
use crate::pure::command::typed::Typed;
use crate::pure::dispatch::{self, FILE_BYTES_MAX};
use crate::pure::gate::canonical::Canonical;
use crate::pure::gate::key::{KeyId, key_in};
use crate::pure::gate::signature::{SignatureTerms, SigningKey};
use crate::pure::human::look::Look;
use crate::pure::text::pem;
use crate::pure::upkeep::ownership::Guarded;

const TOO_LARGE: &str = "a dispatch has at most 1 MiB";

/// What is printed.
#[derive(Debug)]
enum SignedText {
    /// A dispatch with its signature, which is JSON already.
    Dispatch(String),
    Signature(String),
}

impl Reply for SignedText {
    /// Its bytes are what was signed, so that nothing is escaped.
    fn text(&self, _: &Look) -> String {
        match self {
            SignedText::Dispatch(text) | SignedText::Signature(text) => format!("{text}\n"),
        }
    }

    fn json(&self) -> Value {
        match self {
            SignedText::Dispatch(text) => serde_json::from_str(text).unwrap_or_default(),
            SignedText::Signature(text) => json!({ "source_signature": text }),
        }
    }
}

pub fn run(typed: &Typed, place: &Place, out: &Out) -> Result<Code, Refusal> {
    let call = SignCall::of(typed).map_err(Refusal::WrongUsage)?;
    place.may_act()?;
    let signed = sign(place, &call)?;
    if let Some(warning) = call.key.as_deref().and_then(open_to_others) {
        out.note(&warning);
    }
    out.answer(&signed)?;
    Ok(Code::Done)
}

fn sign(place: &Place, call: &SignCall) -> Result<SignedText, Refusal> {
    let (kid, key) = find_key(place, call)?;
    let bytes = read_document(call.file.as_deref()).map_err(Refusal::not_done)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Refusal::not_done(TOO_LARGE));
    }
    let canonical = Canonical::parse(&bytes).map_err(Refusal::not_done)?;
    let iat = call.iat.unwrap_or_else(|| clock::unix_ms().unsigned_abs() / 1000);
    let terms = SignatureTerms { kid, iat, exp: iat + call.ttl_seconds };
    let signature = terms.sign(&canonical, &key);
    let signed = canonical.signed(&signature);
    check(place, &signed).map_err(Refusal::NotDone)?;
    Ok(match call.is_alone {
        true => SignedText::Signature(signature),
        false => SignedText::Dispatch(signed),
    })
}

/// Whether a daemon here would take it for a dispatch.
fn check(place: &Place, signed: &str) -> Result<(), String> {
    if signed.len() as u64 > FILE_BYTES_MAX {
        return Err(TOO_LARGE.into());
    }
    let (settings, drivers) = place.settings()?;
    let parsed = dispatch::parse(signed.as_bytes(), settings.min_ttl_seconds, drivers.names());
    parsed.map(drop).map_err(|rejection| rejection.error)
}

fn find_key(place: &Place, call: &SignCall) -> Result<(KeyId, SigningKey), Refusal> {
    let kid = match &call.kid {
        Some(kid) => kid.clone(),
        None => only_key(place)?,
    };
    let path = match &call.key {
        Some(path) => path.clone(),
        None => place.store.key_path(&kid),
    };
    let file = match &call.key {
        Some(path) => read_key_elsewhere(path),
        None => read_secret(&path, Guarded::Secret),
    };
    let content = match file.map_err(Refusal::not_done)? {
        SecretFile::Read(content) => content,
        SecretFile::Wrong(complaint) => return Err(Refusal::NotDone(complaint)),
        SecretFile::Absent => {
            let why = format!("there is no key {kid}: {} is not there", path.display());
            return Err(Refusal::NotDone(why));
        }
    };
    let key = key_of(&kid, &content);
    let key = key.ok_or_else(|| Refusal::NotDone(no_key(&kid, &path)))?;
    Ok((kid, key))
}

fn key_of(kid: &KeyId, content: &[u8]) -> Option<SigningKey> {
    match kid {
        KeyId::Hmac(_) => key_in(content).map(SigningKey::Hmac),
        KeyId::Ed25519(_) => SigningKey::of_seed(&pem::decode(content)?),
    }
}

fn no_key(kid: &KeyId, path: &Path) -> String {
    let what = match kid {
        KeyId::Hmac(_) => "64 hexadecimal digits",
        KeyId::Ed25519(_) => "an Ed25519 key in PEM (PKCS#8, version 1)",
    };
    format!("{} is no key of {kid}: {what} are expected", path.display())
}

/// Without a name there must be no choice.
fn only_key(place: &Place) -> Result<KeyId, Refusal> {
    let dir = place.store.keys_dir().display();
    let mut ids = place.store.shared_key_ids().map_err(Refusal::not_done)?.into_iter();
    match (ids.next(), ids.next()) {
        (Some(id), None) => Ok(id),
        (None, _) => Err(Refusal::WrongUsage(format!(
            "there is no .key in {dir}: say --kid KID and --key FILE, or make one with keygen KID"
        ))),
        (Some(one), Some(two)) => Err(Refusal::WrongUsage(format!(
            "there is more than one .key in {dir}: say --kid {one} or --kid {two}"
        ))),
    }
}
