//! The only module that knows HTTP: one POST, with every limit set, and a plain answer.
//!
//! The library's defaults are wrong for us. It has no timeout, turns a redirected POST into a GET
//! that succeeds, treats error statuses in its own way, and hands everything, even what is meant
//! for this machine, to a proxy that it finds in the environment. Only 2xx means that the report
//! arrived.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use ureq::Agent;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use crate::effects::error::{At, Error, Result};

/// How much of an answer is read before the connection is dropped, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(10);

pub struct Sender {
    /// The agent is replaced when the settings are.
    agent: RwLock<Agent>,
}

/// Why there was no answer.
pub struct Failure {
    pub why: String,
    /// No later try can do better.
    pub is_final: bool,
}

impl Sender {
    /// `ca_file` (PEM) takes the place of the built-in authorities, for a company that has its own.
    pub fn new(ca_file: Option<&Path>) -> Result<Sender> {
        let roots = ca_file.map_or(Ok(RootCerts::WebPki), read_authorities)?;
        let config = Agent::config_builder()
            .proxy(None)
            .max_redirects(0)
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .http_status_as_error(false)
            .user_agent(concat!("gstack-dispatch-daemon/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Sender { agent: RwLock::new(config.into()) })
    }

    /// Takes over the settings of `other` from the next try on.
    pub fn become_as(&self, other: Sender) {
        let agent = other.agent.into_inner().unwrap_or_else(PoisonError::into_inner);
        *self.agent.write().unwrap_or_else(PoisonError::into_inner) = agent;
    }

    /// Returns the answer's status, or why there was none. `timeout` bounds the whole try, from the
    /// name's resolution to the answer's end.
    pub fn post(
        &self,
        url: &str,
        idempotency_key: &str,
        body: &str,
        timeout: Duration,
    ) -> std::result::Result<u16, Failure> {
        let agent = self.agent.read().unwrap_or_else(PoisonError::into_inner).clone();
        let request = agent
            .post(url)
            .config()
            .timeout_global(Some(timeout))
            .timeout_connect(Some(timeout.min(CONNECT_TIMEOUT_MAX)))
            .build()
            .header("Content-Type", "application/json")
            .header("Idempotency-Key", idempotency_key);
        let mut response = request.send(body).map_err(|e| Failure {
            is_final: matches!(e, ureq::Error::BadUri(_) | ureq::Error::Http(_)),
            why: e.to_string(),
        })?;
        let status = response.status().as_u16();
        // An answer that is too long or breaks off is still an answer.
        let _ = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        Ok(status)
    }
}

fn read_authorities(path: &Path) -> Result<RootCerts> {
    let pem = fs::read(path).at("read", path)?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
            Ok(_) => {}
            Err(e) => return Err(Error::new("parse", path, io::Error::other(e.to_string()))),
        }
    }
    if certificates.is_empty() {
        let none = io::Error::new(io::ErrorKind::InvalidData, "it holds no certificate");
        return Err(Error::new("use", path, none));
    }
    Ok(certificates.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends to a port of this machine where nobody listens.
    fn post(url: &str) -> std::result::Result<u16, Failure> {
        let sender = Sender::new(None).expect("a sender");
        sender.post(url, "key", "{}", Duration::from_secs(5))
    }

    #[test]
    fn only_what_is_no_url_at_all_is_final() {
        for (url, is_final) in [
            ("http://127.0.0.1:1/", false),
            ("HTTP://127.0.0.1:1?x", false),
            ("http://[::1]:1/", false),
            ("http://127.0.0.1:1/\"<>", true),
            ("http://", true),
            ("no url", true),
        ] {
            let failure = post(url).expect_err("nobody listens");
            assert_eq!(failure.is_final, is_final, "{url}: {}", failure.why);
        }
    }
}
