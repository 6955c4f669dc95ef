//! The way out over HTTP, and the POST of a callback: every limit set, and a plain answer.
//!
//! The library's defaults are wrong for us. It has no timeout, turns a redirected POST into a GET
//! that succeeds, treats error statuses in its own way, and hands everything, even what is meant
//! for this machine, to a proxy that it finds in the environment. Only 2xx means that the report
//! arrived.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Proxy};

use super::lookup;
pub use super::lookup::Failure;
use crate::effects::error::{At, Error, Result};
use crate::pure::callback::destination::Origin;
use crate::pure::callback::proxy::EnvProxies;

/// How much of an answer is read before the connection is dropped, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(10);
/// More addresses of one host than these are not tried.
const ADDRESSES_MAX: usize = 16;

pub struct Sender {
    /// It is replaced when the settings are.
    way: RwLock<Way>,
}

/// How callbacks go out.
#[derive(Clone)]
struct Way {
    tls: TlsConfig,
    /// None of them counts unless the operator wants it.
    proxies: EnvProxies,
}

/// One try of a callback.
pub struct Letter<'a> {
    pub url: &'a str,
    /// Where the URL leads.
    pub origin: &'a Origin,
    pub headers: Vec<(&'static str, String)>,
    pub body: &'a str,
    /// Bounds the whole try, from the name's resolution to the answer's end.
    pub timeout: Duration,
}

/// What a receiver answered.
#[derive(Debug)]
pub struct HttpAnswer {
    pub status: u16,
    /// Its `Retry-After`, as it stands there.
    pub retry_after: Option<String>,
}

impl Sender {
    /// `ca_file` (PEM) takes the place of the built-in authorities, for a company that has its own.
    pub fn new(ca_file: Option<&Path>, proxies: EnvProxies) -> Result<Sender> {
        let roots = ca_file.map_or(Ok(RootCerts::WebPki), read_authorities)?;
        let tls = TlsConfig::builder().root_certs(roots).build();
        Ok(Sender { way: RwLock::new(Way { tls, proxies }) })
    }

    /// Takes over the settings of `other` from the next try on.
    pub fn become_as(&self, other: Sender) {
        let way = other.way.into_inner().unwrap_or_else(PoisonError::into_inner);
        *self.way.write().unwrap_or_else(PoisonError::into_inner) = way;
    }

    /// What sends to that origin, and to nowhere else.
    pub(super) fn agent_to(
        &self,
        origin: &Origin,
        timeout: Duration,
    ) -> std::result::Result<Agent, Failure> {
        let way = self.way.read().unwrap_or_else(PoisonError::into_inner).clone();
        way.to(origin, timeout)
    }

    /// Makes one try.
    pub fn post(&self, letter: &Letter) -> std::result::Result<HttpAnswer, Failure> {
        let began = Instant::now();
        let agent = self.agent_to(letter.origin, letter.timeout)?;
        let left = letter.timeout.saturating_sub(began.elapsed());
        let mut request = agent
            .post(letter.url)
            .config()
            .timeout_global(Some(left))
            .timeout_connect(Some(left.min(CONNECT_TIMEOUT_MAX)))
            .build();
        for (name, value) in &letter.headers {
            request = request.header(*name, value);
        }
        let sent = request.send(letter.body);
        let mut response = sent.map_err(|e| failure(letter.origin, &e))?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get("retry-after");
        let retry_after = retry_after.and_then(|value| Some(value.to_str().ok()?.to_string()));
        // An answer that is too long or breaks off is still an answer.
        let _ = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        Ok(HttpAnswer { status, retry_after })
    }
}

/// The library's words for a URL that it cannot send to may hold the URL.
pub(super) fn failure(origin: &Origin, e: &ureq::Error) -> Failure {
    let is_final = matches!(e, ureq::Error::BadUri(_) | ureq::Error::Http(_));
    let why = if is_final { "nothing can be sent to that URL".into() } else { e.to_string() };
    Failure { why: format!("{}: {why}", origin.host), is_final }
}

impl Way {
    /// The agent of one try, which connects to nothing but what was judged, or to the proxy. No
    /// connection is kept, since the next try judges anew.
    fn to(&self, origin: &Origin, timeout: Duration) -> std::result::Result<Agent, Failure> {
        let proxy = match self.proxies.of(origin).map(Proxy::new).transpose() {
            Ok(proxy) => proxy,
            Err(e) => {
                return Err(Failure { why: format!("the proxy: {e}"), is_final: false });
            }
        };
        // What only the proxy can resolve is for the proxy to judge.
        let addresses = match lookup::judged(origin, timeout) {
            Err(failure) if failure.is_final || proxy.is_none() => return Err(failure),
            found => found.unwrap_or_default(),
        };
        let proxy = proxy.filter(|_| !lookup::is_loopback(&addresses));
        let judged = proxy.is_none().then_some(addresses);
        let config = Agent::config_builder()
            .proxy(proxy)
            .max_redirects(0)
            .max_idle_connections(0)
            .tls_config(self.tls.clone())
            .http_status_as_error(false)
            .user_agent(concat!("gstack-dispatch-daemon/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Agent::with_parts(config, DefaultConnector::new(), Judged(judged)))
    }
}

/// The addresses that may be connected to. `None`: the library resolves the proxy's own name.
#[derive(Debug)]
struct Judged(Option<Vec<SocketAddr>>);

impl Resolver for Judged {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> std::result::Result<ResolvedSocketAddrs, ureq::Error> {
        let Some(judged) = &self.0 else {
            return DefaultResolver::default().resolve(uri, config, timeout);
        };
        let mut addresses = self.empty();
        judged.iter().take(ADDRESSES_MAX).for_each(|address| addresses.push(*address));
        Ok(addresses)
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
    fn post(url: &str) -> std::result::Result<HttpAnswer, Failure> {
        let sender = Sender::new(None, EnvProxies::default()).expect("a sender");
        let origin = Origin::of_url(url).expect("an origin");
        let (headers, timeout) = (Vec::new(), Duration::from_secs(5));
        sender.post(&Letter { url, origin: &origin, headers, body: "{}", timeout })
    }

    #[test]
    fn only_what_is_no_url_at_all_is_final() {
        for (url, is_final) in [
            ("http://127.0.0.1:1/", false),
            ("HTTP://127.0.0.1:1?x", false),
            ("http://[::1]:1/", false),
            ("http://127.0.0.1:1/\"<>", true),
            ("http://0:1/", true),
        ] {
            let failure = post(url).expect_err("nobody listens");
            assert_eq!(failure.is_final, is_final, "{url}: {}", failure.why);
        }
    }
}
