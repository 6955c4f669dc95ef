//! The settings of the wall around sessions: whether there is one, what it leaves open, and what it
//! shuts.
//!
//! Must not look whether a place is there: the keys are resolved when they are used, since a link
//! or a directory may come later.

use serde_json::Value;

use super::values::{list, text};

/// What is set of the wall around a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfineTerms {
    pub confine: Confine,
    /// Places from `/` or `~/`, as they are written.
    pub deny: Vec<String>,
    pub write: Vec<String>,
    /// `None` = any port.
    pub connect: Option<Vec<u16>>,
}

/// Whether sessions are confined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Confine {
    #[default]
    Off,
    On,
    /// Where the kernel can; where it cannot, each report says so.
    IfPossible,
}

pub(super) fn confine(value: &Value) -> Result<Confine, String> {
    match value {
        Value::Bool(true) => Ok(Confine::On),
        Value::Bool(false) => Ok(Confine::Off),
        Value::String(word) => match word.as_str() {
            "on" | "1" | "true" | "yes" => Ok(Confine::On),
            "" | "off" | "0" | "false" | "no" => Ok(Confine::Off),
            "if-possible" => Ok(Confine::IfPossible),
            other => Err(format!("{other} is none of on, off, if-possible")),
        },
        other => Err(format!("{other} is none of on, off, if-possible")),
    }
}

/// The usual places of secrets, which `usual` stands for.
pub const USUAL: [&str; 24] = [
    "~/.ssh",
    "~/.gnupg",
    "~/.aws",
    "~/.azure",
    "~/.kube",
    "~/.docker",
    "~/.netrc",
    "~/.git-credentials",
    "~/.npmrc",
    "~/.pypirc",
    "~/.password-store",
    "~/.vault-token",
    "~/.terraform.d",
    "~/.cargo/credentials.toml",
    "~/.config/chromium",
    "~/.config/gcloud",
    "~/.config/gh",
    "~/.config/git/credentials",
    "~/.config/google-chrome",
    "~/.config/op",
    "~/.config/rclone",
    "~/.local/share/keyrings",
    "~/.mozilla",
    "~/.bash_history",
];

/// The same as [`places`], but that `usual` stands for the usual ones.
pub(super) fn denied(value: &Value) -> Result<Vec<String>, String> {
    let (usual, others): (Vec<_>, Vec<_>) =
        list(value)?.into_iter().partition(|place| place == "usual");
    let others = places(&Value::from(others))?;
    let usual = if usual.is_empty() { &[][..] } else { &USUAL };
    Ok(usual.iter().map(|place| place.to_string()).chain(others).collect())
}

/// Places, each from `/` or `~/`.
pub(super) fn places(value: &Value) -> Result<Vec<String>, String> {
    let places = list(value)?;
    let is_place = |place: &&String| place.starts_with('/') || place.starts_with("~/");
    match places.iter().find(|place| !is_place(place) || place.contains('\0')) {
        Some(other) => Err(format!("{other} is no place: name it from / or ~/")),
        None => Ok(places),
    }
}

/// TCP ports. An empty list means that no connection is made.
pub(super) fn ports(value: &Value) -> Result<Option<Vec<u16>>, String> {
    let port = |item: &Value| {
        let number = match item {
            Value::Number(number) => number.as_u64().and_then(|n| u16::try_from(n).ok()),
            other => text(other)?.trim().parse().ok(),
        };
        number.ok_or_else(|| format!("{item} is no port: 0 to 65535"))
    };
    let ports = match value {
        Value::Array(items) => items.iter().map(port).collect(),
        Value::Number(_) => port(value).map(|port| vec![port]),
        other => list(other)?.into_iter().map(|item| port(&Value::String(item))).collect(),
    };
    ports.map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_read_and_mistakes_are_named() {
        for (value, want) in [
            (json!(true), Ok(Confine::On)),
            (json!("off"), Ok(Confine::Off)),
            (json!("if-possible"), Ok(Confine::IfPossible)),
            (json!("maybe"), Err("maybe is none of on, off, if-possible".to_string())),
            (json!(3), Err("3 is none of on, off, if-possible".to_string())),
        ] {
            assert_eq!(confine(&value), want);
        }
        assert_eq!(places(&json!("~/.npm, /srv")), Ok(vec!["~/.npm".into(), "/srv".into()]));
        let usual = denied(&json!("usual,/x")).expect("places");
        assert!(usual.contains(&"~/.ssh".to_string()) && usual.last() == Some(&"/x".to_string()));
        assert_eq!(denied(&json!([])), Ok(vec![]));
        assert_eq!(places(&json!(["x"])), Err("x is no place: name it from / or ~/".into()));
        for (value, want) in [
            (json!("443, 80"), Ok(Some(vec![443, 80]))),
            (json!([443, "80"]), Ok(Some(vec![443, 80]))),
            (json!(443), Ok(Some(vec![443]))),
            (json!([]), Ok(Some(vec![]))),
            (json!(""), Ok(Some(vec![]))),
            (json!("http"), Err("\"http\" is no port: 0 to 65535".to_string())),
            (json!([65536]), Err("65536 is no port: 0 to 65535".to_string())),
        ] {
            assert_eq!(ports(&value), want, "{value}");
        }
    }
}
