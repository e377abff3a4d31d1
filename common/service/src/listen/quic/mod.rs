//! HTTP/3 (RFC 9114) over QUIC.
//!
//! This file is the door: how QUIC is spoken, who is let in, and how the port goes to the next process. `conversation` is
//! a connection from its first request to its leave, `exchange` one request and its answer.

mod conversation;
mod exchange;

use super::bind::Udp;
use super::early;
use super::limits::{
    LAST_REQUEST, MAX_CONNECTIONS, MAX_STREAMS, QUIC_IDLE, QUIC_SEND, QUIC_WINDOW, STREAM_WINDOW,
};
use super::port::{Elder, Ids, Port, Relayed};
use super::tls::Offer;
use super::{BindError, Protocol, Shell};
use crate::{HttpRequest, HttpResponse};
use conversation::converse;
use quinn::Runtime;
use quinn::crypto::rustls::{HandshakeData, QuicServerConfig};
use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tower::Service;

/// How QUIC is spoken.
pub(super) fn config(offer: &Offer, early: bool) -> Result<quinn::ServerConfig, BindError> {
    let fault = |why: String| BindError::Certificate { key: "tls.cert", why };
    let mut tls = offer.server(&[b"h3"])?;
    if early {
        // Sessions are remembered here and resumed once: early data is not taken a second time. QUIC knows no other
        // size (RFC 9001 section 4.6.1).
        tls.max_early_data_size = u32::MAX;
    }
    let tls = QuicServerConfig::try_from(tls).map_err(|e| fault(e.to_string()))?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(tls));
    let mut transport = quinn::TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(MAX_STREAMS.into())
        .stream_receive_window(STREAM_WINDOW.into())
        .receive_window(QUIC_WINDOW.into())
        .send_window(QUIC_SEND.into())
        .max_idle_timeout(quinn::IdleTimeout::try_from(QUIC_IDLE).ok());
    // A connection stays where it began: whoever has one could have another address sent 50 times what it sends in that
    // one's name. A client whose network changes opens another (`disable_active_migration`).
    config.transport_config(Arc::new(transport)).migration(false);
    Ok(config)
}

/// Waits until the process that this one took over from reads nothing from the port any more.
async fn freed(released: OwnedFd) {
    let Ok(mut pipe) = Receiver::from_file(File::from(released)) else { return };
    // Nothing is ever written to it: a read ends with the other side.
    drop(pipe.read(&mut [0]).await);
}

/// Accepts on a port until the drain begins, from when it is free on.
pub(super) async fn accept<S>(udp: Udp, service: S, shell: Shell)
where
    S: Service<HttpRequest, Response = HttpResponse, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let (drain, begun) = (shell.drain.clone(), shell.drain.token());
    let Udp { socket, config, offer, early, ids, elders, relayed, released } = udp;
    let free = async {
        if let Some(released) = released {
            freed(released).await;
            tracing::info!(elders = elders.len(), "HTTP/3 is served here from now on");
        }
        true
    };
    let free = tokio::select! {
        free = free => free,
        () = begun.cancelled() => false,
    };
    if free {
        match open(socket, config, ids, elders, relayed) {
            Ok((endpoint, port)) => {
                let unproven = Arc::new(());
                let door = Door { endpoint, offer, takes_early: early, unproven, service, shell };
                door.keep(&port).await;
            }
            Err(error) => tracing::error!(%error, "the UDP port cannot be served: no HTTP/3"),
        }
    }
    drain.udp_free().cancel();
}

fn open(
    socket: UdpSocket,
    config: quinn::ServerConfig,
    ids: Ids,
    elders: Vec<Elder>,
    relayed: Relayed,
) -> io::Result<(quinn::Endpoint, Arc<Port>)> {
    let runtime = Arc::new(quinn::TokioRuntime);
    let port = Arc::new(Port::new(runtime.wrap_udp_socket(socket)?, ids, elders, relayed)?);
    let mut of_endpoint = quinn::EndpointConfig::default();
    of_endpoint.cid_generator(move || Box::new(ids));
    let socket: Arc<Port> = Arc::clone(&port);
    let endpoint = quinn::Endpoint::new_with_abstract_socket(of_endpoint, Some(config), socket, runtime)?;
    Ok((endpoint, port))
}

