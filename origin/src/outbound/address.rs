//! Where this process may connect on behalf of others. Pure.
//!
//! Whoever names a URL, and whoever answers for the name in it, decides where a connection goes. It must lead to the public
//! net: not to this machine, its link (a cloud's metadata among it), a private network, or any of these in the clothes of
//! another family.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The host of Azure's agent and metadata: a public address that every machine there reaches.
const AZURE: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

/// True when a connection may go there: a public address, or one of a network that the operator named.
pub(crate) fn admits(named: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    named.iter().any(|network| network.contains(&address)) || is_public(address)
}

/// True for addresses that the public net routes to somebody.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_four(address),
        IpAddr::V6(address) => is_public_six(address),
    }
}

/// What is left of RFC 6890's registry of special addresses.
fn is_public_four(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = matches!(
        (a, b, c),
        // This network, private, loopback, link, multicast, reserved.
        (0 | 10 | 127 | 224..=255, ..)
            // Shared by a carrier's customers.
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            // Protocol assignments, documentation, 6to4 relays, private.
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            // Benchmarks, documentation.
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    );
    !special && address != AZURE
}

/// Global unicast, 2000::/3, but for what in it is no host of the public net; and NAT64 of a public IPv4 address, the only
/// way from some networks to those.
fn is_public_six(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, ..] = address.segments();
    if (a, b, c, d, e, f) == (0x64, 0xff9b, 0, 0, 0, 0) {
        return is_public_four(Ipv4Addr::from_bits(address.to_bits() as u32));
    }
    let special = match (a, b) {
        // Protocol assignments: Teredo, ORCHID, benchmarks.
        (0x2001, 0..=0x1ff) => true,
        // Documentation, and 6to4, which leads to any IPv4 address.
        (0x2001, 0xdb8) | (0x2002, _) => true,
        (0x3fff, 0..=0xfff) => true,
        _ => false,
    };
    let global = a & 0xe000 == 0x2000;
    // ISATAP: an interface that is an IPv4 address.
    let [.., isatap, kind, high, low] = address.segments();
    let within = (isatap & 0xfdff == 0 && kind == 0x5efe)
        .then(|| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    global && !special && within.is_none_or(is_public_four)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn public(text: &str) -> bool {
        is_public(text.parse().unwrap())
    }

    #[test]
    fn only_hosts_of_the_public_net_are() {
        for refused in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:a9fe:a9fe",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:808:808::1",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2606:4700::5efe:7f00:1",
            "2606:4700::200:5efe:a00:1",
        ] {
            assert!(!public(refused), "{refused}");
        }
        for good in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "168.63.129.17",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860::8888",
            "64:ff9b::808:808",
            "::ffff:8.8.8.8",
            "2606:4700::5efe:808:808",
        ] {
            assert!(public(good), "{good}");
        }
    }

    #[test]
    fn networks_that_the_operator_named_are_admitted_in_every_spelling() {
        let named = ["127.0.0.0/8".parse().unwrap(), "fd00:1::/32".parse().unwrap()];
        for good in ["127.0.0.1", "::ffff:127.0.0.1", "fd00:1::5", "8.8.8.8"] {
            assert!(admits(&named, good.parse().unwrap()), "{good}");
        }
        for refused in ["10.0.0.1", "::1", "fd00:2::1", "64:ff9b::7f00:1"] {
            assert!(!admits(&named, refused.parse().unwrap()), "{refused}");
        }
    }

    proptest! {
        /// No family's clothes make a refused address an admitted one.
        #[test]
        fn what_is_refused_is_refused_in_any_clothes(bits: u32, near in 0usize..8, tail: u64) {
            let roots = [0x7f00_0000u32, 0xa9fe_a9fe, 0x0a00_0000, 0xc0a8_0000, 0xac10_0000, 0x6440_0000, 0, bits];
            let four = Ipv4Addr::from_bits(if near == 7 { bits } else { roots[near] | bits & 0xffff });
            prop_assume!(!is_public(four.into()));
            let low = u128::from(four.to_bits());
            let clothed = [
                low,
                0xffff << 32 | low,
                0x64_ff9b << 96 | low,
                0x2002 << 112 | low << 80 | u128::from(tail),
                0x2606_4700 << 96 | 0x5efe << 32 | low,
            ];
            for bits in clothed {
                let six = Ipv6Addr::from_bits(bits);
                prop_assert!(!is_public(six.into()), "{four} as {six}");
            }
        }

        #[test]
        fn everything_public_is_global_unicast(bits: u128) {
            let six = Ipv6Addr::from_bits(bits);
            if is_public(six.into()) {
                let four = six.to_ipv4_mapped().is_some() || bits >> 32 == 0x64_ff9b << 64;
                prop_assert!(bits >> 125 == 1 || four, "{six}");
            }
        }
    }
}
