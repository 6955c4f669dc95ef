//! The addresses that no callback may go to, whatever name or spelling led there.
//!
//! A machine's own metadata service hands out its credentials to whoever asks from inside, and it
//! has an address that is never a receiver's. Loopback and private addresses are allowed, since the
//! usual receiver is on this machine. An IPv4 address inside an IPv6 one counts as itself, for a
//! translator or a tunnel delivers it there.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why no callback may go to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForbiddenAddress {
    LinkLocal,
    /// Of a cloud's machine, which tells its secrets to any process on it.
    Metadata,
    Unspecified,
    Multicast,
    Broadcast,
}

impl ForbiddenAddress {
    /// What such an address is, with its article.
    pub fn words(self) -> &'static str {
        match self {
            ForbiddenAddress::LinkLocal => "a link-local address",
            ForbiddenAddress::Metadata => "a metadata address",
            ForbiddenAddress::Unspecified => "an unspecified address",
            ForbiddenAddress::Multicast => "a multicast address",
            ForbiddenAddress::Broadcast => "a broadcast address",
        }
    }
}

/// Alibaba, Oracle, Azure.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(168, 63, 129, 16),
];
/// Amazon, Google.
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

/// `None`: a callback may go there.
pub fn forbidden(address: IpAddr) -> Option<ForbiddenAddress> {
    match address {
        IpAddr::V4(address) => forbidden_v4(address),
        IpAddr::V6(address) => forbidden_v6(address),
    }
}

fn forbidden_v4(address: Ipv4Addr) -> Option<ForbiddenAddress> {
    if METADATA_V4.contains(&address) {
        return Some(ForbiddenAddress::Metadata);
    }
    match address.octets() {
        [169, 254, ..] => Some(ForbiddenAddress::LinkLocal),
        [0, ..] => Some(ForbiddenAddress::Unspecified),
        [224..=239, ..] => Some(ForbiddenAddress::Multicast),
        [255, 255, 255, 255] => Some(ForbiddenAddress::Broadcast),
        _ => None,
    }
}

fn forbidden_v6(address: Ipv6Addr) -> Option<ForbiddenAddress> {
    if METADATA_V6.contains(&address) {
        return Some(ForbiddenAddress::Metadata);
    }
    if address == Ipv6Addr::UNSPECIFIED {
        return Some(ForbiddenAddress::Unspecified);
    }
    if address == Ipv6Addr::LOCALHOST {
        return None;
    }
    match address.segments() {
        [0xff00..=0xffff, ..] => Some(ForbiddenAddress::Multicast),
        [0xfe80..=0xfebf, ..] => Some(ForbiddenAddress::LinkLocal),
        _ => inside(address).into_iter().find_map(forbidden_v4),
    }
}

/// The IPv4 addresses that an IPv6 address may stand for.
fn inside(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let octets = address.octets();
    let at = |from: usize| [octets[from], octets[from + 1], octets[from + 2], octets[from + 3]];
    match address.segments() {
        // Mapped, compatible (RFC 4291, section 2.5.5), and the well-known translation prefix (RFC
        // 6052).
        [0, 0, 0, 0, 0, 0xffff, ..] | [0, 0, 0, 0, 0, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => {
            vec![at(12).into()]
        }
        [0x64, 0xff9b, 1, ..] => translated_locally(octets),
        // 6to4 (RFC 3056).
        [0x2002, ..] => vec![at(2).into()],
        // Teredo (RFC 4380): its server, and its client with all bits turned over.
        [0x2001, 0, ..] => vec![at(4).into(), at(12).map(|octet| !octet).into()],
        _ => Vec::new(),
    }
}

/// The prefix for local translation (RFC 8215) may be used at each length that RFC 6052, section
/// 2.2 has, and the address does not say at which. So all readings count but those that begin with
/// a zero, which no translator delivers; if all do, one of them counts.
fn translated_locally(octets: [u8; 16]) -> Vec<Ipv4Addr> {
    const PLACES: [[usize; 4]; 4] =
        [[6, 7, 9, 10], [7, 9, 10, 11], [9, 10, 11, 12], [12, 13, 14, 15]];
    let readings = PLACES.map(|places| Ipv4Addr::from(places.map(|place| octets[place])));
    let told: Vec<Ipv4Addr> = readings.into_iter().filter(|one| one.octets()[0] != 0).collect();
    if told.is_empty() { vec![readings[3]] } else { told }
}
