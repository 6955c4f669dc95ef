//! Where URLs lead, which of them lead nowhere, and which the operator's list lets through.

use super::*;

#[test]
fn a_url_leads_to_a_host_and_port_or_nowhere() {
    for (url, want) in [
        ("http://h", Some("h:80")),
        ("https://h/x?y#z", Some("h:443")),
        ("HTTP://Hooks.Example:8080/A", Some("hooks.example:8080")),
        ("httpS://my_service:1?x", Some("my_service:1")),
        ("http://127.0.0.1:9/", Some("127.0.0.1:9")),
        ("http://[::1]:9/", Some("[::1]:9")),
        ("https://[FE80::1]", Some("[fe80::1]:443")),
        ("http://h:/", Some("h:80")),
        ("http://h/user@host", Some("h:80")),
        ("", None),
        ("not a url", None),
        ("h/x", None),
        ("//h/x", None),
        ("http:/h", None),
        ("file:///etc/passwd", None),
        ("ftp://h/", None),
        ("http://", None),
        ("http:///path", None),
        ("http://?x", None),
        ("http://:80/", None),
        ("http://u:p@h/", None),
        ("http://u@h/", None),
        ("http://h:0/", None),
        ("http://h:65536/", None),
        ("http://h:+1/", None),
        ("http://h:1:2/", None),
        ("http://::1/", None),
        ("http://[::1/", None),
        ("http://[::1%25eth0]/", None),
        ("http://[::1]x/", None),
        ("http://caf\u{e9}/", None),
        ("http://h%41/", None),
        ("http://h\\x/", None),
        (" http://h/", None),
        ("http://h/ ", None),
        ("http://h/a b", None),
        ("http://h/\n", None),
    ] {
        let line = Origin::of_url(url).ok().map(|origin| origin.line());
        assert_eq!(line.as_deref(), want, "{url:?}");
    }
    assert!(Origin::of_url(&format!("http://h/{}", "x".repeat(70_000))).is_err());
    assert!(Origin::of_url(&format!("http://{}/", "x".repeat(300))).is_err());
}

/// `(host of the URL, why nothing goes there)`, for hosts that show their address.
const SHOWN: [(&str, Option<&str>); 66] = [
    ("127.0.0.1", None),
    ("127.8.9.10", None),
    ("10.0.0.1", None),
    ("172.16.0.1", None),
    ("192.168.1.1", None),
    ("100.64.0.1", None),
    ("100.100.100.199", None),
    ("169.253.255.255", None),
    ("169.255.0.0", None),
    ("192.0.0.191", None),
    ("223.255.255.255", None),
    ("240.0.0.1", None),
    ("255.255.255.254", None),
    ("8.8.8.8", None),
    ("[::1]", None),
    ("[fd00::1]", None),
    ("[fd00:ec2::253]", None),
    ("[fec0::1]", None),
    ("[2606:4700::1111]", None),
    ("[::ffff:127.0.0.1]", None),
    ("[::ffff:7f00:1]", None),
    ("[::127.0.0.1]", None),
    ("[64:ff9b::7f00:1]", None),
    ("[64:ff9b:1::10.0.0.1]", None),
    ("[64:ff9b:1:a00:0:100::]", None),
    ("[2002:a00:1::1]", None),
    ("[2001:0:808:808::f5ff:fffe]", None),
    ("[2001:1::a9fe:a9fe]", None),
    ("[2001:db8::a9fe:a9fe]", None),
    ("169.254.169.254", Some("a link-local address")),
    ("169.254.0.0", Some("a link-local address")),
    ("169.254.255.255", Some("a link-local address")),
    ("169.254.170.2", Some("a link-local address")),
    ("100.100.100.200", Some("a metadata address")),
    ("192.0.0.192", Some("a metadata address")),
    ("168.63.129.16", Some("a metadata address")),
    ("0.0.0.0", Some("an unspecified address")),
    ("0.1.2.3", Some("an unspecified address")),
    ("224.0.0.1", Some("a multicast address")),
    ("239.255.255.250", Some("a multicast address")),
    ("255.255.255.255", Some("a broadcast address")),
    ("[fe80::1]", Some("a link-local address")),
    ("[FE80::A9FE:A9FE]", Some("a link-local address")),
    ("[febf:ffff::1]", Some("a link-local address")),
    ("[fd00:ec2::254]", Some("a metadata address")),
    ("[fd00:0ec2:0:0:0:0:0:0254]", Some("a metadata address")),
    ("[fd20:ce::254]", Some("a metadata address")),
    ("[::]", Some("an unspecified address")),
    ("[0:0:0:0:0:0:0:0]", Some("an unspecified address")),
    ("[ff02::1]", Some("a multicast address")),
    ("[ff00::]", Some("a multicast address")),
    ("[::ffff:169.254.169.254]", Some("a link-local address")),
    ("[::ffff:a9fe:a9fe]", Some("a link-local address")),
    ("[0:0:0:0:0:ffff:a9fe:a9fe]", Some("a link-local address")),
    ("[::ffff:0.0.0.0]", Some("an unspecified address")),
    ("[::169.254.169.254]", Some("a link-local address")),
    ("[::2]", Some("an unspecified address")),
    ("[64:ff9b::a9fe:a9fe]", Some("a link-local address")),
    ("[64:ff9b::100.100.100.200]", Some("a metadata address")),
    ("[64:ff9b:1::a9fe:a9fe]", Some("a link-local address")),
    ("[64:ff9b:1:a9fe:a9:fe00::]", Some("a link-local address")),
    ("[64:ff9b:1:0:a9:fea9:fe00:0]", Some("a link-local address")),
    ("[64:ff9b:1::]", Some("an unspecified address")),
    ("[2002:a9fe:a9fe::1]", Some("a link-local address")),
    ("[2001:0:a9fe:a9fe::f5ff:fffe]", Some("a link-local address")),
    ("[2001:0:808:808::5601:5601]", Some("a link-local address")),
];

