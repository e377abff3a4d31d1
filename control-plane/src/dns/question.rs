//! Who asks for what.

use hickory_server::proto::op::LowerQuery;
use hickory_server::proto::rr::rdata::opt::ClientSubnet;
use hickory_server::proto::rr::{Name, RecordType};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use xxhash_rust::xxh3::xxh3_64;

/// Bits of an address that name a session: those behind one network of a resolver's are sent alike.
const BITS: (u32, u32) = (24, 48);

/// A question.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) name: Name,
    pub(super) kind: RecordType,
    /// Whom it is for: whom the resolver names (RFC 7871), or the resolver.
    pub(super) client: IpAddr,
    /// True when the resolver named whom it is for.
    pub(super) named: bool,
}

impl Question {
    pub(super) fn new(query: &LowerQuery, resolver: IpAddr, subnet: Option<ClientSubnet>) -> Self {
        let named = subnet.filter(|subnet| subnet.source_prefix() > 0);
        let client = named.map_or(resolver, |subnet| subnet.addr());
        let (name, kind) = (Name::from(query.name().clone()), query.query_type());
        Self { name, kind, client, named: named.is_some() }
    }

    /// The session of a network: its own and the same each time.
    pub(super) fn session(&self) -> u64 {
        xxh3_64(self.network().to_string().as_bytes())
    }

    fn network(&self) -> IpAddr {
        match self.client.to_canonical() {
            IpAddr::V4(address) => {
                IpAddr::V4(Ipv4Addr::from(u32::from(address) & (u32::MAX << (32 - BITS.0))))
            }
            IpAddr::V6(address) => {
                IpAddr::V6(Ipv6Addr::from(u128::from(address) & (u128::MAX << (128 - BITS.1))))
            }
        }
    }

    /// Bits of the client's address that an answer depends on.
    pub(super) fn scope(&self) -> u8 {
        let (four, six) = BITS;
        u8::try_from(if self.client.to_canonical().is_ipv4() { four } else { six }).unwrap_or(0)
    }
}