/// Where QUIC connections come in.
struct Door<S> {
    endpoint: quinn::Endpoint,
    offer: Offer,
    takes_early: bool,
    /// As many clients have not shown where they are as there are clones of it, beside this one.
    unproven: Arc<()>,
    service: S,
    shell: Shell,
}

impl<S> Door<S>
where
    S: Service<HttpRequest, Response = HttpResponse, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    /// Accepts until the drain begins, and waits for what was accepted.
    async fn keep(mut self, port: &Port) {
        let (begun, cut) = (self.shell.drain.token(), self.shell.drain.cut());
        self.accept_until(begun.cancelled()).await;
        if let Some(line) = self.shell.drain.take_line() {
            match port.hand_over(line) {
                Ok(()) => {
                    self.shell.drain.udp_free().cancel();
                    // Those who came before, and those who were told to come twice.
                    self.accept_until(tokio::time::sleep(LAST_REQUEST)).await;
                }
                Err(error) => {
                    tracing::error!(%error, "HTTP/3 connections cannot outlive the takeover");
                    self.endpoint.close(0u32.into(), b"draining");
                }
            }
        }
        // Whoever comes now is better told at once: it comes back over TCP, or a moment later.
        self.endpoint.set_server_config(None);
        // The socket lives on in this task until the connections have ended.
        tokio::select! {
            () = self.endpoint.wait_idle() => {}
            () = cut.cancelled() => self.endpoint.close(0u32.into(), b"draining"),
        }
    }

    async fn accept_until(&mut self, end: impl Future<Output = ()>) {
        let mut end = pin!(end);
        loop {
            let incoming = tokio::select! {
                incoming = self.endpoint.accept() => incoming,
                () = end.as_mut() => return,
            };
            match incoming {
                Some(incoming) => self.let_in(incoming),
                None => return,
            }
        }
    }

    fn let_in(&mut self, incoming: quinn::Incoming) {
        if self.endpoint.open_connections() >= MAX_CONNECTIONS {
            return incoming.refuse();
        }
        // While many handshakes wait for clients that may not be where they say, a further one must come twice (RFC 9000
        // section 8.1.2): nothing is kept for it until it has.
        let proven = incoming.remote_address_validated();
        let unproven = Arc::strong_count(&self.unproven);
        if !proven && unproven > self.shell.front.limits.unproven_quic as usize {
            self.shell.guests.retried();
            if let Err(error) = incoming.retry() {
                error.into_incoming().refuse();
            }
            return;
        }
        let waiting = (!proven).then(|| Arc::clone(&self.unproven));
        let (service, shell, takes_early) = (self.service.clone(), self.shell.clone(), self.takes_early);
        let offer = self.offer.clone();
        self.shell.connections.spawn(async move {
            let addr = incoming.remote_address();
            let Some(_guest) = shell.guests.admit(addr.ip()) else {
                shell.guests.cut(Protocol::Http3, "too-many");
                return incoming.refuse();
            };
            let shaken = early::shake_hands(incoming, takes_early, &shell).await;
            drop(waiting);
            match shaken {
                Ok((connection, completion)) => {
                    let name = asked_name(&connection);
                    let asked = offer.asked(name.as_deref());
                    let shell = Shell { front: shell.front.asked(asked), ..shell };
                    converse(connection, completion, addr, service, shell).await;
                }
                Err(error) => tracing::debug!(error, %addr, "QUIC handshake failed"),
            }
        });
    }
}

/// The name that the client asked for in its handshake.
fn asked_name(connection: &quinn::Connection) -> Option<String> {
    connection.handshake_data()?.downcast::<HandshakeData>().ok()?.server_name
}
