//! Authorities: of a file, or the system's.

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::path::Path;
use std::sync::Arc;

/// Those of a PEM file, at least one.
///
/// # Errors
/// What is wrong with the file.
pub(super) fn of_file(file: &Path) -> Result<Arc<RootCertStore>, String> {
    let fault = |why: &dyn std::fmt::Display| format!("{}: {why}", file.display());
    let certificates = CertificateDer::pem_file_iter(file).map_err(|e| fault(&e))?;
    let mut store = RootCertStore::empty();
    for certificate in certificates {
        store.add(certificate.map_err(|e| fault(&e))?).map_err(|e| fault(&e))?;
    }
    if store.is_empty() { Err(fault(&"there is no certificate in it")) } else { Ok(Arc::new(store)) }
}

/// Those that the system trusts.
///
/// # Errors
/// It has none.
pub(super) fn of_system() -> Result<Arc<RootCertStore>, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    let (taken, _) = store.add_parsable_certificates(found.certs);
    if taken == 0 { Err("the system trusts no authority; name a file".into()) } else { Ok(Arc::new(store)) }
}
