//! The vectors of the contract, the table of what follows, and that no change of a document leaves
//! its signature right.

use serde_json::{Value, json};

use super::*;
use crate::pure::text::digest::sha256_hex;
use crate::pure::text::hex::hex;

const IAT: u64 = 1_775_228_400;
const EXP: u64 = 1_775_232_000;
const FIRST: &str = r#"{"constraints":["mobile client needs offline token refresh"],"dispatched_by":"wintermute","id":"dispatch-2026-04-03-auth-flow","project":"baku","project_dir":"~/git/baku","task":"Build JWT auth flow with refresh token rotation","ttl_seconds":3600}"#;
const FIRST_SIGNED: &str =
    "v2;kid=test1;iat=1775228400;exp=1775232000;sig=aKR1TK46emX2QDLDm4TGfmtRNh3Sx5Hkf2I38vE3ak0";
const FIRST_SEED: &str = "e08b46db57ecbaf907d6c6bb0ca99881b12ae6363b64eb31722bd51dce8e34d2";
const SECOND: &str = r#"{"id":"dispatch-v2.vector_2","dispatched_by":"cron \u2014 n\u00e4chtlich","task":"Say \"hi\"\\\/\n\tthen \u0001 stop: caf\u00e9 cafe\u0301 \u2028 \ud83d\ude00","project":"","project_dir":"/srv/a b","learnings":[],"ttl_seconds":60,"callback_url":"http:\/\/127.0.0.1:18789/hooks/agent","x_trace":{"n":[1,-2,9007199254740991,{"z":"","a":null}],"ok":true},"source_signature":"stale"}"#;
const SECOND_SIGNED: &str =
    "v2;kid=test-2;iat=1775228400;exp=1775228460;sig=meo2Phi_dAGh2CnRflNVSor43uwLRpA2xewlnTzNDzI";
const THIRD_SIGNED: &str = "v2;kid=ed:test3;iat=1775228400;exp=1775314800;sig=KAdIvI_tNdAF_-uy8rE97a7DhTQlTPK-ppw8-SRoK9AdIDE96D5nKiCp50dtyKibzRMgt9Qy2jvX5xQ74S05CA";
/// RFC 8032, section 7.1, test 1.
const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

fn bytes(digits: &str) -> [u8; KEY_BYTES] {
    sha256_of_hex(digits).expect("64 digits")
}

fn held(kid: &str, digits: &str) -> HeldKey {
    HeldKey { id: KeyId::parse(kid).expect(kid), bytes: bytes(digits) }
}

fn keys() -> Vec<HeldKey> {
    vec![
        held("test1", &"00112233445566778899aabbccddeeff".repeat(2)),
        held("test-2", &"ffeeddccbbaa99887766554433221100".repeat(2)),
        held("ed:test3", PUBLIC),
    ]
}

/// Judges at `iat`, with all the keys.
fn facts<'a>(document: &'a str, field: Option<&'a str>, keys: &'a [HeldKey]) -> SignatureFacts<'a> {
    SignatureFacts {
        bytes: document.as_bytes(),
        task: "Build JWT auth flow with refresh token rotation",
        field,
        keys,
        has_keys: !keys.is_empty(),
        is_required: false,
        skew: Duration::from_secs(300),
        now_ms: IAT as i64 * 1000,
    }
}

fn strong(kid: &str, exp: u64) -> Result<Option<Signed>, Reason> {
    Ok(Some(Signed { form: SignatureForm::Strong, kid: Some(kid.into()), exp: Some(exp) }))
}

