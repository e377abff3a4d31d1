//! One certificate for all servers, which the driver trusts and no other.

use anyhow::Context;
use quinn::crypto::rustls::QuicClientConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The name in the certificate.
pub(crate) const NAME: &str = "localhost";

/// Receive window of a stream in HTTP/2 and HTTP/3: the largest object fits.
pub(crate) const STREAM_WINDOW: u32 = 2 << 20;
/// Receive window of a connection.
pub(crate) const CONNECTION_WINDOW: u32 = 16 << 20;

/// The certificate and its key, as files for the servers and as trust for the driver.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    trusted: CertificateDer<'static>,
}

impl Identity {
    /// Makes a new one in a folder.
    pub(crate) fn make(folder: &Path) -> anyhow::Result<Self> {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).context("making a certificate")?;
        let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        std::fs::write(&cert, made.cert.pem())?;
        std::fs::write(&key, made.signing_key.serialize_pem())?;
        Ok(Self { cert, key, trusted: made.cert.der().clone() })
    }

    /// The driver's side of TLS over TCP. Only AES-128-GCM is offered, so that every server ciphers alike.
    pub(crate) fn client(&self, alpn: &[u8]) -> anyhow::Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.trusted.clone())?;
        let provider = CryptoProvider {
            cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256],
            ..aws_lc_rs::default_provider()
        };
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        Ok(Arc::new(config))
    }

    /// The driver's side of QUIC.
    pub(crate) fn quic_client(&self) -> anyhow::Result<quinn::ClientConfig> {
        let tls = QuicClientConfig::try_from(self.client(b"h3")?)?;
        let mut transport = quinn::TransportConfig::default();
        transport
            .stream_receive_window(STREAM_WINDOW.into())
            .receive_window(CONNECTION_WINDOW.into())
            .max_idle_timeout(Some(Duration::from_secs(20).try_into()?));
        let mut config = quinn::ClientConfig::new(Arc::new(tls));
        config.transport_config(Arc::new(transport));
        Ok(config)
    }
}
