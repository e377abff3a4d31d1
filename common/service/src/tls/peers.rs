//! The client's side: questions to other nodes and to origins over TLS.

use super::identity::Identity;
use super::watch::Watched;
use super::{Reloads, provider, roots, watch};
use crate::config::PeerTlsConfig;
use crate::{Drain, Metrics};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

/// The configuration of TLS clients as the keys have it; files may change while it is in use.
///
/// # Errors
/// The key at fault and what is wrong with it.
pub fn peer_tls(config: &PeerTlsConfig, drain: &Drain, metrics: &Metrics) -> Result<ClientConfig, String> {
    let peers = Arc::new(Peers::load(config, Reloads::of_peers(metrics))?);
    if !peers.files().is_empty() {
        let watched: Arc<Peers> = Arc::clone(&peers);
        watch(watched, drain).map_err(|e| format!("signals: {e}"))?;
    }
    client(peers)
}

/// The configuration of a client that asks an authority's directory: it trusts those of the file, or the system's.
///
/// # Errors
/// What is wrong with the file.
pub(crate) fn acme_client(ca: Option<&PathBuf>) -> Result<ClientConfig, String> {
    let config = PeerTlsConfig { ca: ca.cloned(), ..PeerTlsConfig::default() };
    client(Arc::new(Peers::load(&config, Reloads::of_peers(&Metrics::default()))?))
}

fn client(peers: Arc<Peers>) -> Result<ClientConfig, String> {
    let identity: Arc<Peers> = Arc::clone(&peers);
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .dangerous()
        // Ours hands over to the library's verifier; it only lets the authorities change.
        .with_custom_certificate_verifier(peers)
        .with_client_cert_resolver(identity))
}

type Verifier = Arc<dyn ServerCertVerifier>;

/// Whom questions are put to, and what is shown to them.
#[derive(Debug)]
struct Peers {
    config: PeerTlsConfig,
    /// Absent until it is first needed when it is the system's authorities, of which there are many.
    verifier: RwLock<Option<Verifier>>,
    own: RwLock<Option<Arc<CertifiedKey>>>,
    reloads: Reloads,
}

impl Peers {
    fn load(config: &PeerTlsConfig, reloads: Reloads) -> Result<Self, String> {
        let verifier = config.ca.as_ref().map(|_| verifier(config)).transpose()?;
        let (verifier, own) = (RwLock::new(verifier), RwLock::new(own(config)?));
        Ok(Self { config: config.clone(), verifier, own, reloads })
    }

    fn verifier(&self) -> Result<Verifier, Error> {
        if let Some(verifier) = &*self.verifier.read().unwrap_or_else(PoisonError::into_inner) {
            return Ok(Arc::clone(verifier));
        }
        let made = verifier(&self.config).map_err(Error::General)?;
        let mut place = self.verifier.write().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(place.get_or_insert(made)))
    }
}

fn verifier(config: &PeerTlsConfig) -> Result<Verifier, String> {
    let fault = |why: String| format!("peer_tls.ca: {why}");
    let roots = match &config.ca {
        Some(file) => roots::of_file(file),
        None => roots::of_system(),
    };
    let made = WebPkiServerVerifier::builder_with_provider(roots.map_err(fault)?, provider()).build();
    Ok(made.map_err(|e| fault(e.to_string()))?)
}

fn own(config: &PeerTlsConfig) -> Result<Option<Arc<CertifiedKey>>, String> {
    let Some((cert, key)) = config.cert.as_ref().zip(config.key.as_ref()) else { return Ok(None) };
    let read = Identity::read(cert, key)
        .map_err(|fault| format!("peer_tls.{}: {fault}", if fault.key { "key" } else { "cert" }))?;
    Ok(Some(read.certified))
}

impl Watched for Peers {
    fn files(&self) -> Vec<PathBuf> {
        let PeerTlsConfig { ca, cert, key } = &self.config;
        [ca, cert, key].into_iter().flatten().cloned().collect()
    }

    fn reload(&self) {
        if self.config.ca.is_some()
            && let Some(verifier) = self.reloads.told("authorities of peers", verifier(&self.config))
        {
            *self.verifier.write().unwrap_or_else(PoisonError::into_inner) = Some(verifier);
        }
        if self.config.cert.is_some()
            && let Some(own) = self.reloads.told("the certificate shown to peers", own(&self.config))
        {
            *self.own.write().unwrap_or_else(PoisonError::into_inner) = own;
        }
    }
}

impl ResolvesClientCert for Peers {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.own.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn has_certs(&self) -> bool {
        self.config.cert.is_some()
    }
}

impl ServerCertVerifier for Peers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verifier()?.verify_server_cert(end_entity, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier()?.verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier()?.verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
