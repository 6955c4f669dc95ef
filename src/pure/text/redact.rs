//! Takes secrets out of text before it is written to a report or a log. It knows them by shape
//! only, and errs on the side of hiding.
//!
//! The shapes are: provider keys (`sk-…`, `ghp_…`, `AKIA…`, `xoxb-…`, `glpat-…`, `AIza…`, `cvis_…`,
//! `cbsec_…`, `whsec_…`, `npm_…`, JWTs), `Bearer …` and `Basic …`, passwords in URLs, and
//! `key=value` / `key: value` pairs whose key names a secret.

const MARK: &str = "[redacted]";
/// A shorter tail behind a known prefix is a word, not a key.
const KEY_CHARS_MIN: usize = 12;

const PREFIXES: [&str; 20] = [
    "sk-",
    "sk_live_",
    "sk_test_",
    "rk_live_",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "AKIA",
    "ASIA",
    "AIza",
    "npm_",
    "eyJ",
    "hf_",
];
const OWN_PREFIXES: [&str; 3] = ["cvis_", "cbsec_", "whsec_"];
const SECRET_KEYS: [&str; 9] = [
    "password",
    "passwd",
    "secret",
    "token",
    "api_key",
    "apikey",
    "api-key",
    "access_key",
    "private_key",
];

/// The text with everything hidden that looks like a secret.
pub fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let word_start = rest.find(is_word).unwrap_or(rest.len());
        out += &rest[..word_start];
        rest = &rest[word_start..];
        if let Some(end) = pem_end(rest) {
            out += MARK;
            rest = &rest[end..];
            continue;
        }
        let word_end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let word = &rest[..word_end];
        let hidden = is_key(word) || follows_secret_name(&out) || follows_scheme(&out);
        out += if hidden && !word.is_empty() { MARK } else { word };
        rest = &rest[word_end..];
    }
    hide_url_passwords(out)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '+' | '/' | '~' | '%')
}

fn is_key(word: &str) -> bool {
    let tail = |prefix: &&str| word.strip_prefix(*prefix).is_some_and(|t| t.len() >= KEY_CHARS_MIN);
    // A path is no key, although `/` is a character of base64.
    PREFIXES.iter().chain(&OWN_PREFIXES).any(tail)
}

/// Whether `… api_key = ` or `"token": "` stands just before the word.
fn follows_secret_name(before: &str) -> bool {
    let trimmed = before.trim_end_matches([' ', '"', '\'']);
    let Some(name) = trimmed.strip_suffix(['=', ':']) else { return false };
    let name = name.trim_end_matches([' ', '"', '\'', '\\']);
    let start = name.rfind(|c: char| !is_word(c)).map_or(0, |at| at + 1);
    let name = name.get(start..).unwrap_or("").to_ascii_lowercase();
    SECRET_KEYS.iter().any(|key| name.ends_with(key))
}

fn follows_scheme(before: &str) -> bool {
    let Some(head) = before.strip_suffix(' ') else { return false };
    let start = head.rfind(|c: char| !is_word(c)).map_or(0, |at| at + 1);
    matches!(head.get(start..), Some("Bearer" | "bearer" | "Basic"))
}

/// The length of a PEM private key that the text begins with.
fn pem_end(text: &str) -> Option<usize> {
    if !text.starts_with("-----BEGIN ") || !text.lines().next()?.contains("PRIVATE KEY") {
        return None;
    }
    let end = text
        .find("-----END ")
        .map_or(text.len(), |at| text[at..].find('\n').map_or(text.len(), |newline| at + newline));
    Some(end)
}

/// `https://user:password@host` → `https://user:[redacted]@host`
fn hide_url_passwords(text: String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        out += head;
        let end = tail
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\''))
            .unwrap_or(tail.len());
        let authority = &tail[..end];
        match authority
            .rsplit_once('@')
            .and_then(|(login, host)| Some((login.split_once(':')?.0, host)))
        {
            Some((user, host)) => out += &format!("{user}:{MARK}@{host}"),
            None => out += authority,
        }
        rest = &tail[end..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden() {
        for (text, want) in [
            ("key sk-ant-REDACTED end", "key [redacted] end"),
            ("ghp_0123456789abcdefABCDEF", "[redacted]"),
            ("Authorization: Bearer abc.def", "Authorization: Bearer [redacted]"),
            ("password=hunter2 next", "password=[redacted] next"),
            (r#"{"access_token": "abc"}"#, r#"{"access_token": "[redacted]"}"#),
            ("git clone https://u:pw@host/x", "git clone https://u:[redacted]@host/x"),
            (
                "a\n-----BEGIN RSA PRIVATE KEY-----\nxx\n-----END RSA PRIVATE KEY-----\nb",
                "a\n[redacted]\nb",
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
            "task-based sk-learn; tokens: none",
            "é – “quoted” \u{1F600}",
        ] {
            assert_eq!(redact(text), text);
        }
    }
}
