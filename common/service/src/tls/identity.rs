//! A certificate chain with its key: from files, or made for development.

use super::names::Names;
use super::provider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use x509_parser::prelude::{ASN1Time, FromDer, GeneralName, X509Certificate};

/// Why a certificate and its key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {why}", .file.display())]
pub(crate) struct Unusable {
    /// True when the key's file is at fault, or does not belong to the certificate.
    pub(crate) key: bool,
    file: PathBuf,
    why: String,
}

/// A certificate chain with its key.
#[derive(Debug)]
pub(crate) struct Identity {
    /// For handshakes.
    pub(crate) certified: Arc<CertifiedKey>,
    /// What it is for.
    pub(crate) names: Names,
    /// From when and until when it is valid.
    pub(crate) validity: (SystemTime, SystemTime),
}

impl Identity {
    /// Reads PEM files.
    ///
    /// # Errors
    /// [`Unusable`]: a file cannot be read, or the key is not the certificate's.
    pub(crate) fn read(cert: &Path, key: &Path) -> Result<Self, Unusable> {
        let fault = |of_key, why: String| Unusable {
            key: of_key,
            file: if of_key { key.into() } else { cert.into() },
            why,
        };
        let chain = CertificateDer::pem_file_iter(cert)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|e| fault(false, e.to_string()))?;
        if chain.is_empty() {
            return Err(fault(false, "there is no certificate in it".into()));
        }
        let secret = PrivateKeyDer::from_pem_file(key).map_err(|e| fault(true, e.to_string()))?;
        let (names, validity) = described(&chain[0]).map_err(|why| fault(false, why))?;
        let certified = CertifiedKey::from_der(chain, secret, &provider())
            .map_err(|e| fault(true, format!("{e}: it is not the key of {}", cert.display())))?;
        Ok(Self { certified: Arc::new(certified), names, validity })
    }

    /// Makes a certificate that nobody else vouches for.
    ///
    /// # Errors
    /// What is wrong with the names.
    pub(crate) fn development(names: &[String]) -> Result<Self, String> {
        let made = rcgen::generate_simple_self_signed(names.to_vec()).map_err(|e| e.to_string())?;
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())?;
        let chain = vec![made.cert.der().clone()];
        let (names, validity) = described(&chain[0])?;
        let certified = CertifiedKey::from_der(chain, key, &provider()).map_err(|e| e.to_string())?;
        Ok(Self { certified: Arc::new(certified), names, validity })
    }
}

/// What a certificate is for, and when.
fn described(certificate: &CertificateDer<'_>) -> Result<(Names, (SystemTime, SystemTime)), String> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|e| e.to_string())?;
    let alternative = parsed.subject_alternative_name().map_err(|e| e.to_string())?;
    let listed = alternative.map_or(&[][..], |extension| &extension.value.general_names[..]);
    let dns = listed.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(*name),
        _ => None,
    });
    let addresses = listed.iter().filter_map(|name| match name {
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    });
    let at = |time: &ASN1Time| UNIX_EPOCH + Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0));
    let validity = parsed.validity();
    Ok((Names::new(dns, addresses), (at(&validity.not_before), at(&validity.not_after))))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from).or_else(v4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_read_with_its_names_and_a_mismatched_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, names: &[&str]| {
            let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
            let made = rcgen::generate_simple_self_signed(names).unwrap();
            let (cert, key) =
                (dir.path().join(format!("{name}.crt")), dir.path().join(format!("{name}.key")));
            std::fs::write(&cert, made.cert.pem()).unwrap();
            std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
            (cert, key)
        };
        let (cert, key) = write("a", &["a.example.org", "*.example.com", "127.0.0.1"]);
        let (_, other) = write("b", &["b.example.org"]);
        let read = Identity::read(&cert, &key).unwrap();
        for host in ["a.example.org", "x.example.com", "127.0.0.1"] {
            assert!(read.names.covers(host), "{host}");
        }
        assert!(Identity::read(&cert, &other).unwrap_err().key);
        std::fs::write(&cert, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        assert!(!Identity::read(&cert, &key).unwrap_err().key);
        std::fs::write(&cert, "").unwrap();
        assert!(!Identity::read(&cert, &key).unwrap_err().key);
    }
}
