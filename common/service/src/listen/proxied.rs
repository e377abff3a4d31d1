//! The PROXY protocol, versions 1 and 2: balancers in front tell whose connection they pass on.

use super::limits::PROXY_TIMEOUT;
use crate::Metrics;
use ipnet::IpNet;
use ppp::v2::{Addresses, Command, Protocol};
use ppp::{v1, v2};
use prometheus::IntCounterVec;
use std::net::{IpAddr, SocketAddr};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// What is read before the version is known: version 2's signature and one byte more. No header is shorter.
const BEGINNING: usize = 13;
/// The signature of version 2.
pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of version 2 up to and with its length.
pub(super) const FIXED: usize = 16;
/// Bytes of addresses and further fields in version 2: addresses of UNIX sockets take 216, a certificate's name some
/// hundred more.
pub(super) const MAX_FIELDS: usize = 4 << 10;
/// Bytes of version 1, as its specification has it.
const MAX_LINE: usize = 107;

/// The balancers that are believed.
#[derive(Debug)]
pub(super) struct Proxies {
    networks: Vec<IpNet>,
    refused: IntCounterVec,
}

/// Why a connection from a balancer is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Malformed,
    Late,
    Closed,
}

impl Refused {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Late => "late",
            Self::Closed => "closed",
        }
    }
}

impl Proxies {
    /// `None` when nobody is believed.
    pub(super) fn new(networks: &[IpNet], metrics: &Metrics) -> Option<Self> {
        let refused = metrics.counters(
            "sluice_proxy_protocol_refused_total",
            "Connections from balancers closed for their PROXY header, by reason",
            &["reason"],
        );
        (!networks.is_empty()).then(|| Self { networks: networks.to_vec(), refused })
    }

    /// Whose connection it is: as the header tells, which a believed balancer must send before anything else. A connection
    /// from elsewhere is the sender's own. `None` when it must be closed.
    pub(super) async fn client<I>(&self, io: &mut I, from: SocketAddr) -> Option<SocketAddr>
    where
        I: AsyncRead + Unpin,
    {
        // A listener of both families shows addresses of the older one inside the newer.
        let address: IpAddr = from.ip().to_canonical();
        if !self.networks.iter().any(|network| network.contains(&address)) {
            return Some(from);
        }
        let refused = match timeout(PROXY_TIMEOUT, read(io)).await {
            Ok(Ok(told)) => return Some(told.unwrap_or(from)),
            Ok(Err(refused)) => refused,
            Err(_) => Refused::Late,
        };
        tracing::debug!(?refused, %from, "a PROXY header is refused");
        self.refused.with_label_values(&[refused.as_str()]).inc();
        None
    }
}

/// Reads a header and not a byte more. `None` when the balancer speaks for itself, or for nobody that has an address.
pub(super) async fn read<I: AsyncRead + Unpin>(io: &mut I) -> Result<Option<SocketAddr>, Refused> {
    let mut header = vec![0; BEGINNING];
    exactly(io, &mut header).await?;
    if header.starts_with(SIGNATURE) {
        header.resize(FIXED, 0);
        exactly(io, &mut header[BEGINNING..]).await?;
        let fields = usize::from(u16::from_be_bytes([header[FIXED - 2], header[FIXED - 1]]));
        if fields > MAX_FIELDS {
            return Err(Refused::Malformed);
        }
        header.resize(FIXED + fields, 0);
        exactly(io, &mut header[FIXED..]).await?;
        return second(&header);
    }
    if !header.starts_with(b"PROXY ") {
        return Err(Refused::Malformed);
    }
    while !header.ends_with(b"\n") {
        if header.len() == MAX_LINE {
            return Err(Refused::Malformed);
        }
        header.push(0);
        let last = header.len() - 1;
        exactly(io, &mut header[last..]).await?;
    }
    first(&header)
}

async fn exactly<I: AsyncRead + Unpin>(io: &mut I, into: &mut [u8]) -> Result<(), Refused> {
    io.read_exact(into).await.map(drop).map_err(|_| Refused::Closed)
}

/// What a line of version 1 tells.
fn first(line: &[u8]) -> Result<Option<SocketAddr>, Refused> {
    let header = v1::Header::try_from(line).map_err(|_| Refused::Malformed)?;
    if header.header.len() != line.len() {
        return Err(Refused::Malformed);
    }
    Ok(match header.addresses {
        v1::Addresses::Tcp4(told) => Some((told.source_address, told.source_port).into()),
        v1::Addresses::Tcp6(told) => Some((told.source_address, told.source_port).into()),
        v1::Addresses::Unknown => None,
    })
}

