use super::*;

/// So many letters and digits, the same for the same seed.
fn noise(seed: u64, length: usize) -> String {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let letter = |state: &mut u64| {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"[(*state >> 33) as usize % 57]
            as char
    };
    (0..length).map(|_| letter(&mut state)).collect()
}

#[test]
fn every_known_shape_is_hidden_wherever_it_stands() {
    let (short, long) = (noise(1, 24), noise(2, 48));
    let tail = |n| noise(3, n);
    let shapes = [
        format!("sk-{long}"),
        format!("sk-ant-api03-{long}-_AA"),
        format!("sk-proj-{long}"),
        "sk-ant-REDACTED-words".into(),
        format!("sk_live_{short}"),
        format!("rk_live_{short}"),
        format!("ghp_{}", tail(36)),
        format!("gho_{}", tail(36)),
        format!("ghu_{}", tail(36)),
        format!("ghs_{}", tail(36)),
        format!("ghr_{}", tail(36)),
        format!("github_pat_{}_{}", tail(22), tail(59)),
        format!("glpat-{}", tail(20)),
        format!("xoxb-1234567890-{}", tail(24)),
        format!("xoxa-2-{short}"),
        format!("xoxp-{short}"),
        format!("xoxr-{short}"),
        format!("xoxs-{short}"),
        format!("xapp-1-A01-{short}"),
        "AKIAIOSFODNN7EXAMPLE".into(),
        "ASIAIOSFODNN7EXAMPLE".into(),
        format!("AIza{}", tail(35)),
        format!("ya29.{}-_{short}", tail(20)),
        format!("npm_{}", tail(36)),
        format!("pypi-AgEIcHlwaS5vcmc{short}"),
        format!("hf_{}", tail(34)),
        format!("dop_v1_{}", "0123456789abcdef".repeat(4)),
        format!("SG.{}.{}", tail(22), tail(43)),
        format!("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{}", tail(43)),
        format!("AGE-SECRET-KEY-1{}", short.to_uppercase()),
        format!("123456789:AA{}", tail(33)),
        format!("cvis_{}", "0123456789abcdef".repeat(4)),
        format!("cbsec_{}", "0123456789abcdef".repeat(4)),
        format!("whsec_{}=", tail(43)),
    ];
    for shape in &shapes {
        for (before, after) in [
            ("", ""),
            ("key ", " end"),
            ("\"", "\""),
            ("feature/", " is"),
            ("x=", "&y=1"),
            ("(", ")"),
            ("é", "é"),
            ("https://h/", "\n"),
        ] {
            let text = format!("{before}{shape}{after}");
            assert_eq!(redact(&text), format!("{before}{MARK}{after}"), "{text}");
        }
        let body = "\n".to_string() + shape;
        assert!(!redact(&body.repeat(3)).contains(shape), "{shape}");
    }
}

#[test]
fn keys_in_pem_go_whole_however_they_are_written_or_cut() {
    let body = format!("{}\n{}", noise(4, 64), noise(5, 30));
    for kind in ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "] {
        let pem =
            format!("-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----");
        assert_eq!(redact(&format!("a\n{pem}\nb")), "a\n[redacted]\nb");
        let escaped = pem.replace('\n', "\\n");
        assert_eq!(redact(&format!("{{\"k\":\"{escaped}\\n\"}}")), "{\"k\":\"[redacted]\\n\"}");
        let cut = &pem[..pem.len() - 40];
        assert_eq!(redact(&format!("a {cut}")), "a [redacted]");
        let tail = &pem[50..];
        assert_eq!(redact(&format!("{tail}\nb")), "[redacted]\nb");
    }
    let pgp = "-----BEGIN PGP PRIVATE KEY BLOCK-----\nx\n-----END PGP PRIVATE KEY BLOCK-----\n";
    assert_eq!(redact(pgp), "[redacted]\n");
    let public = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----";
    assert_eq!(redact(public), public);
}

