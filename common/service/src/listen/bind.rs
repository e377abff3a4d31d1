//! Taking the ports.

use super::limits::{BACKLOG, MAX_CONNECTIONS};
use super::port::{Elder, Ids, Relayed};
use super::proxied::Proxies;
use super::tls::{Offer, Tls};
use crate::Metrics;
use crate::config::{ListenConfig, TlsConfig};
use crate::takeover::{Inherited, Sockets, UDP};
use serde::{Deserialize, Serialize};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Tries at finding a port free for TCP and UDP alike.
const PORT_TRIES: usize = 16;

/// Where a server listens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// HTTP/1.1 and h2c.
    pub http: Option<SocketAddr>,
    /// HTTP/1.1 and HTTP/2 over TLS.
    pub https: Option<SocketAddr>,
    /// HTTP/3.
    pub h3: Option<SocketAddr>,
    /// Metrics and health.
    pub admin: Option<SocketAddr>,
}

/// Why a port cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Somebody else has it.
    #[error("{key} = {address}: the port is in use; choose another, or end what listens there")]
    InUse {
        /// The configuration's key.
        key: &'static str,
        /// The address.
        address: SocketAddr,
    },
    /// The system refuses it.
    #[error("{key} = {address}: {error}")]
    Refused {
        /// The configuration's key.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// The certificate cannot be used.
    #[error("{key}: {why}")]
    Certificate {
        /// The configuration's key.
        key: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Signals cannot be watched.
    #[error("signals: {0}")]
    Signal(std::io::Error),
}

/// A TCP port with what is spoken there.
pub(super) struct Tcp {
    /// The key it is configured under.
    key: &'static str,
    pub(super) listener: TcpListener,
    pub(super) tls: Option<Tls>,
    /// Who may speak for others.
    pub(super) proxies: Option<Arc<Proxies>>,
    /// One for each connection it may have.
    pub(super) permits: Arc<Semaphore>,
}

impl Tcp {
    fn new(key: &'static str, listener: TcpListener, tls: Option<Tls>) -> Self {
        Self { key, listener, tls, proxies: None, permits: Arc::new(Semaphore::new(MAX_CONNECTIONS)) }
    }

    /// The same port, for another thread to accept on.
    pub(super) fn try_clone(&self) -> std::io::Result<Self> {
        let listener = self.listener.try_clone()?;
        let (tls, proxies) = (self.tls.clone(), self.proxies.clone());
        Ok(Self { key: self.key, listener, tls, proxies, permits: Arc::clone(&self.permits) })
    }
}

/// A UDP port with how QUIC is spoken there.
pub(super) struct Udp {
    pub(super) socket: UdpSocket,
    pub(super) config: quinn::ServerConfig,
    pub(super) offer: Offer,
    /// Requests may come before the handshake is complete.
    pub(super) early: bool,
    /// What its connections are known by.
    pub(super) ids: Ids,
    /// Processes before this one that may still have connections there.
    pub(super) elders: Vec<Elder>,
    pub(super) relayed: Relayed,
    /// Where it was taken over: ends when the process before this one reads nothing from it any more.
    pub(super) released: Option<OwnedFd>,
}

impl Udp {
    fn new(
        socket: UdpSocket,
        elders: Vec<Elder>,
        offer: &Offer,
        early: bool,
        metrics: &Metrics,
        inherited: &Inherited,
    ) -> Result<Self, BindError> {
        let (ids, relayed, released) = (Ids::random(), Relayed::new(metrics), inherited.released());
        let config = super::quic::config(offer, early)?;
        Ok(Self { socket, config, offer: offer.clone(), early, ids, elders, relayed, released })
    }
}

/// Ports, taken and not yet served.
#[derive(Default)]
pub(super) struct Bound {
    pub(super) tcp: Vec<Tcp>,
    pub(super) quic: Option<Udp>,
    /// What the TLS listeners offer, TCP and QUIC alike.
    pub(super) offer: Option<Offer>,
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Bound").field(&self.addresses()).finish()
    }
}

