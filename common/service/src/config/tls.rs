//! What a server is told of its certificates.

use super::{AcmeConfig, Challenge, Faults};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The certificates: `cert` with `key`, and the pairs of a folder, chosen by the name that a client asks for. Files may
/// change while the server runs. Without any a development certificate is made at each start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// PEM file of the certificate chain for clients that ask for no name, or for one that no other certificate has.
    pub cert: Option<PathBuf>,
    /// PEM file of its private key.
    pub key: Option<PathBuf>,
    /// Folder of further certificates: `NAME.crt` with `NAME.key`, PEM each. The names are the certificates' own;
    /// `default.crt` stands in for `cert`.
    pub dir: Option<PathBuf>,
    /// PEM file of authorities: every client of `listen.https` must show a certificate of theirs, as edges do to a shield.
    pub client_ca: Option<PathBuf>,
    /// Answers what HTTP/3 clients ask in early data (0-RTT) when it is a GET, HEAD or OPTIONS without a body; parents are
    /// told by `Early-Data: 1`. Other requests wait for the handshake's end.
    pub early_data: bool,
    /// A certificate that the server orders itself; it stands in for `cert` where there is no other.
    pub acme: AcmeConfig,
    /// Names of the development certificate.
    pub names: Vec<String>,
}

impl Default for TlsConfig {
    fn default() -> Self {
        let names = vec!["localhost".into(), "127.0.0.1".into()];
        Self {
            cert: None,
            key: None,
            dir: None,
            client_ca: None,
            early_data: false,
            acme: AcmeConfig::default(),
            names,
        }
    }
}

impl TlsConfig {
    pub(super) fn validate(&self, faults: &mut Faults) {
        if self.cert.is_some() != self.key.is_some() {
            let pair = "and tls.key go together: name both, or neither for a development certificate";
            faults.add("tls.cert", pair);
        }
        files(
            &[("tls.cert", &self.cert), ("tls.key", &self.key), ("tls.client_ca", &self.client_ca)],
            faults,
        );
        if self.early_data && self.client_ca.is_some() {
            faults.add(
                "tls.early_data",
                "cannot be beside tls.client_ca: nobody has shown a certificate so early",
            );
        }
        self.acme.validate(faults);
        let by_handshake = self.acme.directory.is_some() && self.acme.challenge == Challenge::TlsAlpn01;
        if by_handshake && self.client_ca.is_some() {
            let why = "cannot be tls-alpn-01 beside tls.client_ca: the authority shows no certificate; choose http-01";
            faults.add("tls.acme.challenge", why);
        }
        if let Some(dir) = self.dir.as_ref().filter(|dir| !dir.is_dir()) {
            faults.add("tls.dir", format!("{} is no folder", dir.display()));
        }
    }
}

/// How other nodes and origins are asked over TLS, where their URLs begin with `https://`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PeerTlsConfig {
    /// PEM file of the authorities that are trusted, in place of the system's.
    pub ca: Option<PathBuf>,
    /// PEM file of the certificate chain that is shown to who demands one.
    pub cert: Option<PathBuf>,
    /// PEM file of its private key.
    pub key: Option<PathBuf>,
}

impl PeerTlsConfig {
    /// Adds what is wrong with it.
    pub fn validate(&self, faults: &mut Faults) {
        if self.cert.is_some() != self.key.is_some() {
            faults.add("peer_tls.cert", "and peer_tls.key go together: name both or neither");
        }
        files(
            &[("peer_tls.ca", &self.ca), ("peer_tls.cert", &self.cert), ("peer_tls.key", &self.key)],
            faults,
        );
    }
}

pub(super) fn files(named: &[(&str, &Option<PathBuf>)], faults: &mut Faults) {
    for (key, file) in named {
        if let Some(file) = file.as_ref().filter(|f| !f.is_file()) {
            faults.add(key, format!("{} is no file", file.display()));
        }
    }
}