#[test]
fn the_vectors_hold_both_ways() {
    let keys = keys();
    let secret = SigningKey::of_seed(&bytes(SEED)).expect("a key pair");
    assert_eq!(secret.public().map(|key| hex(&key)).as_deref(), Some(PUBLIC));
    for (document, kid, exp, key, sha256, signed) in [
        (
            FIRST,
            "test1",
            EXP,
            SigningKey::Hmac(keys[0].bytes),
            "dcd30cd382d9aadd7a453d66b841fd86abd3a12af42c7b82a8e9534656c29bb3",
            FIRST_SIGNED,
        ),
        (
            SECOND,
            "test-2",
            IAT + 60,
            SigningKey::Hmac(keys[1].bytes),
            "eb9dd4004db025e5481d7c5bd8ef19e758d5b56237c479a1fd2694b27d5d6e04",
            SECOND_SIGNED,
        ),
        (
            FIRST,
            "ed:test3",
            IAT + 86_400,
            secret,
            "627bf23e8367f7dffdcf4b2858dd3b17815ed15515ff11c9a73cbc5a021a3e14",
            THIRD_SIGNED,
        ),
    ] {
        let canonical = Canonical::parse(document.as_bytes()).expect(kid);
        let terms = SignatureTerms { kid: KeyId::parse(kid).expect(kid), iat: IAT, exp };
        assert_eq!(sha256_hex(terms.message(&canonical).as_bytes()), sha256, "{kid}");
        assert_eq!(terms.sign(&canonical, &key), signed);
        assert_eq!(judge(&facts(document, Some(signed), &keys)), strong(kid, exp));
    }
    let seed = Signed { form: SignatureForm::Seed, kid: Some("test1".into()), exp: None };
    assert_eq!(judge(&facts("not even looked at", Some(FIRST_SEED), &keys)), Ok(Some(seed)));
}

#[test]
fn what_follows_is_the_table() {
    let keys = keys();
    let wrong_seed = FIRST_SEED.replace("e08b", "e08c");
    let unknown = FIRST_SIGNED.replace("test1", "test9");
    let (missing, wrong) = (Err(Reason::SignatureMissing), Err(Reason::Signature));
    let form =
        |form, kid: Option<&str>| Ok(Some(Signed { form, kid: kid.map(Into::into), exp: None }));
    let late = (EXP as i64 + 1) * 1000;
    for (what, field, has_keys, now_ms, off, on) in [
        ("none", None, true, 0, Ok(None), missing.clone()),
        ("none, no keys", None, false, 0, Ok(None), missing.clone()),
        ("unchecked", Some("x"), false, 0, form(SignatureForm::Unchecked, None), missing.clone()),
        (
            "seed",
            Some(FIRST_SEED),
            true,
            0,
            form(SignatureForm::Seed, Some("test1")),
            missing.clone(),
        ),
        ("wrong seed", Some(&wrong_seed[..]), true, 0, wrong.clone(), wrong.clone()),
        (
            "strong",
            Some(FIRST_SIGNED),
            true,
            IAT as i64 * 1000,
            strong("test1", EXP),
            strong("test1", EXP),
        ),
        (
            "late",
            Some(FIRST_SIGNED),
            true,
            late,
            Err(Reason::SignatureExpired),
            Err(Reason::SignatureExpired),
        ),
        ("unknown", Some(&unknown), true, late, wrong.clone(), wrong.clone()),
        ("malformed", Some("v2"), true, late, wrong.clone(), wrong.clone()),
        ("empty", Some(""), true, late, wrong.clone(), wrong.clone()),
    ] {
        let keys = if has_keys { &keys[..] } else { &[] };
        for (is_required, want) in [(false, off), (true, on)] {
            let facts = SignatureFacts { is_required, now_ms, ..facts(FIRST, field, keys) };
            assert_eq!(judge(&facts), want, "{what}, required: {is_required}");
        }
    }
    // A key that cannot be used counts as one.
    let facts = SignatureFacts { has_keys: true, ..facts(FIRST, Some(FIRST_SIGNED), &[]) };
    assert_eq!(judge(&facts), wrong);
}

