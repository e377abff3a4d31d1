//! What one process passes on to another of what came in: the datagrams, and who sent them how.
//!
//! Both processes are ours and of one machine, though not always of one version: [`VERSION`] changes with the layout, and
//! an envelope of another is dropped as a network drops packets.

use quinn::udp::{EcnCodepoint, RecvMeta};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

const VERSION: u8 = 1;
/// Version, ECN, which addresses are of IPv4 or absent; bytes of each datagram but the last; port, scope, the addresses.
pub(super) const HEAD: usize = 3 + 4 + 2 + 4 + 16 + 16;

const PEER_V4: u8 = 1;
const LOCAL_V4: u8 = 2;
const NO_LOCAL: u8 = 4;

/// Puts datagrams of one sender, `stride` bytes each but the last, into an envelope.
pub(super) fn seal(into: &mut Vec<u8>, from: &RecvMeta, datagrams: &[u8]) {
    let mut flags = 0;
    flags |= if from.addr.is_ipv4() { PEER_V4 } else { 0 };
    flags |= match from.dst_ip {
        Some(IpAddr::V4(_)) => LOCAL_V4,
        Some(IpAddr::V6(_)) => 0,
        None => NO_LOCAL,
    };
    let scope = match from.addr {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(v6) => v6.scope_id(),
    };
    into.clear();
    into.extend([VERSION, from.ecn.map_or(0, |ecn| ecn as u8), flags]);
    into.extend(u32::try_from(from.stride).unwrap_or(u32::MAX).to_be_bytes());
    into.extend(from.addr.port().to_be_bytes());
    into.extend(scope.to_be_bytes());
    into.extend(octets(from.addr.ip()));
    into.extend(octets(from.dst_ip.unwrap_or_else(|| Ipv6Addr::UNSPECIFIED.into())));
    into.extend_from_slice(datagrams);
}

/// Opens an envelope: how its datagrams came in, and they.
pub(super) fn open(envelope: &[u8]) -> Option<(RecvMeta, &[u8])> {
    let (head, datagrams) = envelope.split_at_checked(HEAD)?;
    let (fixed, addresses) = head.split_at(HEAD - 32);
    let [VERSION, ecn, flags, stride @ .., p0, p1, s0, s1, s2, s3] = fixed else { return None };
    let stride = u32::from_be_bytes(stride.try_into().ok()?) as usize;
    if stride == 0 || datagrams.is_empty() {
        return None;
    }
    let (peer, local) = addresses.split_at(16);
    let port = u16::from_be_bytes([*p0, *p1]);
    let addr = match address(peer, flags & PEER_V4 != 0)? {
        IpAddr::V4(v4) => SocketAddr::from((v4, port)),
        IpAddr::V6(v6) => SocketAddrV6::new(v6, port, 0, u32::from_be_bytes([*s0, *s1, *s2, *s3])).into(),
    };
    let local = if flags & NO_LOCAL == 0 { Some(address(local, flags & LOCAL_V4 != 0)?) } else { None };
    let ecn = EcnCodepoint::from_bits(*ecn);
    Some((RecvMeta { addr, len: datagrams.len(), stride, ecn, dst_ip: local }, datagrams))
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn address(octets: &[u8], is_v4: bool) -> Option<IpAddr> {
    let v6 = Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?);
    if is_v4 { v6.to_ipv4_mapped().map(IpAddr::V4) } else { Some(v6.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_sealed_is_opened_again(
            ip: IpAddr,
            port: u16,
            scope: u32,
            dst_ip: Option<IpAddr>,
            ecn in 0u8..4,
            stride in 1usize..70_000,
            datagrams in proptest::collection::vec(any::<u8>(), 1..3_000),
        ) {
            let addr = match ip {
                IpAddr::V4(v4) => (v4, port).into(),
                IpAddr::V6(v6) => SocketAddrV6::new(v6, port, 0, scope).into(),
            };
            let ecn = EcnCodepoint::from_bits(ecn);
            let meta = RecvMeta { addr, len: datagrams.len(), stride, ecn, dst_ip };
            let mut envelope = vec![];
            seal(&mut envelope, &meta, &datagrams);
            let (opened, inside) = open(&envelope).unwrap();
            prop_assert_eq!(format!("{opened:?}"), format!("{meta:?}"));
            prop_assert_eq!(inside, &datagrams[..]);
        }

        #[test]
        fn anything_else_opens_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some((meta, inside)) = open(&bytes) {
                prop_assert!(meta.stride > 0 && !inside.is_empty());
            }
        }
    }
}
