//! Clients that must show a certificate: whom a listener lets in.

use super::Reloads;
use super::roots;
use super::watch::Watched;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// Lets in clients with a certificate of the authorities in a file, which may change.
#[derive(Debug)]
pub(crate) struct Clients {
    file: PathBuf,
    now: RwLock<Arc<dyn ClientCertVerifier>>,
    reloads: Reloads,
}

impl Clients {
    /// Reads the authorities.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(crate) fn load(file: &Path, reloads: &Reloads) -> Result<Self, String> {
        let now = RwLock::new(read(file)?);
        Ok(Self { file: file.into(), now, reloads: reloads.clone() })
    }

    fn now(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn read(file: &Path) -> Result<Arc<dyn ClientCertVerifier>, String> {
    WebPkiClientVerifier::builder_with_provider(roots::of_file(file)?, super::provider())
        .build()
        .map_err(|e| format!("{}: {e}", file.display()))
}

impl Watched for Clients {
    fn files(&self) -> Vec<PathBuf> {
        vec![self.file.clone()]
    }

    fn reload(&self) {
        let result = read(&self.file);
        if let Some(now) = self.reloads.told("authorities of clients", result) {
            *self.now.write().unwrap_or_else(PoisonError::into_inner) = now;
        }
    }
}

impl ClientCertVerifier for Clients {
    /// None: clients have one certificate to show, and the authorities may change.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.now().verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.now().verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.now().verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.now().supported_verify_schemes()
    }
}
