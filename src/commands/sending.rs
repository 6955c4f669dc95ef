//! What `submit` and `retry` have in common: a dispatch is checked by the daemon's own rules,
//! signed where dispatches must be signed, and dropped under an id that nobody has.

use std::io::ErrorKind;
use std::path::PathBuf;

use super::{Place, Refusal};
use crate::effects::clock;
use crate::effects::project;
use crate::effects::project_dir::kept_places;
use crate::effects::store::FoundKeys;
use crate::pure::agent::Drivers;
use crate::pure::config::Settings;
use crate::pure::dispatch::draft::with_signature;
use crate::pure::dispatch::{self, Dispatch, FILE_BYTES_MAX};
use crate::pure::gate::canonical::Canonical;
use crate::pure::gate::key::{HeldKey, KeyId};
use crate::pure::gate::place::misplaced;
use crate::pure::gate::signature::{
    self, SignatureFacts, SignatureTerms, SigningKey, TTL_SECONDS_MAX,
};

pub(super) const TOO_LARGE: &str = "a dispatch has at most 1 MiB";

/// Who sends dispatches here, by the settings that a daemon here would have.
pub(super) struct Sender<'p> {
    place: &'p Place,
    settings: Settings,
    drivers: Drivers,
    keys: FoundKeys,
    kid: Option<KeyId>,
}

/// A dispatch that may be dropped as far as its own bytes tell.
pub(super) struct Ready {
    text: String,
    pub dispatch: Dispatch,
}

impl<'p> Sender<'p> {
    /// `kid`: the key that signs, if one was named.
    pub fn new(place: &'p Place, kid: Option<KeyId>) -> Result<Sender<'p>, Refusal> {
        let (settings, drivers) = place.settings().map_err(Refusal::NotDone)?;
        let keys = place.store.read_keys().map_err(Refusal::not_done)?;
        Ok(Sender { place, settings, drivers, keys, kid })
    }

    pub fn parse(&self, text: &str) -> Result<Dispatch, String> {
        let (ttl_min, agents) = (self.settings.min_ttl_seconds, self.drivers.names());
        dispatch::parse(text.as_bytes(), ttl_min, agents).map_err(|rejection| rejection.error)
    }

    /// Checks a dispatch, and signs it if it must be signed and is not.
    pub fn prepare(&self, text: String) -> Result<Ready, Refusal> {
        let mut ready = self.checked(text)?;
        let is_signed = ready.dispatch.source_signature.is_some();
        if self.kid.is_some() || (self.settings.require_signature && !is_signed) {
            let signed = self.signed(&ready.text)?;
            ready = self.checked(signed)?;
        }
        let facts = SignatureFacts {
            bytes: ready.text.as_bytes(),
            task: &ready.dispatch.task,
            field: ready.dispatch.source_signature.as_deref(),
            keys: &self.keys.keys,
            has_keys: self.keys.holds_any(),
            is_required: self.settings.require_signature,
            skew: self.settings.signature_skew,
            now_ms: clock::unix_ms(),
        };
        let judged = signature::judge(&facts);
        judged.map_err(|reason| Refusal::not_done(signature::why(reason)))?;
        Ok(ready)
    }

    fn checked(&self, text: String) -> Result<Ready, Refusal> {
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(Refusal::not_done(TOO_LARGE));
        }
        let dispatch = self.parse(&text).map_err(Refusal::NotDone)?;
        Ok(Ready { text, dispatch })
    }

    /// It is valid for a day, since it may have to wait for a daemon.
    fn signed(&self, text: &str) -> Result<String, Refusal> {
        self.place.may_act()?;
        let key = self.signing_key()?;
        let canonical = Canonical::parse(text.as_bytes());
        let canonical =
            canonical.map_err(|e| Refusal::NotDone(format!("it cannot be signed: {e}")))?;
        let iat = clock::unix_ms().unsigned_abs() / 1000;
        let terms = SignatureTerms { kid: key.id.clone(), iat, exp: iat + TTL_SECONDS_MAX };
        Ok(with_signature(text, &terms.sign(&canonical, &SigningKey::Hmac(key.bytes))))
    }

    /// The one shared key that can be used here, or the one that was named.
    fn signing_key(&self) -> Result<&HeldKey, Refusal> {
        let dir = self.place.store.keys_dir().display();
        let is_shared = |key: &&HeldKey| matches!(key.id, KeyId::Hmac(_));
        let mut keys = self.keys.keys.iter().filter(is_shared);
        if let Some(kid) = &self.kid {
            let named = keys.find(|key| key.id == *kid);
            let complaint = || format!("there is no key {kid} in {dir} that can be used");
            return named.ok_or_else(|| Refusal::NotDone(complaint()));
        }
        match (keys.next(), keys.next()) {
            (Some(key), None) => Ok(key),
            (Some(one), Some(two)) => Err(Refusal::WrongUsage(format!(
                "there is more than one .key in {dir}: say --kid {} or --kid {}",
                one.id, two.id
            ))),
            (None, _) => Err(Refusal::NotDone(match self.keys.complaints.first() {
                Some(complaint) => format!("require_signature is on: {complaint}"),
                None => format!(
                    "require_signature is on, and there is no .key in {dir}: make one with keygen KID"
                ),
            })),
        }
    }

    /// Whether the directory is there, and none where no session may work.
    pub fn check_dir(&self, dispatch: &Dispatch) -> Result<(), String> {
        let home = self.place.user_home();
        let dir = project::resolve(&project::expand(&dispatch.project_dir, home))?;
        misplaced(&dir, &kept_places(home, self.place.store.home())).map_or(Ok(()), Err)
    }

    /// Drops it, if nobody has its id. Gives its file.
    pub fn drop_if_free(&self, ready: &Ready) -> Result<Option<PathBuf>, Refusal> {
        let (store, id) = (&self.place.store, &ready.dispatch.id);
        if !store.is_free(id).map_err(Refusal::not_done)? {
            return Ok(None);
        }
        match store.submit(id, ready.text.as_bytes()) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(None),
            dropped => dropped.map(Some).map_err(Refusal::not_done),
        }
    }
}
