//! The only module that knows HTTP: one POST, with every limit set, and a plain answer.
//!
//! Nothing of the library's defaults is right for us: it has no timeout, turns a redirected POST into a GET that succeeds,
//! and takes proxies and error statuses its own way. Only 2xx means that the report arrived.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use ureq::Agent;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use super::error::{At, Error, Result};

/// How much of an answer is read before the connection is dropped, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(10);

pub struct Sender {
    agent: Agent,
}

impl Sender {
    /// `timeout` bounds a whole try, from the name's resolution to the answer's end. `ca_file` (PEM) takes the place of the
    /// built-in authorities: for a company's own.
    pub fn new(timeout: Duration, ca_file: Option<&Path>) -> Result<Sender> {
        let roots = ca_file.map_or(Ok(RootCerts::WebPki), read_authorities)?;
        let config = Agent::config_builder()
            .timeout_global(Some(timeout))
            .timeout_connect(Some(timeout.min(CONNECT_TIMEOUT_MAX)))
            .max_redirects(0)
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .http_status_as_error(false)
            .user_agent(concat!("gstack-dispatch-daemon/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Sender { agent: config.into() })
    }

    /// The answer's status, or why there was none.
    pub fn post(
        &self,
        url: &str,
        idempotency_key: &str,
        body: &str,
    ) -> std::result::Result<u16, String> {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err("callback_url is neither http nor https".into());
        }
        let request = self
            .agent
            .post(url)
            .header("Content-Type", "application/json")
            .header("Idempotency-Key", idempotency_key);
        let mut response = request.send(body).map_err(|e| e.to_string())?;
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
