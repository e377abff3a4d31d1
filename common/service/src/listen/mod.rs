//! Listeners: HTTP/1.1, HTTP/2 and HTTP/3 in front of one service.
//!
//! - `bind` takes every port at once, before anything is loaded
//! - `tcp` accepts and speaks HTTP/1.1 and HTTP/2, with and without TLS; `quic` speaks HTTP/3
//! - `port` is QUIC's socket: who of several processes a datagram is for, and how much may be sent to strangers
//! - `early` is about requests before the handshake is complete
//! - `front` is what every request passes: trace, `gate`, `Alt-Svc`
//! - `shortcut` is the shortest way to what a cache holds
//! - `h1` is HTTP/1: its strict gate, and what a refused client still sends
//! - `websocket` is how a WebSocket of any protocol reaches the service, `pipe` how one that ends there is read and written
//! - `proxied` is what balancers in front tell of their clients
//! - `clear` is a connection without TLS, where large bodies go out as they are
//! - `workers` runs one thread a core where a server asks for it
//! - `parked` keeps connections that wait for their next request, at a hundred bytes each
//! - `cork` gathers what an HTTP/2 connection writes in a turn
//! - `h2` counts the frames that a client sends over HTTP/2, and `paced` the bytes of its requests' bodies; `guests` knows
//!   who is connected; `h3` has the library for HTTP/3 understand who asks for a WebSocket
//! - `limits` holds every bound

mod bind;
mod clear;
mod cork;
mod early;
mod front;
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod guests;
mod h1;
mod h2;
mod h3;
mod lent;
mod limits;
mod paced;
mod parked;
mod pipe;
mod port;
mod prefixed;
mod proxied;
mod quic;
mod shortcut;
mod tcp;
mod tls;
mod websocket;
mod workers;

pub use bind::{Addresses, BindError};
pub use early::EarlyData;
pub use gate::is_host;
pub use h1::Interim;
pub use pipe::Pipe;
pub use shortcut::{Plain, Shortcut};
pub use websocket::WebSocket;

pub(crate) use port::{Elder, Ids, pair as line};

use crate::config::{ListenConfig, TlsConfig};
use crate::takeover::{Inherited, Sockets};
use crate::{Arena, Drain, HttpRequest, HttpResponse, Metrics};
use bind::Bound;
use clear::Uncopied;
use front::Front;
use guests::Guests;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

/// The protocol of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.0 or 1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// HTTP/3.
    Http3,
}

impl Protocol {
    const ALL: [Self; 3] = [Self::Http1, Self::Http2, Self::Http3];

    /// The label in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http1 => "h1",
            Self::Http2 => "h2",
            Self::Http3 => "h3",
        }
    }
}

/// Who sent a request, and how: an extension of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub addr: SocketAddr,
    /// The protocol it speaks.
    pub protocol: Protocol,
    /// True over TLS.
    pub secure: bool,
}

/// A server's bound ports.
#[derive(Debug)]
pub struct Listeners {
    bound: Bound,
    drain: Drain,
    front: Front,
    guests: Arc<Guests>,
}

impl Listeners {
    /// Takes every public port of the configuration: from the process before this one, where it has handed them over.
    ///
    /// # Errors
    /// [`BindError`], naming the key, the address and what is in the way.
    pub(crate) fn bind(
        listen: &ListenConfig,
        tls: &TlsConfig,
        drain: Drain,
        metrics: &Metrics,
        inherited: &Inherited,
    ) -> Result<Self, BindError> {
        let bound = Bound::new(listen, tls, metrics, inherited)?;
        if let Some(offer) = &bound.offer {
            offer.watch(&drain, metrics)?;
        }
        let challenges = bound.offer.as_ref().and_then(tls::Offer::challenges);
        let front = Front::new(bound.addresses().h3.map(|at| at.port()), Some(metrics), listen.limits)
            .challenges(challenges);
        let guests = Arc::new(Guests::new(listen.limits.connections_per_client, Some(metrics)));
        Ok(Self { bound, drain, front, guests })
    }

    /// Binds the admin listener, if there is one.
    pub(crate) fn admin(
        listen: &ListenConfig,
        drain: Drain,
        inherited: &Inherited,
    ) -> Result<Option<Self>, BindError> {
        let Some(address) = listen.admin else { return Ok(None) };
        let bound = Bound::plain("listen.admin", address, inherited)?;
        let guests = Arc::new(Guests::new(listen.limits.connections_per_client, None));
        Ok(Some(Self { bound, drain, front: Front::new(None, None, listen.limits), guests }))
    }

