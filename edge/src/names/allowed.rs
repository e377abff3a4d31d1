//! Where a name may lead. Pure.
//!
//! Who answers for a name decides where this edge connects. An answer must not lead it to itself, to what its link alone
//! reaches (the addresses of a cloud's metadata among it), or from the public net into a private one.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Networks to which any name may lead.
#[derive(Debug)]
pub(super) struct Networks(Vec<IpNet>);

/// What kind of place an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Public,
    Private,
    /// This machine, its link, or nobody in particular.
    Never,
}

impl Networks {
    pub(super) fn new(networks: &[IpNet]) -> Self {
        Self(networks.to_vec())
    }

    /// Whether a name may lead there; `was_public` when all it led to before was public.
    pub(super) fn allow(&self, address: IpAddr, was_public: bool) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
            || match place(address) {
                Place::Public => true,
                Place::Private => !was_public,
                Place::Never => false,
            }
    }
}

pub(super) fn place(address: IpAddr) -> Place {
    match address.to_canonical() {
        IpAddr::V4(address) => of_four(address),
        IpAddr::V6(address) => of_six(address),
    }
}

fn of_four(address: Ipv4Addr) -> Place {
    let [a, b, c, _] = address.octets();
    let never = address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || (a, b, c) == (192, 0, 0);
    let shared = a == 100 && b & 0xc0 == 64;
    let benchmarks = a == 198 && b & 0xfe == 18;
    if never {
        Place::Never
    } else if address.is_private() || shared || benchmarks || address.is_documentation() {
        Place::Private
    } else {
        Place::Public
    }
}

fn of_six(address: Ipv6Addr) -> Place {
    let [a, b, ..] = address.segments();
    // What another family's address stands in counts as that: 6to4, NAT64, and what is left of compatible ones.
    let within = match (a, b) {
        (0x2002, _) => Some((address.to_bits() >> 80) as u32),
        (0x64, 0xff9b) | (0, 0) => Some(address.to_bits() as u32),
        _ => None,
    };
    if address.is_loopback() || address.is_unspecified() || address.is_multicast() || a & 0xffc0 == 0xfe80 {
        Place::Never
    } else if let Some(four) = within {
        of_four(Ipv4Addr::from_bits(four))
    } else if a & 0xfe00 == 0xfc00 || a & 0xffc0 == 0xfec0 || (a, b) == (0x2001, 0xdb8) {
        Place::Private
    } else {
        Place::Public
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_apart() {
        let of = |text: &str| place(text.parse().unwrap());
        for never in [
            "127.0.0.1",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "192.0.0.170",
            "::1",
            "::",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "::7f00:1",
        ] {
            assert_eq!(of(never), Place::Never, "{never}");
        }
        for private in [
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "198.18.0.1",
            "fd00::1",
            "fec0::1",
            "::ffff:10.0.0.1",
            "2002:a00:1::",
        ] {
            assert_eq!(of(private), Place::Private, "{private}");
        }
        for public in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::101:101"] {
            assert_eq!(of(public), Place::Public, "{public}");
        }
    }

    #[test]
    fn a_public_name_stays_out_of_private_networks_but_for_those_named() {
        let networks = Networks::new(&["127.0.0.5/32".parse().unwrap(), "10.1.0.0/16".parse().unwrap()]);
        let allow = |text: &str, was_public| networks.allow(text.parse().unwrap(), was_public);
        assert!(allow("127.0.0.5", true) && allow("::ffff:127.0.0.5", true) && allow("10.1.2.3", true));
        assert!(!allow("127.0.0.1", false) && !allow("169.254.169.254", false));
        assert!(allow("10.2.0.1", false) && !allow("10.2.0.1", true) && allow("8.8.8.8", true));
    }
}
