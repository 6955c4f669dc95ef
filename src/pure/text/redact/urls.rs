//! Secrets in URLs: passwords before the host, and the addresses of webhooks, which are secret as a
//! whole. (What is secret in a query is known by its name.)

use std::ops::Range;

use super::{MARK, places, run};

/// What a webhook's address begins with, cut before its first full stop; the secret is what
/// follows.
const WEBHOOKS: [(&str, &str); 9] = [
    ("hooks", ".slack.com/services/"),
    ("hooks", ".slack.com/workflows/"),
    ("hooks", ".slack.com/triggers/"),
    ("hooks", ".slack-gov.com/services/"),
    ("discord", ".com/api/webhooks/"),
    ("discordapp", ".com/api/webhooks/"),
    ("discord", ".com/api/v9/webhooks/"),
    ("discord", ".com/api/v10/webhooks/"),
    ("webhook", ".office.com/webhookb2/"),
];
const MARK_OF_A_URL: &str = "://";

pub(super) fn find(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    for dot in places(text, ".") {
        for (host, path) in WEBHOOKS {
            if bytes[..dot].ends_with(host.as_bytes()) && bytes[dot..].starts_with(path.as_bytes())
            {
                let from = dot + path.len();
                let is_of_it = |b: u8| b.is_ascii_alphanumeric() || b"-_/@".contains(&b);
                let length = run(bytes, from, usize::MAX, is_of_it);
                found.extend((length > 0).then_some(from..from + length));
            }
        }
    }
    let mut looked_to = 0;
    for at in places(text, MARK_OF_A_URL) {
        // A URL within another one's login would be looked through again and again.
        if at >= looked_to {
            let (login, end) = password(text, at + MARK_OF_A_URL.len());
            found.extend(login);
            looked_to = end;
        }
    }
}

/// The password in `user:password@host`, and how far it was looked for. A slash or another sign
/// that should have been escaped belongs to it, unless what stands before it is a port.
fn password(text: &str, from: usize) -> (Option<Range<usize>>, usize) {
    let bytes = text.as_bytes();
    let is_url = |b: u8| !b.is_ascii_whitespace() && !b"\"'<>\\`".contains(&b);
    let authority = run(bytes, from, usize::MAX, |b| is_url(b) && !b"/?#".contains(&b));
    let colon = text[from..from + authority].find(':').map(|colon| from + colon + 1);
    let Some(start) = colon else { return (None, from + authority) };
    let mut end = text[start..from + authority].rfind('@').map(|at| start + at);
    let mut looked_to = from + authority;
    let digits = run(bytes, start, 6, |b| b.is_ascii_digit());
    let is_port = start + digits == from + authority;
    if end.is_none() && !is_port && bytes[from] != b'[' {
        looked_to = from + run(bytes, from, usize::MAX, is_url);
        end = text[start..looked_to].find('@').map(|at| start + at);
    }
    // A text may have been cut off in the middle of the password.
    let cut = text.strip_suffix('…').unwrap_or(text).len();
    let is_cut = looked_to == text.len() && start + digits < cut && bytes[from] != b'[';
    end = end.or(is_cut.then_some(cut));
    looked_to = end.unwrap_or(looked_to);
    let secret = end.map(|end| start..end).filter(|secret| !secret.is_empty());
    (secret.filter(|secret| &text[secret.clone()] != MARK), looked_to)
}
