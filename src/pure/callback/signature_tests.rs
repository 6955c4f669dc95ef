//! The vectors of both signatures, which other programs computed, and what is no secret.

use super::*;

const CBSEC: &str = "cbsec_00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const TASK: &str = r#"{"type":"task","task_id":"dispatch-2026-04-03-auth-flow","status":"completed","dispatch_id":"dispatch-2026-04-03-auth-flow","duration":847}"#;
const OWN: &str = r#"{"dispatch_id":"dispatch-a.b","duration":3,"message":"gstack dispatch dispatch-a.b completed in 3s. Report: completed/dispatch-a.b.json","status":"completed","task_id":"dispatch-a.b","text":"gstack dispatch dispatch-a.b completed in 3s","type":"task"}"#;

fn secret(text: &str) -> CallbackSecret {
    CallbackSecret::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
}

#[test]
fn the_headers_are_those_that_other_programs_compute() {
    for (text, key, at_s, body, standard, clawvisor) in [
        (
            CBSEC,
            "dispatch-a.b:0123456789abcdef",
            1_775_228_400,
            OWN,
            "v1,Zlo9481w02e7WczQXATY2faS2vFHGc32PWFM8nd0crI=",
            Some("9b41c47d14b9e94f3279088d788fbfa4c674f9e94028818d80a6931f83123096"),
        ),
        (
            CBSEC,
            "msg_dispatch-2026-04-03-auth-flow",
            1_775_228_400,
            TASK,
            "v1,0eL4wUTrzMyuo4289eQ/2dl7pULrXaolMNpXd/HByLw=",
            Some("faf56fb57983cee94b5e3ccb4bd8cfa411bcddd36d3ea11088bc7c75b2c78d07"),
        ),
        (
            WHSEC,
            "msg_dispatch-2026-04-03-auth-flow",
            1_775_228_400,
            TASK,
            "v1,97hBdalpKpB+nW1wNJ2SdnaAzDTm2z4AnLakAInyiWk=",
            Some("8dd34e138374e5f3816f76425e14b9bf7b5b58583a06af510e3ffc6e82062317"),
        ),
        (
            WHSEC,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            None,
        ),
    ] {
        let [id, time, signature, old] = secret(text).headers(key, at_s, body);
        assert_eq!(id, ("webhook-id", key.replace('.', "_")));
        assert_eq!(time, ("webhook-timestamp", at_s.to_string()));
        assert_eq!(signature, ("webhook-signature", standard.to_string()));
        assert_eq!(old.0, "X-Clawvisor-Signature");
        if let Some(want) = clawvisor {
            assert_eq!(old.1, format!("sha256={want}"));
        }
    }
}

#[test]
fn a_former_secret_signs_after_the_new_one_and_only_where_two_may_stand() {
    let alone = secret(CBSEC).headers("k", 1, "{}");
    let former = secret(WHSEC).headers("k", 1, "{}");
    let both = secret(&format!("{CBSEC}\n{WHSEC}")).headers("k", 1, "{}");
    assert_eq!(both[2].1, format!("{} {}", alone[2].1, former[2].1));
    assert_eq!((&both[3], &both[0], &both[1]), (&alone[3], &alone[0], &alone[1]));
}

#[test]
fn a_secret_is_of_one_of_two_forms() {
    let (short, least) = (base64::encode(&[7; 23]), base64::encode(&[7; 24]));
    let (most, long) = (base64::encode(&[7; 64]), base64::encode(&[7; 65]));
    for (text, is_one) in [
        (CBSEC.to_string(), true),
        (CBSEC.replace("aa", "AA"), true),
        (format!("whsec_{least}"), true),
        (format!("whsec_{most}"), true),
        (format!("whsec_{}", most.trim_end_matches('=')), true),
        (format!("whsec_{short}"), false),
        (format!("whsec_{long}"), false),
        (format!("{CBSEC}0"), false),
        (CBSEC[..69].to_string(), false),
        (CBSEC.replace("cbsec", "cbsek"), false),
        (CBSEC.replace('f', "g"), false),
        (String::new(), false),
        ("cbsec_".into(), false),
        (" ".to_string() + CBSEC, false),
        (format!("{CBSEC}\n"), true),
        (format!("{CBSEC}\n\n"), false),
        (format!("{CBSEC}\nx"), false),
        (format!("{CBSEC}\n{CBSEC}\n{CBSEC}"), false),
    ] {
        assert_eq!(CallbackSecret::parse(&text).is_ok(), is_one, "{text:?}");
    }
}
