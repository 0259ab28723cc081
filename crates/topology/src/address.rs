//! Addresses that may be dialed for an outsider: what DNS says of a partner must lead outside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address isn't dialed, whatever a partner's DNS says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// Of this machine itself.
    #[error("{0} is an address of fedge itself")]
    Own(IpAddr),
    /// Not an address of one host on the Internet: loopback, private, link-local, multicast, reserved.
    #[error("{0} is not a public address; a partner there needs a `next_hop`")]
    NotPublic(IpAddr),
    /// Not an address of another machine: loopback, link-local, multicast, or none at all.
    #[error("{0} is no address of another machine; name one that others reach it by")]
    NotElsewhere(IpAddr),
}

/// Whether `address` may be dialed because a partner's DNS leads there. `own` are the addresses
/// where fedge itself listens.
///
/// # Errors
/// When it is one of our own, or can't be an outsider's.
pub fn may_dial(address: IpAddr, own: &[IpAddr]) -> Result<(), Forbidden> {
    let plain = address.to_canonical();
    if own.iter().any(|own| own.to_canonical() == plain) {
        return Err(Forbidden::Own(address));
    }
    let public = match plain {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    };
    if public { Ok(()) } else { Err(Forbidden::NotPublic(address)) }
}

/// Whether an administrator may have `address` looked at: other machines, those of private networks too, but nothing
/// that only this machine reaches.
///
/// # Errors
/// When it isn't another machine's.
pub fn may_look(address: IpAddr) -> Result<(), Forbidden> {
    let elsewhere = match address.to_canonical() {
        IpAddr::V4(plain) => {
            let [first, ..] = plain.octets();
            first != 0
                && !(plain.is_loopback() || plain.is_link_local() || plain.is_multicast() || plain.is_broadcast())
        }
        IpAddr::V6(plain) => {
            !(plain.is_unspecified() || plain.is_loopback() || plain.is_unicast_link_local() || plain.is_multicast())
        }
    };
    if elsewhere { Ok(()) } else { Err(Forbidden::NotElsewhere(address)) }
}

/// What the IANA registry of special-purpose addresses (RFC 6890) calls globally reachable.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || a == 0
        // Shared by carriers (RFC 6598).
        || (a == 100 && (64..128).contains(&b))
        // Protocol assignments (RFC 6890) and benchmarks (RFC 2544).
        || (a, b, c) == (192, 0, 0)
        || (a == 198 && (18..20).contains(&b))
        // Reserved, and broadcast.
        || a >= 240;
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // NAT64 (RFC 6052) and 6to4 (RFC 3056) hide an IPv4 address, which counts.
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    if segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        return is_public_v4(v4(segments[6], segments[7]));
    }
    if segments[0] == 0x2002 {
        return is_public_v4(v4(segments[1], segments[2]));
    }
    // Only 2000::/3 is assigned to hosts; in it, documentation and protocol assignments aren't.
    let global = segments[0] & 0xe000 == 0x2000;
    let documentation = segments[..2] == [0x2001, 0xdb8] || (segments[0] == 0x3fff && segments[1] < 0x1000);
    let assignments = segments[0] == 0x2001 && segments[1] < 0x200;
    global && !documentation && !assignments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_internet_is_outside() {
        for address in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.1.1",
            "0.0.0.0",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.0.8",
            "203.0.113.5",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "2001:db8::1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "64:ff9b:1::1",
            "::7f00:1",
        ] {
            assert!(may_dial(address.parse().expect("an address"), &[]).is_err(), "{address}");
        }
        for address in ["8.8.8.8", "193.0.14.129", "2a00:1450::1", "64:ff9b::808:808", "::ffff:8.8.8.8"] {
            assert_eq!(may_dial(address.parse().expect("an address"), &[]), Ok(()), "{address}");
        }
    }

    #[test]
    fn an_administrator_looks_at_other_machines_only() {
        for address in
            ["127.0.0.1", "0.0.0.0", "169.254.169.254", "224.0.0.1", "::1", "::", "fe80::1", "::ffff:127.0.0.1"]
        {
            assert!(may_look(address.parse().expect("an address")).is_err(), "{address}");
        }
        for address in ["10.1.2.3", "203.0.113.5", "8.8.8.8", "fd00::1", "2001:db8::1"] {
            assert_eq!(may_look(address.parse().expect("an address")), Ok(()), "{address}");
        }
    }

    #[test]
    fn our_own_addresses_are_not_outside() {
        let own: IpAddr = "8.8.8.8".parse().expect("an address");
        let mapped: IpAddr = "::ffff:8.8.8.8".parse().expect("an address");
        assert_eq!(may_dial(own, &[own]), Err(Forbidden::Own(own)));
        assert_eq!(may_dial(mapped, &[own]), Err(Forbidden::Own(mapped)));
    }
}
