//! Configuration: a file, then `SLUICE_*` variables, then flags; later layers win.
//!
//! A key is a dotted path such as `listen.http`. In the environment it is `SLUICE_LISTEN__HTTP`, as a flag
//! `--listen.http`. Every leaf of the component's default configuration is a key; any other is refused.

mod acme;
mod changes;
mod keys;
mod layers;
mod limits;
mod tls;

pub use acme::{AcmeConfig, Challenge};
pub(crate) use changes::{changed_keys, is_live};
pub use limits::LimitsConfig;
pub use tls::{PeerTlsConfig, TlsConfig};

use ipnet::IpNet;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where a server listens. Port 0 takes any free port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListenConfig {
    /// HTTP/1.1 and HTTP/2 without TLS.
    pub http: Option<SocketAddr>,
    /// HTTP/1.1 and HTTP/2 over TLS.
    pub https: Option<SocketAddr>,
    /// HTTP/3 on the UDP port of `https`.
    pub h3: bool,
    /// Metrics and health.
    pub admin: Option<SocketAddr>,
    /// Networks of balancers in front, such as `10.0.0.0/8`: each connection from there to `http` and `https` must begin with
    /// a header of the PROXY protocol, which tells the client. Those from elsewhere begin without.
    pub proxy_protocol: Vec<IpNet>,
    /// A file that gets the addresses as JSON once the server serves.
    pub announce: Option<PathBuf>,
    /// What it bears from clients.
    pub limits: LimitsConfig,
}

impl ListenConfig {
    /// Only a plain and an admin listener, both on free ports of loopback.
    #[must_use]
    pub fn loopback() -> Self {
        let any = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        Self {
            http: any,
            https: None,
            h3: false,
            admin: any,
            proxy_protocol: vec![],
            announce: None,
            limits: LimitsConfig::default(),
        }
    }
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self::loopback()
    }
}

/// What is logged, on standard error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// A tracing filter such as `info,sluice_edge=debug`.
    pub filter: String,
    /// True for one JSON object a line.
    pub json: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { filter: "info".into(), json: false }
    }
}

/// What every server is told, each of these a key of the component itself (`listen.http`, `drain_grace_ms`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerConfig {
    /// Where it listens.
    pub listen: ListenConfig,
    /// Its certificate.
    pub tls: TlsConfig,
    /// What it logs.
    pub log: LogConfig,
    /// Milliseconds to finish what is under way when told to end.
    pub drain_grace_ms: u64,
}

impl Default for ServerConfig {
    fn default() -> Self {
        let (listen, tls, log) = (ListenConfig::default(), TlsConfig::default(), LogConfig::default());
        Self { listen, tls, log, drain_grace_ms: 10_000 }
    }
}

/// A component's whole configuration. Its `Default` serialised is the list of its keys, and any other is refused: it
/// needs no `deny_unknown_fields`, which serde has not beside a flattened [`ServerConfig`].
pub trait ProcessConfig: Serialize + DeserializeOwned + Default + Clone + Send + 'static {
    /// What it is told as a server.
    fn server(&self) -> &ServerConfig;
    /// Adds what is wrong with values that have the right type.
    fn validate(&self, faults: &mut Faults);

    /// Keys that may change while the server serves, beside those of every server: whole keys (`cache.negative_ms`), or
    /// sections with their dot (`streams.`).
    #[must_use]
    fn live_keys() -> &'static [&'static str] {
        &[]
    }
}

/// Everything found wrong, each with where it came from and what would mend it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Faults(Vec<String>);

impl Faults {
    /// Adds a fault of a key: what is wrong and how to mend it.
    pub fn add(&mut self, key: &str, what: impl AsRef<str>) {
        self.0.push(format!("{key}: {}", what.as_ref()));
    }

    pub(crate) fn add_from(&mut self, source: &str, key: &str, what: impl AsRef<str>) {
        self.0.push(format!("{source}: {key}: {}", what.as_ref()));
    }

    /// True when nothing is wrong.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One line a fault.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.0
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// `--help` or `--version`: print this and end well.
    #[error("{0}")]
    Shown(String),
    /// The command line cannot be read.
    #[error("{0}")]
    Usage(String),
    /// These must be mended first.
    #[error("the configuration has faults:\n  {}", .0.lines().join("\n  "))]
    Faults(Faults),
}

/// What the command line asked for.
#[derive(Debug, Clone)]
pub struct Loaded<C> {
    /// The configuration, without fault.
    pub config: C,
    /// True for `--check-config`: say that it is good, and end.
    pub check_only: bool,
}

/// Loads a component's configuration from its layers.
///
/// # Errors
/// [`ConfigError::Faults`] with all faults of all layers at once; nothing has been bound or opened yet.
pub fn load<C: ProcessConfig>(
    program: &'static str,
    args: impl Iterator<Item = OsString>,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Loaded<C>, ConfigError> {
    load_with(program, args, environment, |line| line).map(|(loaded, _)| loaded)
}

/// The same where the command line may have more than keys; beside it, what it had.
pub(crate) fn load_with<C: ProcessConfig>(
    program: &'static str,
    args: impl Iterator<Item = OsString>,
    environment: impl Iterator<Item = (String, String)>,
    with: impl FnOnce(clap::Command) -> clap::Command,
) -> Result<(Loaded<C>, clap::ArgMatches), ConfigError> {
    let keys = keys::Keys::of::<C>();
    let matches = with(keys.command(program)).try_get_matches_from(args).map_err(|error| {
        if error.use_stderr() {
            ConfigError::Usage(error.to_string())
        } else {
            ConfigError::Shown(error.to_string())
        }
    })?;
    let mut faults = Faults::default();
    let mut settings = vec![];
    if let Some(file) = matches.get_one::<PathBuf>("config") {
        settings.extend(layers::file(&keys, file, &mut faults));
    }
    settings.extend(layers::environment(&keys, environment, &mut faults));
    settings.extend(layers::flags(&keys, &matches));
    let config: C = layers::merge(&keys, settings, &mut faults);
    if faults.is_empty() {
        common_faults(&config, &mut faults);
        config.validate(&mut faults);
    }
    if faults.is_empty() {
        Ok((Loaded { config, check_only: matches.get_flag("check-config") }, matches))
    } else {
        Err(ConfigError::Faults(faults))
    }
}

fn common_faults<C: ProcessConfig>(config: &C, faults: &mut Faults) {
    let ServerConfig { listen, tls, log, .. } = config.server();
    listen.limits.validate(faults);
    if listen.h3 && listen.https.is_none() {
        faults.add("listen.h3", "needs listen.https, whose port it shares");
    }
    tls.validate(faults);
    if let Err(error) = log.filter.parse::<tracing_subscriber::EnvFilter>() {
        faults.add("log.filter", format!("{error}; write a level such as info, or target=level pairs"));
    }
}

#[cfg(test)]
mod tests;