#[test]
fn what_a_name_says_is_secret_is_hidden_in_every_form() {
    let names = [
        "password",
        "passwd",
        "pwd",
        "DB_PASSWORD",
        "client_secret",
        "clientSecret",
        "token",
        "access-token",
        "API_KEY",
        "api key",
        "apiKey",
        "x.access_key",
        "private-key",
        "AccountKey",
        "credential",
    ];
    for name in names {
        for (text, want) in [
            ("N=hunter2! next", "N=[redacted] next"),
            ("N: hunter2 next", "N: [redacted] next"),
            ("N = 'two words' next", "N = '[redacted]' next"),
            (r#"{"N":"a\"b","n":1}"#, r#"{"N":"[redacted]","n":1}"#),
            (r#"{"N" : "a b"}"#, r#"{"N" : "[redacted]"}"#),
            (r#"{\"N\": \"a b\", \"n\": 1}"#, r#"{\"N\": \"[redacted]\", \"n\": 1}"#),
            (r#"\\\"N\\\":\\\"a\\\",1"#, r#"\\\"N\\\":\\\"[redacted]\\\",1"#),
            ("'N' => 'x1'", "'N' => '[redacted]'"),
            ("https://h/p?a=1&N=x%20y&b=2", "https://h/p?a=1&N=[redacted]&b=2"),
            (r#"curl -H "X-N: abc" h"#, r#"curl -H "X-N: [redacted]" h"#),
            ("N=[\"a\", \"b\"] c", "N=[redacted]] c"),
            ("N='cut off", "N='[redacted]"),
        ] {
            let (text, want) = (text.replace('N', name), want.replace('N', name));
            assert_eq!(redact(&text), want, "{text}");
        }
    }
    assert_eq!(redact("mysql --password hunter2 -h x"), "mysql --password [redacted] -h x");
    assert_eq!(redact("x --token --verbose"), "x --token --verbose");
}

#[test]
fn credentials_of_a_scheme_are_hidden() {
    for (text, want) in [
        ("Authorization: Bearer abc.def next", "Authorization: Bearer [redacted] next"),
        ("authorization: token abcdef", "authorization: token [redacted]"),
        (r#""Authorization": "Basic dTpw""#, r#""Authorization": "Basic [redacted]""#),
        ("with bearer 0a1b2c3d4e", "with bearer [redacted]"),
        ("BEARER abcdefghijklmnopqrst", "BEARER [redacted]"),
        ("Basic dXNlcjpwYXNzd29yZA== x", "Basic [redacted] x"),
        ("Proxy-Authorization: 0123456789abcdef0123", "Proxy-Authorization: [redacted]"),
    ] {
        assert_eq!(redact(text), want);
    }
}

#[test]
fn urls_lose_their_passwords_and_webhooks_their_path() {
    for (text, want) in [
        ("git clone https://u:pw@host/x", "git clone https://u:[redacted]@host/x"),
        ("redis://:p@ss@h:1/0", "redis://:[redacted]@h:1/0"),
        ("cannot clone https://u:hunter2-and-mo…", "cannot clone https://u:[redacted]…"),
        ("cannot clone https://u:hunter2-and-mo", "cannot clone https://u:[redacted]"),
        ("postgres://u:p/w#x@h/db y", "postgres://u:[redacted]@h/db y"),
        ("a://u:p@h,b://u:q@h", "a://u:[redacted]@h,b://u:[redacted]@h"),
        (
            "https://hooks.slack.com/services/T0/B0/xyz now",
            "https://hooks.slack.com/services/[redacted] now",
        ),
        (
            "https://discord.com/api/webhooks/1/ab-c_d",
            "https://discord.com/api/webhooks/[redacted]",
        ),
        (
            "https://api.telegram.org/bot123456789:AAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/send",
            "https://api.telegram.org/bot[redacted]/send",
        ),
    ] {
        assert_eq!(redact(text), want);
    }
}

#[test]
fn ordinary_text_is_left_alone() {
    for text in [
        "API Error: 429 rate limit · see https://example.org/a@b",
        "cannot read /a/b-c.json: Permission denied (os error 13)",
        "task-based sk-learn; tokens: none; a sk-learn-based-approach-to-things",
        "é – “quoted” \u{1F600}",
        "commit 5b13433a9d2c41f00e7a8c6d5b4a39281706f5e4 of 348ab8e",
        "sha256:4e07408562bedb8b60ce05c1decfe3ad16b72230967de01f640b7e4729b49fce",
        "1775228400:4e07408562bedb8b60ce05c1decfe3ad16b72230967de01f640b7e4729b49fce",
        "session 0f8b4c1e-7d1f-4a6e-9a51-2f6f0f3f8a11, thread 019a2b3c-1111-7222-8333-444455556666",
        "dispatch-fix-the-token:0123456789abcdef",
        "dispatch-fix-the-token: its folder is gone or damaged",
        "dispatch-rotate-sk-Live-Key-01234567 completed after 3 s",
        "VGhpcyBpcyBhbiBvcmRpbmFyeSB0ZXh0IHRoYXQgbm9ib2R5IGhpZGVz",
        "eyJhIjoxLCJiIjpbMSwyLDNdfQ==",
        "cannot use /home/me/.gstack/.clawvisor-token: it must be 0600",
        "Basic authentication and Bearer tokens; the bearer of bad news; basic usage: see README.md",
        "PWD=/home/me OLDPWD=/tmp token::Kind vault secret://path",
        "\"token\": null, \"secret\": false, password: none, secret=",
        "{\"token\": {\"kind\": 1}}",
        "input_tokens: 12, \"output_tokens\":34, max_tokens=5",
        "http://127.0.0.1:18789/hooks/agent and http://[::1]:80/a@b and http://h:80",
        "10:30 12345:67 key=value author=me monkey: 5 keys: 7",
        "npm_config_registry npm_lifecycle_event_script hf_hub_download github_pat",
        "-----BEGIN PUBLIC KEY-----",
    ] {
        assert_eq!(redact(text), text);
    }
}

#[test]
fn what_is_redacted_stays_as_it_is() {
    for text in [
        "password=hunter2! token: [x, y] z",
        "Authorization: Bearer abc https://u:p@h/?token=a&b",
        r#"{\"secret\": \"a\", "token":["b","c"]}"#,
        "secret='cut off",
        "a -----BEGIN PRIVATE KEY-----\nxx",
        "whsec_0123456789abcdef x sk-ant-0123456789",
    ] {
        let once = redact(text);
        assert_eq!(redact(&once), once, "{text}");
    }
}

/// Each text is of a kind that makes a careless search look at everything again and again.
#[test]
fn a_long_text_takes_as_long_as_it_is() {
    let pieces = [
        "sk-",
        "eyJ-",
        "eyJaaaaaaaa.",
        "token=[",
        "token='\\",
        "a://",
        "a://b:c",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY-----",
        "Bearer ",
        "\\\"",
        "::",
        " ",
        "SG.aaaaaaaaaaaa-",
        "1:",
        "--",
        "token",
        "x\"token\":",
        "a",
    ];
    for piece in pieces {
        let text = piece.repeat(300_000 / piece.len());
        let held = Held::default();
        // Were one of them quadratic, this would take hours.
        assert!(held.redact(&text).len() <= text.len() + MARK.len() * 2_000_000, "{piece}");
    }
}

#[test]
fn what_we_hold_is_hidden_by_value_in_each_of_its_forms() {
    let mut held = Held::default();
    held.add("plain old words\n");
    held.add("cbsec_00112233445566778899aabbccddeeff");
    held.add("a+b/c=d+e/f==");
    held.add("short");
    for (text, want) in [
        ("of plain old words.", "of [redacted]."),
        ("00112233445566778899aabbccddeeff", "[redacted]"),
        ("key 00112233445566778899AABBCCDDEEFF", "key [redacted]"),
        ("a%2Bb%2Fc%3Dd%2Be%2Ff%3D%3D", "[redacted]"),
        (r"x a+b\/c=d+e\/f== y", "x [redacted] y"),
        ("a short word", "a short word"),
        ("it was cut: plain old wo…", "it was cut: [redacted]…"),
        ("it was cut: plain ol", "it was cut: [redacted]"),
        ("plain", "plain"),
    ] {
        assert_eq!(held.redact(text), want);
    }
    assert!(held.has("plain old words") && !held.has("short"));
    assert!(!format!("{held:?}").contains("plain"));
}

#[test]
fn json_stays_json_and_only_its_texts_change() {
    let held = Held::default();
    for (json, want) in [
        (r#"{"n":1.0e5,"a":"é \u00e9","b":[1,"x"]}"#, r#"{"n":1.0e5,"a":"é \u00e9","b":[1,"x"]}"#),
        (r#"{"token":"abc","n":"abc"}"#, r#"{"token":"[redacted]","n":"abc"}"#),
        (
            r#"{"secret":["a",["b"],"c"],"d":"e"}"#,
            r#"{"secret":["[redacted]",["[redacted]"],"[redacted]"],"d":"e"}"#,
        ),
        (r#"{"token":{"a":"b"},"token":7,"c":"d"}"#, r#"{"token":{"a":"b"},"token":7,"c":"d"}"#),
        (r#"{"e":"say \"password=x\" now"}"#, r#"{"e":"say \"password=[redacted]\" now"}"#),
        (r#"{"token":""}"#, r#"{"token":""}"#),
        (
            r#"{"dispatch_id":"dispatch-a-token","at":"12:30"}"#,
            r#"{"dispatch_id":"dispatch-a-token","at":"12:30"}"#,
        ),
        ("{\n  \"password\": \"x\"\n}", "{\n  \"password\": \"[redacted]\"\n}"),
        (r#"["cut"#, r#"["cut"#),
    ] {
        let shown = held.redact_json(json);
        assert_eq!(shown, want);
        let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).is_ok();
        assert_eq!(parse(&shown), parse(json), "{shown}");
    }
}
