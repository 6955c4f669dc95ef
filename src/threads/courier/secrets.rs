//! The secrets that callbacks are sent with: the one that signs, and the tokens of receivers. They
//! are read for each try, so that a new one counts without a restart.
//!
//! A secret that cannot be used is not the same as none: what needs it waits, and never goes out
//! unsigned or without its token. Must not show one.

use std::collections::BTreeMap;
use std::path::Path;

use crate::effects::clock;
use crate::effects::error::{Error, Result};
use crate::effects::project;
use crate::effects::secrets;
use crate::effects::store::Store;
use crate::pure::callback::destination::Origin;
use crate::pure::callback::signature::CallbackSecret;
use crate::pure::config::Settings;
use crate::threads::shared::context::Context;
use crate::threads::shared::sources::{CALLBACK_SECRET, Sources};
use crate::threads::shared::tokens::{secret_text, token_in, unusable};

pub(super) struct Secrets {
    /// What signs; `None`: nothing is signed.
    signing: Result<Option<CallbackSecret>>,
    tokens: BTreeMap<Origin, Result<String>>,
}

/// Whether all secrets can be used, for a start. The error says what to type.
pub fn check_secrets(
    store: &Store,
    settings: &Settings,
    sources: &Sources,
) -> std::result::Result<(), String> {
    if settings.local_only {
        return Ok(());
    }
    let secrets = Secrets::read(store, settings, sources);
    secrets.wrong().map_or(Ok(()), |e| Err(e.to_string()))
}

impl Secrets {
    pub(super) fn of(context: &Context) -> Secrets {
        Secrets::read(&context.store, &context.settings(), &context.sources)
    }

    fn read(store: &Store, settings: &Settings, sources: &Sources) -> Secrets {
        let token = |(origin, path): (&Origin, &String)| {
            let path = project::expand(path, sources.home());
            (origin.clone(), token_in(&path))
        };
        Secrets {
            signing: signing(store, sources),
            tokens: settings.callback_bearer.iter().map(token).collect(),
        }
    }

    /// The first that cannot be used.
    pub(super) fn wrong(&self) -> Option<&Error> {
        let signing = self.signing.as_ref().err();
        signing.or_else(|| self.tokens.values().find_map(|token| token.as_ref().err()))
    }

    /// The headers of a try. `None`: a secret that it needs cannot be used.
    pub(super) fn headers(
        &self,
        origin: &Origin,
        key: &str,
        body: &str,
    ) -> Option<Vec<(&'static str, String)>> {
        let mut headers = vec![
            ("Content-Type", "application/json".to_string()),
            ("Idempotency-Key", key.to_string()),
        ];
        if let Some(token) = self.tokens.get(origin) {
            let token = token.as_ref().ok()?;
            headers.push(("Authorization", format!("Bearer {token}")));
        }
        if let Some(secret) = self.signing.as_ref().ok()? {
            headers.extend(secret.headers(key, clock::unix_ms() / 1000, body));
        }
        Some(headers)
    }
}

fn signing(store: &Store, sources: &Sources) -> Result<Option<CallbackSecret>> {
    let path = store.callback_secret_path();
    let (place, text) = match sources.callback_secret() {
        // What is no text is no secret either.
        Some(value) => {
            let value = value.to_string_lossy().into_owned();
            value.lines().for_each(secrets::hold);
            (Path::new(CALLBACK_SECRET), Some(value))
        }
        None => (path.as_path(), secret_text(&path)?),
    };
    let Some(text) = text else { return Ok(None) };
    CallbackSecret::parse(&text).map(Some).map_err(|why| unusable(place, why))
}
