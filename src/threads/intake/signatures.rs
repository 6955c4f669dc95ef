//! Judges who signed a dropped dispatch, before it is accepted: brings the keys, the settings and
//! the time to the decision, which is [`crate::pure::gate::signature`]'s.
//!
//! Keys are read for each dispatch that carries a signature, and for no other, so that a new key
//! counts at once and an old one that was removed counts no more.

use std::collections::BTreeSet;

use crate::effects::clock;
use crate::effects::error::Result;
use crate::effects::store::{Dropped, FoundKeys};
use crate::pure::dispatch::{Dispatch, Reason, Rejection};
use crate::pure::gate::signature::{self, SignatureFacts, Signed};
use crate::threads::shared::context::Context;

pub(super) struct Signatures<'c> {
    context: &'c Context,
    /// What was wrong with keys at the last look, and has been told.
    told: BTreeSet<String>,
}

pub(super) enum SignatureVerdict {
    /// `None`: it is not signed.
    GoesOn(Option<Signed>),
    Rejected(Rejection),
}

impl<'c> Signatures<'c> {
    pub fn new(context: &'c Context) -> Signatures<'c> {
        Signatures { context, told: BTreeSet::new() }
    }

    /// An error is our trouble of the moment: without the keys nothing is accepted.
    pub fn judge(&mut self, dropped: &Dropped, dispatch: &Dispatch) -> Result<SignatureVerdict> {
        let mut found = FoundKeys::default();
        if dispatch.source_signature.is_some() {
            found = self.context.store.read_keys()?;
            self.tell(&found);
        }
        let settings = self.context.settings();
        let judged = signature::judge(&SignatureFacts {
            bytes: &dropped.bytes,
            task: &dispatch.task,
            field: dispatch.source_signature.as_deref(),
            has_keys: found.holds_any(),
            keys: &found.keys,
            is_required: settings.require_signature,
            skew: settings.signature_skew,
            now_ms: clock::unix_ms(),
        });
        Ok(match judged {
            Ok(signed) => SignatureVerdict::GoesOn(signed),
            Err(reason) => {
                let error = signature::why(reason);
                SignatureVerdict::Rejected(rejection(dispatch, reason, error))
            }
        })
    }

    /// Tells of a key that cannot be used once, until it was mended.
    fn tell(&mut self, found: &FoundKeys) {
        let now = BTreeSet::from_iter(found.complaints.iter().cloned());
        for complaint in now.difference(&self.told) {
            log::warn!("signatures: {complaint}");
        }
        self.told = now;
    }
}

/// The id of a signed dispatch comes again after everything else of that dispatch was pruned.
pub(super) fn replayed(dispatch: &Dispatch) -> Rejection {
    let error = format!("{} was signed and dispatched before: use a new id", dispatch.id);
    rejection(dispatch, Reason::Replayed, &error)
}

fn rejection(dispatch: &Dispatch, reason: Reason, error: &str) -> Rejection {
    Rejection { id: Some(dispatch.id.clone()), ..Rejection::new(reason, error) }
}
