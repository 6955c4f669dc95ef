//! `keygen`: makes the keys that signatures are checked by, and the secret of callbacks.
//!
//! A key is never written over, and never shown: what is printed is where it is.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::out::{Out, Reply};
use super::{Place, Refusal};
use crate::effects::random;
use crate::effects::store::{create_secret, remove_secret};
use crate::pure::command::code::Code;
use crate::pure::command::keys::KeygenCall;
use crate::pure::command::typed::Typed;
use crate::pure::gate::key::{KEY_BYTES, KeyId};
use crate::pure::gate::signature::SigningKey;
use crate::pure::human::look::Look;
use crate::pure::text::escape;
use crate::pure::text::hex::hex;
use crate::pure::text::{base64, pem};

/// Which files were made.
#[derive(Debug)]
pub struct MadeKey(Vec<PathBuf>);

impl Reply for MadeKey {
    fn text(&self, _: &Look) -> String {
        self.0.iter().map(|path| line(&escape::line(&path.display().to_string()))).collect()
    }

    fn json(&self) -> Value {
        let files: Vec<_> = self.0.iter().map(|path| path.to_string_lossy()).collect();
        json!({ "files": files })
    }
}

pub fn run(typed: &Typed, place: &Place, out: &Out) -> Result<Code, Refusal> {
    let call = KeygenCall::of(typed).map_err(Refusal::WrongUsage)?;
    place.may_act()?;
    out.answer(&keygen(place, &call)?)?;
    Ok(Code::Done)
}

fn keygen(place: &Place, call: &KeygenCall) -> Result<MadeKey, Refusal> {
    place.store.make_directories().map_err(Refusal::not_done)?;
    let secret = random::bytes::<KEY_BYTES>();
    match call {
        KeygenCall::Key(id) => {
            let made = place.store.create_key(id, line(&hex(&secret)).as_bytes());
            Ok(MadeKey(vec![made.map_err(Refusal::not_done)?]))
        }
        KeygenCall::Pair { id, secret: path } => make_pair(place, id, path, &secret),
        KeygenCall::Callback => {
            let path = place.store.callback_secret_path();
            let content = line(&format!("whsec_{}", base64::encode(&secret)));
            create_secret(&path, content.as_bytes()).map_err(Refusal::not_done)?;
            Ok(MadeKey(vec![path]))
        }
    }
}

/// The secret half comes first: a public half without one would be a key that nobody can use.
fn make_pair(
    place: &Place,
    id: &KeyId,
    path: &Path,
    seed: &[u8; KEY_BYTES],
) -> Result<MadeKey, Refusal> {
    let public = SigningKey::of_seed(seed).and_then(|pair| pair.public());
    let public = public.ok_or_else(|| Refusal::not_done("cannot make a key pair"))?;
    create_secret(path, pem::encode(seed).as_bytes()).map_err(Refusal::not_done)?;
    match place.store.create_key(id, line(&hex(&public)).as_bytes()) {
        Ok(made) => Ok(MadeKey(vec![made, path.to_path_buf()])),
        Err(e) => {
            remove_secret(path).map_err(Refusal::not_done)?;
            Err(Refusal::not_done(e))
        }
    }
}

fn line(text: &str) -> String {
    format!("{text}\n")
}
