//! The certificates of a server: chosen by the name that a client asks for, changed while it runs.

use super::Reloads;
use super::identity::{Identity, Unusable};
use super::names::Index;
use super::watch::Watched;
use crate::acme::{self, Challenges};
use crate::config::TlsConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// Pairs of a folder; more are left out. A second's look at them takes a few milliseconds.
const MAX_PAIRS: usize = 1_000;
/// The pair of a folder that is chosen when no other is for a name.
const DEFAULT: &str = "default";

/// Why there are no certificates to begin with: the key at fault, and what is wrong.
pub(crate) type Fault = (&'static str, String);

/// The certificates in force.
#[derive(Debug)]
pub(crate) struct Certificates {
    sources: Sources,
    table: RwLock<Arc<Table>>,
    reloads: Reloads,
    /// Questions of an authority that are answered by certificates of their own.
    challenges: Arc<Challenges>,
}

/// Where certificates come from.
#[derive(Debug)]
struct Sources {
    pair: Option<Pair>,
    dir: Option<PathBuf>,
    /// What was ordered, chain and key in one.
    issued: Option<PathBuf>,
    /// Of the development certificate.
    names: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pair {
    cert: PathBuf,
    key: PathBuf,
}

/// Certificates at a time. The first is the default.
#[derive(Debug)]
struct Table {
    all: Vec<Arc<Identity>>,
    index: Index,
    /// Where each that came from files came from.
    read: HashMap<PathBuf, Arc<Identity>>,
}

impl Table {
    fn choose(&self, name: Option<&str>) -> &Arc<Identity> {
        &self.all[name.and_then(|name| self.index.find(name)).unwrap_or(0)]
    }
}

impl Certificates {
    /// Reads what the configuration names.
    ///
    /// # Errors
    /// Any pair that cannot be used, with the key that named it.
    pub(crate) fn load(config: &TlsConfig, reloads: &Reloads) -> Result<Self, Fault> {
        let pair = config.cert.clone().zip(config.key.clone()).map(|(cert, key)| Pair { cert, key });
        let acme = config.acme.directory.as_ref().map(|_| config.acme.state_dir.join(acme::CERTIFICATE));
        let sources = Sources { pair, dir: config.dir.clone(), issued: acme, names: config.names.clone() };
        let (read, faults) = sources.read();
        // What was ordered is ordered again when it cannot be used.
        let mut faults = faults.into_iter().filter(|(pair, _)| Some(&pair.cert) != sources.issued.as_ref());
        if let Some((pair, fault)) = faults.next() {
            let key = match (&sources.pair, fault.key) {
                (Some(named), true) if *named == pair => "tls.key",
                (Some(named), false) if *named == pair => "tls.cert",
                _ => "tls.dir",
            };
            return Err((key, fault.to_string()));
        }
        let table = sources.table(read, None)?;
        Ok(Self {
            sources,
            table: RwLock::new(Arc::new(table)),
            reloads: reloads.clone(),
            challenges: Arc::default(),
        })
    }

    /// The certificate that a client which asks for this name gets.
    pub(crate) fn choose(&self, name: Option<&str>) -> Arc<Identity> {
        Arc::clone(self.now().choose(name))
    }

    /// The one that was ordered, if it has been issued.
    pub(crate) fn issued(&self) -> Option<Arc<Identity>> {
        self.now().read.get(self.sources.issued.as_ref()?).cloned()
    }

    /// Questions of an authority.
    pub(crate) const fn challenges(&self) -> &Arc<Challenges> {
        &self.challenges
    }

    fn now(&self) -> Arc<Table> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Watched for Certificates {
    fn files(&self) -> Vec<PathBuf> {
        self.sources.pairs().into_iter().flat_map(|pair| [pair.cert, pair.key]).collect()
    }

    /// Reads everything again. A pair that cannot be used leaves the last good one of its files in force.
    fn reload(&self) {
        let (mut read, faults) = self.sources.read();
        let before = self.now();
        for (pair, fault) in faults {
            self.reloads.told::<(), _>("a certificate", Err(fault));
            if let Some(kept) = before.read.get(&pair.cert) {
                read.insert(pair.cert, Arc::clone(kept));
            }
        }
        let table = self.sources.table(read, Some(&before)).map_err(|(key, why)| format!("{key}: {why}"));
        if let Some(table) = self.reloads.told("certificates", table) {
            *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let answer = self.sources.issued.as_ref().and_then(|_| self.challenges.over_tls(&hello));
        answer.or_else(|| Some(Arc::clone(&self.now().choose(hello.server_name()).certified)))
    }
}

type Read = HashMap<PathBuf, Arc<Identity>>;

impl Sources {
    /// The pairs that there are, the configured one first, a folder's by name.
    fn pairs(&self) -> Vec<Pair> {
        let of_dir = self.dir.as_deref().map(pairs_in).unwrap_or_default();
        let issued = self.issued.iter().filter(|file| file.is_file());
        let issued = issued.map(|file| Pair { cert: file.clone(), key: file.clone() });
        self.pair.iter().cloned().chain(of_dir).chain(issued).collect()
    }

    fn read(&self) -> (Read, Vec<(Pair, Unusable)>) {
        let (mut read, mut faults) = (Read::new(), vec![]);
        for pair in self.pairs() {
            match Identity::read(&pair.cert, &pair.key) {
                Ok(identity) => drop(read.insert(pair.cert, Arc::new(identity))),
                Err(fault) => faults.push((pair, fault)),
            }
        }
        (read, faults)
    }

    /// The table of what was read: its default is the configured pair, else the folder's `default`, else what was ordered, else the
    /// development certificate, which lives as long as the process.
    fn table(&self, read: Read, before: Option<&Table>) -> Result<Table, Fault> {
        let mut all: Vec<Arc<Identity>> =
            self.pairs().iter().filter_map(|pair| read.get(&pair.cert).cloned()).collect();
        let of_dir = self.dir.as_ref().map(|dir| dir.join(format!("{DEFAULT}.crt")));
        let named = [self.pair.as_ref().map(|pair| &pair.cert), of_dir.as_ref(), self.issued.as_ref()];
        match named.into_iter().flatten().find_map(|cert| read.get(cert)) {
            Some(default) => all.insert(0, Arc::clone(default)),
            None => match before {
                Some(before) => all.insert(0, Arc::clone(&before.all[0])),
                None => {
                    let made = Identity::development(&self.names).map_err(|why| ("tls.names", why))?;
                    all.insert(0, Arc::new(made));
                }
            },
        }
        let index = Index::new(all.iter().map(|identity| &identity.names));
        Ok(Table { all, index, read })
    }
}

/// `NAME.crt` with `NAME.key`, for each name in a folder. What cannot be listed has none.
fn pairs_in(dir: &Path) -> Vec<Pair> {
    let Ok(entries) = std::fs::read_dir(dir) else { return vec![] };
    let certs = entries.filter_map(|entry| {
        let cert = entry.ok()?.path();
        cert.extension().is_some_and(|ending| ending == "crt").then_some(cert)
    });
    let sorted: BTreeMap<PathBuf, Pair> =
        certs.map(|cert| (cert.clone(), Pair { key: cert.with_extension("key"), cert })).collect();
    if sorted.len() > MAX_PAIRS {
        tracing::error!(dir = %dir.display(), MAX_PAIRS, "too many certificates; the last by name are left out");
    }
    sorted.into_values().take(MAX_PAIRS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, file: &str, name: &str) {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        std::fs::write(dir.join(format!("{file}.crt")), made.cert.pem()).unwrap();
        std::fs::write(dir.join(format!("{file}.key")), made.signing_key.serialize_pem()).unwrap();
    }

    fn load(dir: &Path) -> Result<Certificates, Fault> {
        let config = TlsConfig { dir: Some(dir.into()), ..TlsConfig::default() };
        Certificates::load(&config, &Reloads::of_server(&crate::Metrics::default()))
    }

    #[test]
    fn a_folder_is_read_anew_and_keeps_what_was_good() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "a", "a.example.org");
        write(dir.path(), "default", "rest.example.org");
        let certificates = load(dir.path()).unwrap();
        let chosen = |name: &str| certificates.choose(Some(name));
        let first = chosen("a.example.org");
        assert!(first.names.covers("a.example.org"));
        assert!(certificates.choose(None).names.covers("rest.example.org"));
        assert!(chosen("b.example.org").names.covers("rest.example.org"));

        write(dir.path(), "b", "b.example.org");
        std::fs::write(dir.path().join("a.crt"), "no certificate").unwrap();
        certificates.reload();
        assert!(chosen("b.example.org").names.covers("b.example.org"));
        assert!(Arc::ptr_eq(&chosen("a.example.org"), &first), "the last good one is kept");
        assert_eq!(certificates.reloads.count("refused"), 1);

        write(dir.path(), "a", "a.example.org");
        std::fs::remove_file(dir.path().join("b.crt")).unwrap();
        certificates.reload();
        assert!(!Arc::ptr_eq(&chosen("a.example.org"), &first));
        assert!(chosen("b.example.org").names.covers("rest.example.org"), "a removed one is gone");
    }

    #[test]
    fn what_is_wrong_at_the_start_is_told_with_its_key() {
        let dir = tempfile::tempdir().unwrap();
        assert!(load(dir.path()).unwrap().choose(None).names.covers("localhost"));
        write(dir.path(), "a", "a.example.org");
        std::fs::remove_file(dir.path().join("a.key")).unwrap();
        assert_eq!(load(dir.path()).unwrap_err().0, "tls.dir");
    }
}
