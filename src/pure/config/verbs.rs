//! The commands beside `run`: what each was asked, as a value.
//!
//! What can be told wrong from the words alone is told here, so that a command begins with nothing
//! left to check but the files. Must not look at any.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use lexopt::Arg::{Long, Short, Value as Word};
use lexopt::Parser;

use crate::pure::gate::key::KeyId;
use crate::pure::gate::signature::{TTL_SECONDS_DEFAULT, TTL_SECONDS_MAX, unix_seconds};

/// The part of `--help` about them.
pub const HELP: &str = "\nCommands, which work whether or not the daemon runs:\n\
     \x20 keygen KID                 make a shared key for signatures, dispatchd/keys/KID.key\n\
     \x20 keygen ed:NAME [--secret FILE]\n\
     \x20                            make a key pair: NAME.pub stays, FILE (./NAME.pem) goes to the sender\n\
     \x20 keygen --callback          make the secret that callbacks are signed with\n\
     \x20 sign [--kid KID] [--key FILE] [--iat UNIX] [--ttl S] [--signature] [FILE]\n\
     \x20                            print a dispatch (FILE or stdin) with its signature, or that alone\n";

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Verb {
    Help,
    Keygen(KeygenCall),
    Sign(SignCall),
}

/// Which key is to be made.
#[derive(Debug, PartialEq, Eq)]
pub enum KeygenCall {
    Key(KeyId),
    /// The secret half of a key pair goes to this file.
    Pair {
        id: KeyId,
        secret: PathBuf,
    },
    Callback,
}

/// What is to be signed, with which key.
#[derive(Debug, PartialEq, Eq)]
pub struct SignCall {
    /// `None`: the only shared key that there is.
    pub kid: Option<KeyId>,
    /// A key's file elsewhere than among the daemon's keys.
    pub key: Option<PathBuf>,
    /// Unix seconds; `None`: now.
    pub iat: Option<u64>,
    pub ttl_seconds: u64,
    /// The signature alone is wanted.
    pub is_alone: bool,
    /// `None`: stdin.
    pub file: Option<PathBuf>,
}

/// Whether that word is one of these commands.
pub fn is_verb(word: &OsStr) -> bool {
    word == "keygen" || word == "sign"
}

/// Reads what follows the command's word.
pub fn parse(verb: &OsStr, parser: &mut Parser) -> Result<Verb, String> {
    if verb == "keygen" { keygen(parser) } else { sign(parser) }
}

fn keygen(parser: &mut Parser) -> Result<Verb, String> {
    let (mut id, mut secret, mut is_callback) = (None, None, false);
    while let Some(arg) = parser.next().map_err(|e| e.to_string())? {
        match arg {
            Short('h') | Long("help") => return Ok(Verb::Help),
            Long("callback") => is_callback = true,
            Long("secret") => secret = Some(path(parser, "--secret")?),
            Word(word) if id.is_none() => id = Some(key_id(&word)?),
            Long(_) | Short(_) | Word(_) => return Err(stray("keygen", arg)),
        }
    }
    let call = match (id, secret, is_callback) {
        (None, None, true) => KeygenCall::Callback,
        (Some(id @ KeyId::Hmac(_)), None, false) => KeygenCall::Key(id),
        (Some(KeyId::Ed25519(name)), secret, false) => {
            let secret = secret.unwrap_or_else(|| format!("{name}.pem").into());
            KeygenCall::Pair { id: KeyId::Ed25519(name), secret }
        }
        (Some(KeyId::Hmac(_)), Some(_), false) => {
            return Err("keygen: --secret is for the secret half of ed:NAME".into());
        }
        (Some(_), _, true) | (None, Some(_), _) | (None, None, false) => {
            return Err("keygen needs one of: KID, ed:NAME, --callback (see --help)".into());
        }
    };
    Ok(Verb::Keygen(call))
}

fn sign(parser: &mut Parser) -> Result<Verb, String> {
    let mut call = SignCall {
        kid: None,
        key: None,
        iat: None,
        ttl_seconds: TTL_SECONDS_DEFAULT,
        is_alone: false,
        file: None,
    };
    while let Some(arg) = parser.next().map_err(|e| e.to_string())? {
        match arg {
            Short('h') | Long("help") => return Ok(Verb::Help),
            Long("kid") => call.kid = Some(key_id(&value(parser, "--kid")?)?),
            Long("key") => call.key = Some(path(parser, "--key")?),
            Long("iat") => call.iat = Some(seconds(parser, "--iat")?),
            Long("ttl") => call.ttl_seconds = seconds(parser, "--ttl")?,
            Long("signature") => call.is_alone = true,
            Word(word) if call.file.is_none() => call.file = Some(word.into()),
            Long(_) | Short(_) | Word(_) => return Err(stray("sign", arg)),
        }
    }
    if !(1..=TTL_SECONDS_MAX).contains(&call.ttl_seconds) {
        return Err(format!("--ttl must be from 1 to {TTL_SECONDS_MAX}"));
    }
    let exp = call.iat.unwrap_or_default() + call.ttl_seconds;
    if unix_seconds(&exp.to_string()).is_none() {
        return Err("--iat: its end has more than 15 digits".into());
    }
    match (&call.kid, &call.key) {
        (None, Some(_)) => Err("--key needs --kid: what the receiver calls that key".into()),
        (Some(KeyId::Ed25519(name)), None) => {
            Err(format!("--kid ed:{name} needs --key FILE: the secret half is not kept here"))
        }
        (_, _) => Ok(Verb::Sign(call)),
    }
}