#[test]
fn time_is_judged_to_the_second_and_after_the_signature() {
    let keys = keys();
    let sign = |iat: u64, exp: u64| {
        let terms = SignatureTerms { kid: keys[0].id.clone(), iat, exp };
        let canonical = Canonical::parse(FIRST.as_bytes()).expect("canonical");
        terms.sign(&canonical, &SigningKey::Hmac(keys[0].bytes))
    };
    let iat_ms = IAT as i64 * 1000;
    for (iat, exp, now_ms, is_valid) in [
        (IAT, EXP, iat_ms, true),
        (IAT, EXP, iat_ms - 300_000, true),
        (IAT, EXP, iat_ms - 300_001, false),
        (IAT, EXP, EXP as i64 * 1000 + 999, true),
        (IAT, EXP, EXP as i64 * 1000 + 1000, false),
        (IAT, IAT + 86_400, iat_ms, true),
        (IAT, IAT + 86_401, iat_ms, false),
        (IAT, IAT, iat_ms, false),
        (IAT + 10, IAT, iat_ms, false),
        (0, 999_999_999_999_999, iat_ms, false),
        (999_999_999_999_999, 0, iat_ms, false),
    ] {
        let signed = sign(iat, exp);
        let facts = SignatureFacts { now_ms, ..facts(FIRST, Some(&signed), &keys) };
        let want = if is_valid { strong("test1", exp) } else { Err(Reason::SignatureExpired) };
        assert_eq!(judge(&facts), want, "{iat} {exp} {now_ms}");
        let wrong = signed.replace("sig=", "sig=A");
        let facts = SignatureFacts { field: Some(&wrong), ..facts };
        assert_eq!(judge(&facts), Err(Reason::Signature), "{iat} {exp} {now_ms}");
    }
}

#[test]
fn a_signature_has_one_spelling() {
    let keys = keys();
    let last = |c: char| format!("{}{c}", &FIRST_SIGNED[..FIRST_SIGNED.len() - 1]);
    let mut wrong: Vec<String> = [
        ("v2", "v1"),
        ("v2", "V2"),
        ("v2;", "v2; "),
        ("kid=test1;iat=1775228400;", "iat=1775228400;kid=test1;"),
        ("kid=test1;", ""),
        ("kid=test1", "kid=TEST1"),
        ("kid=test1", "kid=ed:test1"),
        ("kid=test1", "kid=../test1"),
        ("iat=", "iat=0"),
        ("iat=", "iat=+"),
        ("iat=", "iat=-"),
        ("iat=1775228400", "iat=1775228400.0"),
        ("iat=1775228400", "iat="),
        ("iat=1775228400", "iat=1775228400000000"),
        ("sig=", "sig=="),
        ("sig=", "sig=A"),
        ("sig=a", "sig="),
        ("sig=", "alg=none;sig="),
    ]
    .map(|(text, other)| FIRST_SIGNED.replacen(text, other, 1))
    .into();
    // The last digit has two bits that mean nothing: `0` has them zero, `1` to `3` mean the same.
    wrong.extend(['1', '2', '3', '='].map(last));
    wrong.push(format!("{FIRST_SIGNED};"));
    wrong.push(format!("{FIRST_SIGNED}\n"));
    for field in wrong {
        assert_eq!(judge(&facts(FIRST, Some(&field), &keys)), Err(Reason::Signature), "{field}");
    }
    assert!(judge(&facts(FIRST, Some(FIRST_SIGNED), &keys)).is_ok());
}

/// Whoever knows a public key must not be able to use it as a shared secret.
#[test]
fn a_public_key_is_never_a_shared_secret() {
    let keys = vec![held("ed:test3", PUBLIC)];
    let canonical = Canonical::parse(FIRST.as_bytes()).expect("canonical");
    let forger = SigningKey::Hmac(bytes(PUBLIC));
    for kid in ["ed:test3", "test3"] {
        let terms = SignatureTerms { kid: KeyId::parse(kid).expect(kid), iat: IAT, exp: EXP };
        let forged = terms.sign(&canonical, &forger);
        assert_eq!(judge(&facts(FIRST, Some(&forged), &keys)), Err(Reason::Signature), "{kid}");
    }
    let task = "Build JWT auth flow with refresh token rotation";
    let seed = hmac::sign(&hmac_key(&bytes(PUBLIC)), task.as_bytes());
    let seed = hex(seed.as_ref());
    assert_eq!(judge(&facts(FIRST, Some(&seed), &keys)), Err(Reason::Signature));
}

