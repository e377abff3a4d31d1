//! What a server is told of ordering certificates itself.

use super::Faults;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How an authority sees that a name is ours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Challenge {
    /// By a handshake on port 443, which must lead to `listen.https` (RFC 8737).
    #[default]
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
    /// By a request on port 80, which must lead to `listen.http` (RFC 8555 section 8.3).
    #[serde(rename = "http-01")]
    Http01,
}

/// Certificates by ACME (RFC 8555). With a directory, one for all names is ordered, and renewed after two thirds of its
/// life; the terms of the authority are agreed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AcmeConfig {
    /// URL of the authority's directory; none is asked when absent.
    pub directory: Option<String>,
    /// Whom the authority may write to, such as `mailto:ops@example.org`.
    pub contact: Vec<String>,
    /// DNS names of the certificate.
    pub names: Vec<String>,
    /// Folder for the account's key and the certificate, made when missing; each server has its own.
    pub state_dir: PathBuf,
    /// How the authority sees that the names are ours: `tls-alpn-01` or `http-01`.
    pub challenge: Challenge,
    /// PEM file of the authorities that the directory's own certificate may be of, in place of the system's.
    pub ca: Option<PathBuf>,
}

impl Default for AcmeConfig {
    fn default() -> Self {
        Self {
            directory: None,
            contact: vec![],
            names: vec![],
            state_dir: "var/acme".into(),
            challenge: Challenge::default(),
            ca: None,
        }
    }
}

impl AcmeConfig {
    pub(super) fn validate(&self, faults: &mut Faults) {
        let Some(directory) = &self.directory else { return };
        if !directory.starts_with("https://") {
            faults.add("tls.acme.directory", format!("{directory} is no https:// address"));
        }
        if self.names.is_empty() {
            faults.add("tls.acme.names", "name what the certificate is to be for");
        }
        for name in &self.names {
            if name.contains('*') || name.parse::<std::net::IpAddr>().is_ok() || !name.is_ascii() {
                faults
                    .add("tls.acme.names", format!("{name} cannot be shown to be ours; use plain DNS names"));
            }
        }
        for contact in self.contact.iter().filter(|contact| !contact.contains(':')) {
            faults.add("tls.acme.contact", format!("{contact} is no URL; write mailto:{contact}"));
        }
        super::tls::files(&[("tls.acme.ca", &self.ca)], faults);
    }
}
