//! The certificate: from files, or made for development.

use super::BindError;
use crate::config::TlsConfig;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;

/// The one cryptography library of the house.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// A certificate chain with its key.
pub(super) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads the configured files, or makes a development certificate.
    pub(super) fn load(config: &TlsConfig) -> Result<Self, BindError> {
        match (&config.cert, &config.key) {
            (Some(cert), Some(key)) => Self::from_files(cert, key),
            _ => Self::development(&config.names),
        }
    }

    fn from_files(cert: &Path, key: &Path) -> Result<Self, BindError> {
        let fault = |key, file: &Path, why: &dyn std::fmt::Display| BindError::Certificate {
            key,
            why: format!("{}: {why}", file.display()),
        };
        let chain = CertificateDer::pem_file_iter(cert)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|e| fault("tls.cert", cert, &e))?;
        if chain.is_empty() {
            return Err(fault("tls.cert", cert, &"there is no certificate in it"));
        }
        let secret = PrivateKeyDer::from_pem_file(key).map_err(|e| fault("tls.key", key, &e))?;
        Ok(Self { chain, key: secret })
    }

    fn development(names: &[String]) -> Result<Self, BindError> {
        let made = rcgen::generate_simple_self_signed(names.to_vec())
            .map_err(|e| BindError::Certificate { key: "tls.names", why: e.to_string() })?;
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())
            .map_err(|e| BindError::Certificate { key: "tls.names", why: e.into() })?;
        Ok(Self { chain: vec![made.cert.der().clone()], key })
    }

    /// A server's configuration that offers these protocols (ALPN), TLS 1.2 and 1.3.
    pub(super) fn server(&self, protocols: &[&[u8]]) -> Result<ServerConfig, BindError> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .and_then(|b| b.with_no_client_auth().with_single_cert(self.chain.clone(), self.key.clone_key()))
            .map_err(|e| BindError::Certificate { key: "tls.cert", why: e.to_string() })?;
        config.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
        Ok(config)
    }
}