pub(super) fn unknown(option: &str) -> String {
    format!("unknown option: {option} (see --help)")
}

pub(super) fn stray(verb: &str, arg: lexopt::Arg) -> String {
    match arg {
        Long(name) => unknown(&format!("--{name}")),
        Short(c) => unknown(&format!("-{c}")),
        Word(word) => format!("{verb}: {} is too much (see --help)", word.to_string_lossy()),
    }
}

pub(super) fn value(parser: &mut Parser, flag: &str) -> Result<OsString, String> {
    parser.value().map_err(|_| format!("{flag} needs a value"))
}

fn path(parser: &mut Parser, flag: &str) -> Result<PathBuf, String> {
    Ok(value(parser, flag)?.into())
}

fn seconds(parser: &mut Parser, flag: &str) -> Result<u64, String> {
    let text = value(parser, flag)?;
    let number = text.to_str().and_then(unix_seconds);
    number.ok_or_else(|| format!("{flag}: {} is no number of seconds", text.to_string_lossy()))
}

fn key_id(word: &OsStr) -> Result<KeyId, String> {
    word.to_str().and_then(KeyId::parse).ok_or_else(|| {
        format!(
            "{} is no name of a key: KID or ed:NAME, 1 to 32 of A-Z a-z 0-9 _ -",
            word.to_string_lossy()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::config::cli::{self, Command};

    fn typed(words: &[&str]) -> Result<Command, String> {
        cli::parse(words.iter().map(OsString::from))
    }

    fn id(text: &str) -> KeyId {
        KeyId::parse(text).expect(text)
    }

    #[test]
    fn each_way_to_make_a_key_is_understood() {
        let pair = |secret: &str| KeygenCall::Pair { id: id("ed:a"), secret: secret.into() };
        for (words, want) in [
            (&["keygen", "a"][..], KeygenCall::Key(id("a"))),
            (&["keygen", "ed:a"], pair("a.pem")),
            (&["keygen", "ed:a", "--secret", "x"], pair("x")),
            (&["keygen", "--secret=x", "ed:a"], pair("x")),
            (&["keygen", "--callback"], KeygenCall::Callback),
        ] {
            assert_eq!(typed(words), Ok(Command::Keygen(want)), "{words:?}");
        }
        for words in [
            &["keygen"][..],
            &["keygen", "a", "b"],
            &["keygen", "a.b"],
            &["keygen", "a", "--secret", "x"],
            &["keygen", "--callback", "a"],
            &["keygen", "--callback", "--secret", "x"],
            &["keygen", "--secret", "x"],
            &["keygen", "ed:a", "--secret"],
            &["keygen", "--force", "a"],
            &["run", "keygen", "a"],
            &["--strict", "keygen", "a"],
        ] {
            assert!(typed(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn what_is_signed_and_how_is_understood() {
        let words = ["sign", "--kid", "a", "--iat", "5", "--ttl=60", "--signature", "f", "--key=k"];
        let want = SignCall {
            kid: Some(id("a")),
            key: Some("k".into()),
            iat: Some(5),
            ttl_seconds: 60,
            is_alone: true,
            file: Some("f".into()),
        };
        assert_eq!(typed(&words), Ok(Command::Sign(want)));
        assert!(matches!(typed(&["sign"]), Ok(Command::Sign(SignCall { ttl_seconds: 3600, .. }))));
        for words in [
            &["sign", "f", "g"][..],
            &["sign", "--ttl", "0"],
            &["sign", "--ttl", "86401"],
            &["sign", "--ttl", "1.5"],
            &["sign", "--iat", "-1"],
            &["sign", "--iat", "1000000000000000"],
            &["sign", "--iat", "999999999999999"],
            &["sign", "--key", "k"],
            &["sign", "--kid", "ed:a"],
            &["sign", "--kid", "../a"],
            &["sign", "--secret", "x"],
        ] {
            assert!(typed(words).is_err(), "{words:?}");
        }
    }
}
