//! `keygen` and `sign`: their rows, and what each was asked, as a value.
//!
//! What can be told wrong from the words alone is told here, so that a command begins with nothing
//! left to check but the files. Must not look at any.

use std::ffi::OsStr;
use std::path::PathBuf;

use super::code::Code;
use super::row::{CommandRow, Count, OptionRow, ValueKind, Verb, WordRow};
use super::typed::Typed;
use crate::pure::gate::key::KeyId;
use crate::pure::gate::signature::{TTL_SECONDS_DEFAULT, TTL_SECONDS_MAX, unix_seconds};

pub const KEYGEN: &CommandRow = &CommandRow {
    verb: Verb::Keygen,
    name: "keygen",
    words: &[WordRow::new("KID", ValueKind::Text, Count::AtMostOne)],
    options: &[
        OptionRow::with_value(
            "--secret",
            "FILE",
            ValueKind::File,
            "where the secret half of ed:NAME goes (./NAME.pem)",
        ),
        OptionRow::flag("--callback", "make the secret that callbacks are signed with"),
    ],
    help: "make a key for signatures or callbacks",
    more: "KID makes a shared key, dispatchd/keys/KID.key, for the daemon and the sender.\n\
           ed:NAME makes a pair: NAME.pub stays with the daemon, the secret half goes to the \
           sender. What is there is never written over, and no key is printed: only its path is.",
    examples: &["keygen orchestrator", "keygen ed:laptop --secret laptop.pem", "keygen --callback"],
    codes: &[
        (Code::Done, "made"),
        (Code::NotDone, "not made: it is there already, or cannot be written"),
        (Code::WrongUsage, "wrong usage"),
    ],
    takes_settings: false,
};

pub const SIGN: &CommandRow = &CommandRow {
    verb: Verb::Sign,
    name: "sign",
    words: &[WordRow::new("FILE", ValueKind::File, Count::AtMostOne)],
    options: &[
        OptionRow::with_value(
            "--kid",
            "KID",
            ValueKind::Text,
            "which key; by default the only one",
        ),
        OptionRow::with_value(
            "--key",
            "FILE",
            ValueKind::File,
            "the key's file, if it lies elsewhere",
        ),
        OptionRow::with_value("--iat", "UNIX", ValueKind::Text, "signed at, in Unix seconds; now"),
        OptionRow::with_value(
            "--ttl",
            "S",
            ValueKind::Text,
            "how long it is valid, in seconds; 3600",
        ),
        OptionRow::flag("--signature", "print the signature alone"),
    ],
    help: "print a dispatch with its signature",
    more: "Reads a dispatch from FILE or stdin. What a daemon here would reject for its form is \
           not signed.",
    examples: &["sign dispatch.json", "sign --kid ed:laptop --key laptop.pem dispatch.json"],
    codes: &[
        (Code::Done, "printed"),
        (Code::NotDone, "no dispatch, or no key that can be used"),
        (Code::WrongUsage, "wrong usage"),
    ],
    takes_settings: false,
};

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

impl KeygenCall {
    pub fn of(typed: &Typed) -> Result<KeygenCall, String> {
        let id = typed.words.first().map(|word| key_id(word)).transpose()?;
        let secret = typed.value("--secret").map(PathBuf::from);
        match (id, secret, typed.has("--callback")) {
            (None, None, true) => Ok(KeygenCall::Callback),
            (Some(id @ KeyId::Hmac(_)), None, false) => Ok(KeygenCall::Key(id)),
            (Some(KeyId::Ed25519(name)), secret, false) => {
                let secret = secret.unwrap_or_else(|| format!("{name}.pem").into());
                Ok(KeygenCall::Pair { id: KeyId::Ed25519(name), secret })
            }
            (Some(KeyId::Hmac(_)), Some(_), false) => {
                Err("keygen: --secret is for the secret half of ed:NAME".into())
            }
            (Some(_), _, true) | (None, Some(_), _) | (None, None, false) => {
                Err("keygen needs one of: KID, ed:NAME, --callback (see keygen --help)".into())
            }
        }
    }
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

impl SignCall {
    pub fn of(typed: &Typed) -> Result<SignCall, String> {
        let call = SignCall {
            kid: typed.value("--kid").map(key_id).transpose()?,
            key: typed.value("--key").map(PathBuf::from),
            iat: seconds(typed, "--iat")?,
            ttl_seconds: seconds(typed, "--ttl")?.unwrap_or(TTL_SECONDS_DEFAULT),
            is_alone: typed.has("--signature"),
            file: typed.words.first().map(PathBuf::from),
        };
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
            (_, _) => Ok(call),
        }
    }
}

fn seconds(typed: &Typed, option: &str) -> Result<Option<u64>, String> {
    let number = |value: &OsStr| {
        let number = value.to_str().and_then(unix_seconds);
        number
            .ok_or_else(|| format!("{option}: {} is no number of seconds", value.to_string_lossy()))
    };
    typed.value(option).map(number).transpose()
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
    use crate::pure::command::parse::{Command, parse};

    fn typed<T>(words: &[&str], of: impl Fn(&Typed) -> Result<T, String>) -> Result<T, String> {
        match parse(words.iter().map(Into::into))? {
            Command::Other(typed) => of(&typed),
            other => Err(format!("{other:?}")),
        }
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
            assert_eq!(typed(words, KeygenCall::of), Ok(want), "{words:?}");
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
            assert!(typed(words, KeygenCall::of).is_err(), "{words:?}");
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
        assert_eq!(typed(&words, SignCall::of), Ok(want));
        let bare = typed(&["sign"], SignCall::of);
        assert!(matches!(bare, Ok(SignCall { ttl_seconds: 3600, .. })));
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
            assert!(typed(words, SignCall::of).is_err(), "{words:?}");
        }
    }
}
