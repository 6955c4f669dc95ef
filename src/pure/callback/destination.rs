//! Reads where a URL leads, and holds that against the hosts that the operator allows.
//!
//! Only what the URL itself shows is judged here; where a name leads is judged at each try, by
//! [`super::address`]. Must not show a URL in an error: what stands behind the host may be a
//! secret.

use core::fmt;
use core::net::{IpAddr, Ipv6Addr};

use super::address::forbidden;

/// Nobody takes a longer address.
const URL_BYTES_MAX: usize = 65_000;
/// The longest name that DNS knows, in bytes.
const HOST_BYTES_MAX: usize = 255;

/// The host of a URL. Any spelling of an address that is not the usual one is a name: the system
/// resolves it, and then the address is judged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UrlHost {
    /// In lower case.
    Name(String),
    /// An IPv4 address inside of an IPv6 one is the IPv4 address.
    Address(IpAddr),
}

/// Scheme, host and port of a URL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    pub is_https: bool,
    pub host: UrlHost,
    pub port: u16,
}

/// Why a callback goes nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlRefusal {
    /// `None`: the URL shows none, or none that can be.
    host: Option<UrlHost>,
    why: String,
}

impl UrlRefusal {
    pub fn of_host(host: &UrlHost, why: impl Into<String>) -> UrlRefusal {
        UrlRefusal { host: Some(host.clone()), why: why.into() }
    }

    fn of_url(why: &str) -> UrlRefusal {
        UrlRefusal { host: None, why: why.into() }
    }
}

impl fmt::Display for UrlRefusal {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.host {
            Some(host) => write!(f, "{host}: {}", self.why),
            None => f.write_str(&self.why),
        }
    }
}

impl fmt::Display for UrlHost {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            UrlHost::Name(name) => f.write_str(name),
            UrlHost::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            UrlHost::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl Origin {
    /// The origin of a URL.
    pub fn of_url(url: &str) -> Result<Origin, UrlRefusal> {
        if url.len() > URL_BYTES_MAX {
            return Err(UrlRefusal::of_url("it is too long"));
        }
        if url.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(UrlRefusal::of_url("it has blanks or control characters"));
        }
        let (scheme, rest) = url.split_once("://").ok_or(UrlRefusal::of_url("it is no URL"))?;
        let is_https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(UrlRefusal::of_url("it is neither http nor https")),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(UrlRefusal::of_url("it has credentials in it"));
        }
        let (host, port) = host_and_port(authority).map_err(UrlRefusal::of_url)?;
        let usual_port = if is_https { 443 } else { 80 };
        Ok(Origin { is_https, host, port: port.unwrap_or(usual_port) })
    }

    /// What other callbacks must not go to at the same time.
    pub fn line(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Whether the URL itself says that it leads to this machine.
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            UrlHost::Address(address) => address.is_loopback(),
            UrlHost::Name(name) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                name == "localhost" || name.ends_with(".localhost")
            }
        }
    }
}

/// The port is `None` if none is named.
fn host_and_port(authority: &str) -> Result<(UrlHost, Option<u16>), &'static str> {
    // An IPv6 address stands in brackets and has colons of its own.
    let end_of_host = authority.find(']').map_or(0, |at| at + 1);
    let (host, port) = match authority[end_of_host..].find(':') {
        Some(colon) => authority.split_at(end_of_host + colon),
        None => (authority, ""),
    };
    let host = url_host(host).ok_or("it has no host, or one that cannot be")?;
    let port = match port.strip_prefix(':') {
        None | Some("") => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            let port = digits.parse().ok().filter(|port| *port > 0);
            Some(port.ok_or("its port cannot be")?)
        }
        Some(_) => return Err("its port cannot be"),
    };
    Ok((host, port))
}