impl Bound {
    pub(super) fn new(
        listen: &ListenConfig,
        tls: &TlsConfig,
        metrics: &Metrics,
        inherited: &Inherited,
    ) -> Result<Self, BindError> {
        let mut bound = Self::default();
        if let Some(address) = listen.http {
            bound.tcp.push(Tcp::new("listen.http", tcp("listen.http", address, inherited)?, None));
        }
        if let Some(address) = listen.https {
            let offer = Offer::load(tls, metrics)?;
            let listener = if listen.h3 {
                let (listener, socket, elders) = both(address, inherited)?;
                bound.quic = Some(Udp::new(socket, elders, &offer, tls.early_data, metrics, inherited)?);
                listener
            } else {
                tcp("listen.https", address, inherited)?
            };
            bound.tcp.push(Tcp::new("listen.https", listener, Some(Tls::new(&offer)?)));
            bound.offer = Some(offer);
        }
        let proxies = Proxies::new(&listen.proxy_protocol, metrics).map(Arc::new);
        bound.tcp.iter_mut().for_each(|tcp| tcp.proxies.clone_from(&proxies));
        Ok(bound)
    }

    pub(super) fn plain(
        key: &'static str,
        address: SocketAddr,
        inherited: &Inherited,
    ) -> Result<Self, BindError> {
        Ok(Self { tcp: vec![Tcp::new(key, tcp(key, address, inherited)?, None)], ..Self::default() })
    }

    pub(super) fn add_to(&self, sockets: &mut Sockets) -> std::io::Result<()> {
        for tcp in &self.tcp {
            sockets.add(tcp.key, &tcp.listener)?;
        }
        let Some(udp) = &self.quic else { return Ok(()) };
        sockets.add(UDP, &udp.socket)?;
        sockets.add_quic(udp.ids, &udp.elders)
    }

    pub(super) fn addresses(&self) -> Addresses {
        let of = |secure: bool| {
            self.tcp
                .iter()
                .find(|tcp| tcp.tls.is_some() == secure)
                .and_then(|tcp| tcp.listener.local_addr().ok())
        };
        Addresses {
            http: of(false),
            https: of(true),
            h3: self.quic.as_ref().and_then(|udp| udp.socket.local_addr().ok()),
            admin: None,
        }
    }
}

fn tcp(key: &'static str, address: SocketAddr, inherited: &Inherited) -> Result<TcpListener, BindError> {
    if let Some(listener) = inherited.tcp(key, address) {
        return Ok(listener);
    }
    let bind = || -> std::io::Result<TcpListener> {
        let socket = if address.is_ipv4() {
            tokio::net::TcpSocket::new_v4()
        } else {
            tokio::net::TcpSocket::new_v6()
        }?;
        // A restarted server takes its port back though connections of the former one linger in TIME_WAIT.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        // In a std listener, which any thread's runtime can take over, non-blocking as it is.
        socket.listen(BACKLOG)?.into_std()
    };
    bind().map_err(|error| refused(key, address, error))
}

/// The same port for TCP and UDP, and the processes before this one at the latter.
fn both(
    address: SocketAddr,
    inherited: &Inherited,
) -> Result<(TcpListener, UdpSocket, Vec<Elder>), BindError> {
    let mut tries = if address.port() == 0 { PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        let listener = tcp("listen.https", address, inherited)?;
        let at = listener.local_addr().map_err(|error| refused("listen.https", address, error))?;
        if let Some(udp) = inherited.udp(at) {
            return Ok((listener, udp, inherited.elders()));
        }
        match UdpSocket::bind(at) {
            Ok(udp) => return Ok((listener, udp, vec![])),
            Err(error) if tries == 0 => return Err(refused("listen.https (UDP, for HTTP/3)", at, error)),
            Err(_) => {}
        }
    }
}

fn refused(key: &'static str, address: SocketAddr, error: std::io::Error) -> BindError {
    if error.kind() == std::io::ErrorKind::AddrInUse {
        BindError::InUse { key, address }
    } else {
        BindError::Refused { key, address, error }
    }
}