#[test]
fn what_a_document_looks_like_does_not_count_and_what_it_says_does() {
    let keys = keys();
    let judged = |document: &str| judge(&facts(document, Some(SECOND_SIGNED), &keys));
    let value: Value = serde_json::from_str(SECOND).expect("JSON");
    let pretty = serde_json::to_string_pretty(&value).expect("JSON");
    let mut escaped = String::new();
    for c in value.to_string().chars() {
        let mut units = [0; 2];
        match c.is_ascii() {
            true => escaped.push(c),
            false => {
                escaped.extend(c.encode_utf16(&mut units).iter().map(|u| format!("\\u{u:04X}")))
            }
        }
    }
    let fields = value.as_object().expect("an object");
    let backwards: Vec<String> =
        fields.iter().rev().map(|(key, value)| format!("{} : {value}", json!(key))).collect();
    let backwards = format!("\t{{\r\n{}\n}} ", backwards.join(" ,\n"));
    for same in [SECOND, &pretty, &escaped, &backwards, &format!("\u{feff}{SECOND}")] {
        assert_eq!(judged(same), strong("test-2", IAT + 60), "{same}");
    }
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut other = value.clone();
        change(&mut other);
        judged(&other.to_string())
    };
    for key in fields.keys().filter(|key| *key != "source_signature") {
        for other in [json!("x"), json!(7), Value::Null, json!(["x"])] {
            let swapped = changed(&|document| document[key] = other.clone());
            assert_eq!(swapped, Err(Reason::Signature), "{key}: {other}");
        }
        let removed =
            changed(&|document| drop(document.as_object_mut().map(|all| all.remove(key))));
        assert_eq!(removed, Err(Reason::Signature), "without {key}");
    }
    for key in ["constraints", "target_agent", "clawvisor_task_id", "anything"] {
        let added = changed(&|document| document[key] = json!("x"));
        assert_eq!(added, Err(Reason::Signature), "with {key}");
    }
    let deeper = changed(&|document| document["x_trace"]["n"][3]["a"] = json!(false));
    assert_eq!(deeper, Err(Reason::Signature));
    let composed = SECOND.replace("cafe\\u0301", "caf\\u00e9");
    assert_eq!(judged(&composed), Err(Reason::Signature));
}

#[test]
fn a_malformed_document_is_wrong_however_it_is_signed() {
    let keys = keys();
    for (text, other) in [
        ("\"ttl_seconds\":60", "\"ttl_seconds\":60.0"),
        ("\"ttl_seconds\":60", "\"ttl_seconds\":6e1"),
        ("\"ttl_seconds\":60", "\"ttl_seconds\":60,\"x_trace\":{}"),
        ("\"ok\":true", "\"ok\":true,\"ok\":true"),
    ] {
        let document = SECOND.replace(text, other);
        assert_ne!(document, SECOND);
        let judged = judge(&facts(&document, Some(SECOND_SIGNED), &keys));
        assert_eq!(judged, Err(Reason::Signature), "{document}");
    }
}

#[test]
fn an_id_is_kept_for_an_hour_after_its_signature_ran_out() {
    let signed = |exp| Signed { form: SignatureForm::Strong, kid: None, exp };
    let until = (EXP as i64 + 3600) * 1000;
    assert!(signed(Some(EXP)).keeps_id(0) && signed(Some(EXP)).keeps_id(until));
    assert!(!signed(Some(EXP)).keeps_id(until + 1000) && !signed(None).keeps_id(0));
}