    /// What a process that takes over needs of it.
    pub(crate) fn sockets(&self) -> std::io::Result<Sockets> {
        let mut sockets = Sockets::default();
        self.add_to(&mut sockets)?;
        Ok(sockets)
    }

    /// Adds to what a process that takes over needs.
    pub(crate) fn add_to(&self, sockets: &mut Sockets) -> std::io::Result<()> {
        self.bound.add_to(sockets)
    }

    /// Where it listens. `admin` is absent; the process knows it.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.bound.addresses()
    }

    /// Serves until the drain has begun and every connection has ended or been cut.
    pub async fn serve<S>(self, service: S)
    where
        S: Service<HttpRequest, Response = HttpResponse, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
    {
        self.serve_as(service, false).await;
    }

    /// As [`serve`](Self::serve); requests for a WebSocket reach the service as [`WebSocket`] says.
    pub async fn serve_websockets<S>(self, service: S)
    where
        S: Service<HttpRequest, Response = HttpResponse, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
    {
        self.serve_as(service, true).await;
    }

    async fn serve_as<S>(self, service: S, tunnels: bool)
    where
        S: Service<HttpRequest, Response = HttpResponse, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
    {
        let shell = Shell { tunnels, ..self.shell(None) };
        let accepting = TaskTracker::new();
        for tcp in self.bound.tcp {
            accepting.spawn(tcp::accept(tcp, service.clone(), shell.clone()));
        }
        if self.bound.quic.is_none() {
            self.drain.udp_free().cancel();
        }
        if let Some(udp) = self.bound.quic {
            accepting.spawn(quic::accept(udp, service, shell.clone()));
        }
        accepting.close();
        accepting.wait().await;
        shell.finish().await;
    }

    /// As [`serve`](Self::serve), on one thread a core: each accepts, and keeps what it has accepted. Plain requests are
    /// tried by the shortcut first, requests for a WebSocket reach the service as [`WebSocket`] says, and bodies in the arena
    /// go out without being copied where there is no TLS.
    pub async fn serve_per_core<S>(self, service: S, shortcut: Arc<dyn Shortcut>, arena: Option<Arena>)
    where
        S: Service<HttpRequest, Response = HttpResponse, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
    {
        let uncopied = Uncopied { arena, bytes: self.front.uncopied.clone() };
        let shell = Shell { uncopied, ..self.shell(Some(shortcut)) };
        let Bound { tcp, quic, .. } = self.bound;
        let workers = workers::start(&tcp, &service, &shell);
        // The port closes with the last who accepts on it.
        drop(tcp);
        match quic {
            Some(udp) => quic::accept(udp, service, shell.clone()).await,
            None => shell.drain.udp_free().cancel(),
        }
        workers.accepted().await;
        shell.finish().await;
        workers.end();
    }

    fn shell(&self, shortcut: Option<Arc<dyn Shortcut>>) -> Shell {
        let (drain, front, guests) = (self.drain.clone(), self.front.clone(), Arc::clone(&self.guests));
        let (begun, tunnels) = (drain.token(), shortcut.is_some());
        Shell {
            begun,
            drain,
            front,
            guests,
            connections: TaskTracker::new(),
            shortcut,
            uncopied: Uncopied::default(),
            tunnels,
        }
    }

    /// As [`serve`](Self::serve), but ends with the drain's beginning: nobody waits for a scrape.
    pub(crate) async fn serve_quietly<S>(self, service: S)
    where
        S: Service<HttpRequest, Response = HttpResponse, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
    {
        let begun = self.drain.token();
        tokio::select! {
            () = self.serve(service) => {}
            () = begun.cancelled() => {}
        }
    }
}

/// What every connection shares.
#[derive(Debug, Clone)]
struct Shell {
    drain: Drain,
    begun: CancellationToken,
    front: Front,
    guests: Arc<Guests>,
    connections: TaskTracker,
    shortcut: Option<Arc<dyn Shortcut>>,
    uncopied: Uncopied,
    /// The service carries WebSockets.
    tunnels: bool,
}

impl Shell {
    /// Waits for the connections to end, or to be cut.
    async fn finish(&self) {
        self.connections.close();
        let cut = self.drain.cut();
        tokio::select! {
            () = self.connections.wait() => {}
            () = cut.cancelled() => {
                tracing::warn!(connections = self.connections.len(), "cut after the grace period");
            }
        }
    }
}