fn url_host(host: &str) -> Option<UrlHost> {
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Some(address) = address {
        let address: Ipv6Addr = address.parse().ok()?;
        return Some(UrlHost::Address(IpAddr::V6(address).to_canonical()));
    }
    let is_of_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if host.is_empty() || host.len() > HOST_BYTES_MAX || !host.bytes().all(is_of_name) {
        return None;
    }
    let address = host.parse().map(|address| UrlHost::Address(IpAddr::V4(address)));
    Some(address.unwrap_or_else(|_| UrlHost::Name(host.to_ascii_lowercase())))
}

/// An entry of `callback_allow`: `host`, `host:port`, `scheme://host[:port]` or `*.domain`. What an
/// entry does not name may be anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedHost {
    is_https: Option<bool>,
    host: HostPattern,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum HostPattern {
    Exactly(UrlHost),
    /// Every name that ends like this, which begins with a full stop.
    Below(String),
}

impl AllowedHost {
    pub fn parse(entry: &str) -> Result<AllowedHost, String> {
        let (is_https, rest) = match entry.split_once("://") {
            None => (None, entry),
            Some((scheme, rest)) => match scheme.to_ascii_lowercase().as_str() {
                "http" => (Some(false), rest),
                "https" => (Some(true), rest),
                _ => return Err(format!("{entry} is neither http nor https")),
            },
        };
        let (below, authority) = match rest.strip_prefix("*.") {
            Some(domain) => (true, domain),
            None => (false, rest),
        };
        // An IPv6 address may stand without brackets where no port follows.
        let bare = authority.parse().map(|address: Ipv6Addr| IpAddr::V6(address).to_canonical());
        let read = match bare {
            Ok(address) => Ok((UrlHost::Address(address), None)),
            Err(_) => host_and_port(authority),
        };
        let (host, port) = read.map_err(|_| format!("{entry} is no host"))?;
        let host = match host {
            UrlHost::Name(domain) if below => HostPattern::Below(format!(".{domain}")),
            UrlHost::Address(_) if below => return Err(format!("{entry} is no domain")),
            host => HostPattern::Exactly(host),
        };
        Ok(AllowedHost { is_https, host, port })
    }

    fn allows(&self, origin: &Origin) -> bool {
        let is_host = match (&self.host, &origin.host) {
            (HostPattern::Exactly(host), other) => host == other,
            (HostPattern::Below(domain), UrlHost::Name(name)) => {
                name.len() > domain.len() && name.ends_with(domain)
            }
            (HostPattern::Below(_), UrlHost::Address(_)) => false,
        };
        is_host
            && self.is_https.is_none_or(|is_https| is_https == origin.is_https)
            && self.port.is_none_or(|port| port == origin.port)
    }
}

/// Where a callback goes, as far as its URL shows. `allow`: `None` = any host.
pub fn destination(url: &str, allow: Option<&[AllowedHost]>) -> Result<Origin, UrlRefusal> {
    let origin = Origin::of_url(url)?;
    if let UrlHost::Address(address) = origin.host
        && let Some(kind) = forbidden(address)
    {
        return Err(UrlRefusal::of_host(&origin.host, format!("it is {}", kind.words())));
    }
    match allow {
        Some(allow) if !allow.iter().any(|entry| entry.allows(&origin)) => {
            Err(UrlRefusal::of_host(&origin.host, "callback_allow does not name it"))
        }
        _ => Ok(origin),
    }
}

/// Whether a URL is a task of that Clawvisor. A report that is sent there is thrown away: what ends
/// a task there reads no body and tells nobody.
pub fn is_task_of(url: &str, clawvisor: &Origin) -> bool {
    let path = url.split_once("://").and_then(|(_, rest)| Some(&rest[rest.find('/')?..]));
    path.is_some_and(|path| path.starts_with("/api/tasks/"))
        && Origin::of_url(url).is_ok_and(|origin| origin == *clawvisor)
}

#[cfg(test)]
#[path = "destination_tests.rs"]
mod tests;