/// What a header of version 2 tells.
fn second(header: &[u8]) -> Result<Option<SocketAddr>, Refused> {
    let header = v2::Header::try_from(header).map_err(|_| Refused::Malformed)?;
    if header.tlvs().any(|field| field.is_err()) {
        return Err(Refused::Malformed);
    }
    if header.command == Command::Local {
        return Ok(None);
    }
    match (header.addresses, header.protocol) {
        (Addresses::IPv4(told), Protocol::Stream) => Ok(Some((told.source_address, told.source_port).into())),
        (Addresses::IPv6(told), Protocol::Stream) => Ok(Some((told.source_address, told.source_port).into())),
        (Addresses::Unspecified, Protocol::Unspecified) | (Addresses::Unix(_), Protocol::Stream) => Ok(None),
        _ => Err(Refused::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads a header with bytes of the client behind it; what it told, and how many of those were left.
    fn told(header: &[u8]) -> Result<(Option<SocketAddr>, usize), Refused> {
        let bytes = [header, b"GET / HTTP/1.1\r\n"].concat();
        let mut left = &bytes[..];
        let told = futures::executor::block_on(read(&mut left))?;
        Ok((told, left.len()))
    }

    fn version_2(command: u8, family: u8, fields: &[u8]) -> Vec<u8> {
        let length = u16::try_from(fields.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[0x20 | command, family], &length, fields].concat()
    }

    const V4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x1f, 0x90, 0, 80];

    #[test]
    fn both_versions_tell_the_client_and_not_a_byte_more_is_read() {
        let client: SocketAddr = "192.0.2.7:8080".parse().unwrap();
        assert_eq!(told(b"PROXY TCP4 192.0.2.7 10.0.0.1 8080 80\r\n"), Ok((Some(client), 16)));
        assert_eq!(told(&version_2(1, 0x11, &V4)), Ok((Some(client), 16)));
        let six: SocketAddr = "[2001:db8::7]:8080".parse().unwrap();
        assert_eq!(told(b"PROXY TCP6 2001:db8::7 2001:db8::1 8080 80\r\n"), Ok((Some(six), 16)));
        assert_eq!(told(b"PROXY UNKNOWN\r\n"), Ok((None, 16)));
        assert_eq!(told(&version_2(0, 0, b"")), Ok((None, 16)), "LOCAL: a balancer's look at our health");
        let with_field = [&V4[..], &[0x04, 0, 2, 1, 2]].concat();
        assert_eq!(told(&version_2(1, 0x11, &with_field)), Ok((Some(client), 16)));
    }

    #[test]
    fn whatever_else_is_refused() {
        let long = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200], b"\r\n"].concat();
        let mut other_version = version_2(1, 0x11, &V4);
        other_version[12] = 0x31;
        for bad in [
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 8080\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 8080 99999\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 8080 80\n".to_vec(),
            b"PROXY TCP4 2001:db8::7 2001:db8::1 8080 80\r\n".to_vec(),
            long,
            other_version,
            version_2(2, 0x11, &V4),
            version_2(1, 0x12, &V4),
            version_2(1, 0x11, &V4[..8]),
            version_2(1, 0x11, &[&V4[..], &[0x04, 0, 9, 1]].concat()),
            version_2(1, 0x11, &[0; MAX_FIELDS + 1]),
        ] {
            assert_eq!(told(&bad), Err(Refused::Malformed), "{}", bad.escape_ascii());
        }
        assert_eq!(futures::executor::block_on(read(&mut &b"PROXY TCP4 192"[..])), Err(Refused::Closed));
    }

    proptest! {
        #[test]
        fn any_client_is_told(address: [u8; 4], port: u16, rest in prop::collection::vec(any::<u8>(), 0..40)) {
            let client = SocketAddr::from((address, port));
            let [a, b, c, d] = address;
            let line = format!("PROXY TCP4 {a}.{b}.{c}.{d} 10.0.0.1 {port} 443\r\n");
            let fields = [&address[..], &[10, 0, 0, 1], &port.to_be_bytes(), &[1, 187]].concat();
            for header in [line.into_bytes(), version_2(1, 0x11, &fields)] {
                let bytes = [&header[..], &rest].concat();
                let mut left = &bytes[..];
                prop_assert_eq!(futures::executor::block_on(read(&mut left)), Ok(Some(client)));
                prop_assert_eq!(left, &rest[..]);
            }
        }

        #[test]
        fn no_bytes_are_read_past_the_bound(bytes in prop::collection::vec(any::<u8>(), 0..300), as_two: bool) {
            let bytes = if as_two { [SIGNATURE, &bytes].concat() } else { bytes };
            let mut left = &bytes[..];
            let told = futures::executor::block_on(read(&mut left));
            prop_assert!(told != Err(Refused::Late));
            prop_assert!(bytes.len() - left.len() <= FIXED + MAX_FIELDS);
        }
    }
}