#[test]
fn an_address_that_no_callback_may_reach_is_told_in_every_spelling() {
    for (host, want) in SHOWN {
        for url in [format!("http://{host}/x?y"), format!("https://{host}:8443")] {
            let got = destination(&url, None).err().map(|refusal| refusal.to_string());
            let why = got.as_deref().and_then(|text| text.split_once(": it is "));
            assert_eq!(why.map(|(_, why)| why), want, "{url}: {got:?}");
            assert!(!got.unwrap_or_default().contains("x?y"), "{url}");
        }
    }
}

#[test]
fn what_is_refused_is_told_without_what_may_be_secret() {
    for (url, want) in [
        ("http://u:sesame@h/secret", "it has credentials in it"),
        ("http://169.254.169.254/secret", "169.254.169.254: it is a link-local address"),
        ("http://[::ffff:0.0.0.1]:9/secret", "0.0.0.1: it is an unspecified address"),
        ("https://H.example/secret?x", "h.example: callback_allow does not name it"),
    ] {
        let refusal = destination(url, Some(&[])).expect_err("refused");
        assert_eq!(refusal.to_string(), want);
    }
}

#[test]
fn the_operator_s_list_lets_through_what_an_entry_names() {
    for (entry, url, want) in [
        ("h", "http://h/", true),
        ("h", "https://h:8443/", true),
        ("H.Example", "http://h.eXample:1/", true),
        ("h", "http://x.h/", false),
        ("h", "http://hh/", false),
        ("h", "http://h./", false),
        ("h:80", "http://h/", true),
        ("h:80", "http://h:8080/", false),
        ("h:443", "https://h/", true),
        ("https://h", "https://h/", true),
        ("https://h", "https://h:8443/", true),
        ("https://h", "http://h:443/", false),
        ("http://h:8080", "http://h:8080/", true),
        ("http://h:8080", "http://h/", false),
        ("*.h.example", "http://a.h.example/", true),
        ("*.h.example", "http://a.b.h.example:9/", true),
        ("*.h.example", "http://h.example/", false),
        ("*.h.example", "http://.h.example/", false),
        ("*.h.example", "http://ah.example/", false),
        ("https://*.h.example:1", "https://a.h.example:1/", true),
        ("https://*.h.example:1", "https://a.h.example/", false),
        ("127.0.0.1", "http://127.0.0.1:18789/", true),
        ("127.0.0.1", "http://[::ffff:127.0.0.1]/", true),
        ("127.0.0.1", "http://[::ffff:7f00:1]/", true),
        ("127.0.0.1", "http://2130706433/", false),
        ("127.0.0.1", "http://localhost/", false),
        ("127.0.0.1:18789", "http://127.0.0.1/", false),
        ("[::1]", "http://[0:0:0:0:0:0:0:1]:8/", true),
        ("::1", "http://[::1]/", true),
        ("[::1]:8", "http://[::1]:9/", false),
    ] {
        let allow = [AllowedHost::parse(entry).expect(entry)];
        let got = destination(url, Some(&allow)).is_ok();
        assert_eq!(got, want, "{entry} {url}");
    }
    assert!(destination("http://169.254.169.254/", None).is_err());
    let named = [AllowedHost::parse("169.254.169.254").expect("an entry")];
    assert!(
        destination("http://169.254.169.254/", Some(&named)).is_err(),
        "the list opens nothing"
    );
}

#[test]
fn what_names_no_host_is_no_entry() {
    for entry in [
        "",
        "*",
        "*.",
        "*.127.0.0.1",
        "ftp://h",
        "h/x",
        "h:0",
        "h:x",
        "u@h",
        "http://",
        "a b",
        "h:1:2",
    ] {
        assert!(AllowedHost::parse(entry).is_err(), "{entry:?}");
    }
}

#[test]
fn a_task_of_clawvisor_takes_no_report() {
    let clawvisor = Origin::of_url("http://127.0.0.1:25297").expect("an origin");
    for (url, want) in [
        ("http://127.0.0.1:25297/api/tasks/t-1/complete", true),
        ("HTTP://127.0.0.1:25297/api/tasks/t-1", true),
        ("http://[::ffff:127.0.0.1]:25297/api/tasks/x?y", true),
        ("http://127.0.0.1:25297/api/callbacks", false),
        ("http://127.0.0.1:25297/", false),
        ("http://127.0.0.1:25297", false),
        ("http://127.0.0.1:25298/api/tasks/t-1", false),
        ("https://127.0.0.1:25297/api/tasks/t-1", false),
        ("http://localhost:25297/api/tasks/t-1", false),
        ("http://127.0.0.1:25297/x/api/tasks/t-1", false),
        ("/api/tasks/t-1", false),
    ] {
        assert_eq!(is_task_of(url, &clawvisor), want, "{url}");
    }
}
