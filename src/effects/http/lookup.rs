//! Resolves the host of a callback, once a try, and judges every address of the answer: that very
//! answer is connected to, so that a name which leads elsewhere the next time it is asked gains
//! nothing.
//!
//! The system resolves all spellings of an address (decimal, octal, hex, short), so that none of
//! them needs a rule of its own.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::pure::callback::address::forbidden;
use crate::pure::callback::destination::{Origin, UrlHost, UrlRefusal};

/// Why there was no answer.
#[derive(Debug)]
pub struct Failure {
    pub why: String,
    /// No later try can do better.
    pub is_final: bool,
}

/// The addresses of the host, each of which may be connected to.
pub(super) fn judged(origin: &Origin, timeout: Duration) -> Result<Vec<SocketAddr>, Failure> {
    judge(origin, &resolve(origin, timeout).map_err(|e| failure(origin, &e))?)
}

fn judge(origin: &Origin, addresses: &[SocketAddr]) -> Result<Vec<SocketAddr>, Failure> {
    let kind = addresses.iter().find_map(|address| forbidden(address.ip()));
    match kind {
        None => Ok(addresses.to_vec()),
        Some(kind) => {
            let refusal =
                UrlRefusal::of_host(&origin.host, format!("it leads to {}", kind.words()));
            Err(Failure { why: refusal.to_string(), is_final: true })
        }
    }
}

fn resolve(origin: &Origin, timeout: Duration) -> io::Result<Vec<SocketAddr>> {
    let name = match &origin.host {
        UrlHost::Address(address) => return Ok(vec![SocketAddr::new(*address, origin.port)]),
        UrlHost::Name(name) => name.clone(),
    };
    let (port, (done, answer)) = (origin.port, mpsc::sync_channel(1));
    // The system's resolver cannot be interrupted. A thread that it keeps ends with its answer.
    let body = move || {
        let found = (name.as_str(), port).to_socket_addrs();
        let _ = done.send(found.map(Iterator::collect::<Vec<_>>));
    };
    thread::Builder::new().name("lookup".into()).spawn(body)?;
    let found =
        answer.recv_timeout(timeout).map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
    match found {
        Ok(addresses) if addresses.is_empty() => Err(io::ErrorKind::NotFound.into()),
        found => found,
    }
}

fn failure(origin: &Origin, e: &io::Error) -> Failure {
    Failure { why: format!("cannot resolve {}: {e}", origin.host), is_final: false }
}

/// Whether one of the addresses is this machine's own.
pub(super) fn is_loopback(addresses: &[SocketAddr]) -> bool {
    addresses.iter().any(|address| match address.ip() {
        IpAddr::V4(address) => address.is_loopback(),
        IpAddr::V6(address) => address.to_canonical().is_loopback(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(20);

    fn look_up(host: &str) -> Result<Vec<SocketAddr>, Failure> {
        judged(&Origin::of_url(&format!("http://{host}:9/")).expect(host), TIMEOUT)
    }

    #[test]
    fn every_spelling_of_an_address_leads_to_the_address_that_is_judged() {
        for host in [
            "2852039166",
            "0xA9FEA9FE",
            "0xa9.0xfe.0xa9.0xfe",
            "0251.0376.0251.0376",
            "025177524776",
            "169.16689662",
            "169.254.43518",
            "0xa9.254.0251.254",
            "0",
            "0x0",
            "00000000000",
            "0.1",
            "1684301000",
            "0xa83f8110",
            "0xFFFFFFFF",
            "4294967295",
            "0xe0000001",
            "[::ffff:a9fe:a9fe]",
            "169.254.169.254",
        ] {
            // What the resolver of this system does not know leads nowhere, which is as good.
            let failure = look_up(host).expect_err(host);
            let is_told = failure.is_final && failure.why.contains("it leads to");
            assert!(is_told || failure.why.contains("cannot resolve"), "{host}: {}", failure.why);
        }
        for host in ["2130706433", "0x7f000001", "017700000001", "127.1", "localhost", "[::1]"] {
            let found = look_up(host).unwrap_or_else(|failure| panic!("{host}: {}", failure.why));
            assert!(is_loopback(&found), "{host}: {found:?}");
        }
    }

    #[test]
    fn one_bad_address_among_good_ones_refuses_them_all() {
        let origin = Origin::of_url("https://rebinds.example/").expect("a URL");
        let good: Vec<SocketAddr> = (1..=20).map(|n| ([192, 0, 2, n], 443).into()).collect();
        assert_eq!(judge(&origin, &good).ok(), Some(good.clone()));
        for at in [0, 1, 20] {
            let mut answer = good.clone();
            answer.insert(at, ([169, 254, 169, 254], 443).into());
            let failure = judge(&origin, &answer).expect_err("refused");
            let want = "rebinds.example: it leads to a link-local address";
            assert_eq!((failure.why.as_str(), failure.is_final), (want, true));
        }
    }
}
