//! TLS of a listener: what is offered, and what a handshake settled.

use super::BindError;
use super::limits::SESSIONS;
use crate::acme::{self, Challenges};
use crate::config::{AcmeConfig, Challenge, TlsConfig};
use crate::tls::{Certificates, Clients, Identity, Reloads, host_of, provider};
use crate::{Drain, Metrics};
use prometheus::IntCounterVec;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache};
use rustls::{HandshakeKind, ServerConfig};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// What the TLS listeners of a server offer, TCP and QUIC alike.
#[derive(Clone)]
pub(super) struct Offer {
    certificates: Arc<Certificates>,
    /// Absent where anybody may come.
    clients: Option<Arc<Clients>>,
    acme: AcmeConfig,
}

impl Offer {
    /// Reads what the configuration names.
    pub(super) fn load(config: &TlsConfig, metrics: &Metrics) -> Result<Self, BindError> {
        let reloads = Reloads::of_server(metrics);
        let certificates =
            Certificates::load(config, &reloads).map_err(|(key, why)| BindError::Certificate { key, why })?;
        let clients = config.client_ca.as_ref().map(|file| Clients::load(file, &reloads)).transpose();
        let clients = clients.map_err(|why| BindError::Certificate { key: "tls.client_ca", why })?;
        Ok(Self {
            certificates: Arc::new(certificates),
            clients: clients.map(Arc::new),
            acme: config.acme.clone(),
        })
    }

    /// Has files that change read anew, and a certificate ordered where that is wanted.
    pub(super) fn watch(&self, drain: &Drain, metrics: &Metrics) -> Result<(), BindError> {
        let certificates: Arc<Certificates> = Arc::clone(&self.certificates);
        crate::tls::watch(certificates, drain).map_err(BindError::Signal)?;
        if let Some(clients) = &self.clients {
            let clients: Arc<Clients> = Arc::clone(clients);
            crate::tls::watch(clients, drain).map_err(BindError::Signal)?;
        }
        if self.acme.directory.is_some() {
            let challenges = self.certificates.challenges();
            acme::start(&self.acme, &self.certificates, challenges, drain, metrics)
                .map_err(|(key, why)| BindError::Certificate { key, why })?;
        }
        Ok(())
    }

    /// A server's configuration that offers these protocols (ALPN), TLS 1.2 and 1.3, with forward secrecy and
    /// authenticated ciphers alone: the library has no others. Sessions are remembered, and resumed once.
    pub(super) fn server(&self, protocols: &[&[u8]]) -> Result<ServerConfig, BindError> {
        let certificates: Arc<Certificates> = Arc::clone(&self.certificates);
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(fault)?;
        let mut config = match &self.clients {
            Some(clients) => {
                let clients: Arc<Clients> = Arc::clone(clients);
                builder.with_client_cert_verifier(clients)
            }
            None => builder.with_no_client_auth(),
        }
        .with_cert_resolver(certificates);
        config.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
        if self.is_open() {
            config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        } else {
            // A resumed session would outlive the authority that vouched for its client.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(config)
    }

    /// Questions of an authority over HTTP, where some may come.
    pub(super) fn challenges(&self) -> Option<Arc<Challenges>> {
        let over_http = self.acme.directory.is_some() && self.acme.challenge == Challenge::Http01;
        over_http.then(|| Arc::clone(self.certificates.challenges()))
    }

    /// True when clients show no certificate.
    fn is_open(&self) -> bool {
        self.clients.is_none()
    }

    /// What a handshake asked for, as far as requests are judged by it. Nodes that have shown a certificate ask for a
    /// node by its name, and for its clients' hosts.
    pub(super) fn asked(&self, name: Option<&str>) -> Option<Arc<Asked>> {
        let name = name.filter(|_| self.is_open())?;
        Some(Arc::new(Asked { name: name.into(), identity: self.certificates.choose(Some(name)) }))
    }
}

/// TLS of a TCP listener.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) acceptor: TlsAcceptor,
    pub(super) offer: Offer,
}

impl Tls {
    /// HTTP/1.1 and HTTP/2. Sessions are resumed by tickets, whose keys rotate every six hours and are never stored.
    pub(super) fn new(offer: &Offer) -> Result<Self, BindError> {
        let mut config = offer.server(&[b"h2", b"http/1.1"])?;
        if offer.acme.directory.is_some() && offer.acme.challenge == Challenge::TlsAlpn01 {
            config.alpn_protocols.push(acme::ALPN.to_vec());
        }
        if offer.is_open() {
            config.ticketer = Ticketer::new().map_err(fault)?;
        }
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), offer: offer.clone() })
    }
}

fn fault(error: rustls::Error) -> BindError {
    BindError::Certificate { key: "tls.cert", why: error.to_string() }
}

/// Counts handshakes.
#[derive(Debug, Clone)]
pub(super) struct Handshakes(IntCounterVec);

/// How a handshake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handshake {
    Full,
    Resumed,
    Failed,
    Late,
}

impl Handshake {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Resumed => "resumed",
            Self::Failed => "failed",
            Self::Late => "late",
        }
    }
}

impl From<Option<HandshakeKind>> for Handshake {
    fn from(kind: Option<HandshakeKind>) -> Self {
        if kind == Some(HandshakeKind::Resumed) { Self::Resumed } else { Self::Full }
    }
}

impl Handshakes {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self(metrics.counters(
            "sluice_tls_handshakes_total",
            "TLS handshakes over TCP by result",
            &["result"],
        ))
    }

    pub(super) fn count(&self, ended: Handshake) {
        self.0.with_label_values(&[ended.as_str()]).inc();
    }
}

/// The name that a client asked for in its handshake, and the certificate that it got.
#[derive(Debug)]
pub(super) struct Asked {
    name: String,
    identity: Arc<Identity>,
}

impl Asked {
    /// True when a request for this authority may come over the connection: it is for the name that was asked for, or
    /// for another of the certificate's (RFC 9110 section 7.4, RFC 9113 section 9.1.1).
    pub(super) fn is_for(&self, authority: &str) -> bool {
        let host = host_of(authority);
        self.name.eq_ignore_ascii_case(host) || self.identity.names.covers(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_for_the_name_asked_and_the_certificate_s_others() {
        let identity = Arc::new(Identity::development(&["a.example".into(), "127.0.0.1".into()]).unwrap());
        let asked = Asked { name: "b.example".into(), identity };
        for authority in ["B.example:8443", "a.example", "127.0.0.1:1"] {
            assert!(asked.is_for(authority), "{authority}");
        }
        for authority in ["c.example", "127.0.0.2", "", "b.example.evil"] {
            assert!(!asked.is_for(authority), "{authority}");
        }
    }
}
