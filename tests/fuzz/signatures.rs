//! What must hold of the signature of any bytes at all: one canonical form, which means the same as
//! the document, is right under its own signature and under no other text.

use std::time::Duration;

use gstack_dispatch_daemon::pure::dispatch::Reason;
use gstack_dispatch_daemon::pure::dispatch::SIGNATURE_FIELD;
use gstack_dispatch_daemon::pure::gate::canonical::Canonical;
use gstack_dispatch_daemon::pure::gate::key::{HeldKey, KEY_BYTES, KeyId};
use gstack_dispatch_daemon::pure::gate::signature::{
    SignatureFacts, SignatureTerms, Signed, SigningKey, judge,
};
use serde_json::Value;

const KEY: [u8; KEY_BYTES] = [7; KEY_BYTES];
const IAT: u64 = 1_775_228_400;

pub fn signature(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    assert_eq!(judged(data, &text), Err(Reason::Signature), "no text is right by chance");
    let Ok(canonical) = Canonical::parse(data) else { return };
    let one = canonical.text();
    let again = Canonical::parse(one.as_bytes()).map(|canonical| canonical.text());
    assert_eq!(again.as_deref(), Ok(&*one), "the form of the form");
    let bytes = data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data);
    let mut value: Value = serde_json::from_slice(bytes).expect("what has a form is JSON");
    value.as_object_mut().expect("and an object").remove(SIGNATURE_FIELD);
    assert_eq!(value.to_string(), one, "serde_json sorts keys and escapes as RFC 8785 does");

    let terms = SignatureTerms { kid: kid(), iat: IAT, exp: IAT + 60 };
    let signature = terms.sign(&canonical, &SigningKey::Hmac(KEY));
    assert!(judged(data, &signature).is_ok_and(|signed| signed.is_some()));
    let whole = canonical.signed(&signature);
    assert_eq!(judged(whole.as_bytes(), &signature), judged(data, &signature));
    let other = one.replacen('{', "{\"x added\":1,", 1).replace(",}", "}");
    assert_eq!(judged(other.as_bytes(), &signature), Err(Reason::Signature));
}

fn kid() -> KeyId {
    KeyId::parse("k").expect("a name")
}

fn judged(bytes: &[u8], field: &str) -> Result<Option<Signed>, Reason> {
    judge(&SignatureFacts {
        bytes,
        task: "t",
        field: Some(field),
        keys: &[HeldKey { id: kid(), bytes: KEY }],
        has_keys: true,
        is_required: true,
        skew: Duration::ZERO,
        now_ms: IAT as i64 * 1000,
    })
}
