//! Who is asked about names.

use super::config::DnsConfig;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, Record, RecordType};
use hickory_resolver::{Hosts, TokioResolver};
use std::net::IpAddr;
use std::time::Duration;

/// Time for one try of one server, and tries.
const TRY: (Duration, usize) = (Duration::from_millis(1_500), 2);
/// How long what the machine itself says counts: it tells no times to live.
const OF_MACHINE: Duration = Duration::from_secs(10);

/// What a name has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) ttl: Duration,
    /// The machine's operator has written it (a hosts file), and not whom a name belongs to.
    pub(super) of_operator: bool,
}

/// Why there is no answer that may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The name does not exist, or has no addresses.
    Absent,
    /// No server gave an answer that can be read.
    Failed,
    /// None gave one in time.
    Late,
    /// It leads where it may not.
    Internal,
}

impl Failure {
    /// The label in metrics.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Failed => "failed",
            Self::Late => "late",
            Self::Internal => "internal",
        }
    }
}

/// Who is asked.
pub(super) enum Engine {
    /// DNS servers, after the machine's hosts file.
    Dns(Box<TokioResolver>, Box<Hosts>),
    /// The machine's own resolver, where it names no servers.
    Machine,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Dns(..) => "Dns",
            Self::Machine => "Machine",
        })
    }
}

impl Engine {
    pub(super) fn new(config: &DnsConfig) -> Self {
        let builder = if config.servers.is_empty() {
            TokioResolver::builder_tokio()
        } else {
            let servers = config.servers.iter().map(|at| {
                let mut ways = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
                ways.iter_mut().for_each(|way| way.port = at.port());
                NameServerConfig::new(at.ip(), true, ways.into())
            });
            let config = ResolverConfig::from_name_servers(servers.collect());
            Ok(TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()))
        };
        let resolver = builder.and_then(|mut builder| {
            tune(builder.options_mut());
            builder.build()
        });
        match resolver {
            Ok(resolver) => Self::Dns(Box::new(resolver), Box::new(Hosts::from_system().unwrap_or_default())),
            Err(error) => {
                tracing::info!(%error, "no DNS servers are named: the system resolves names");
                Self::Machine
            }
        }
    }

    pub(super) async fn ask(&self, name: &str) -> Result<Answer, Failure> {
        match self {
            Self::Dns(resolver, hosts) => match written(hosts, name) {
                Some(answer) => Ok(answer),
                None => of_servers(resolver, name).await,
            },
            Self::Machine => of_machine(name).await,
        }
    }
}

/// What is held, and for how long, is not this library's matter here; nor is the hosts file, whose answers mean more.
fn tune(options: &mut ResolverOpts) {
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.try_tcp_on_error = true;
    (options.timeout, options.attempts) = TRY;
}

/// What a hosts file says.
fn written(hosts: &Hosts, name: &str) -> Option<Answer> {
    let name = Name::from_utf8(name).ok()?;
    let of = |kind| hosts.lookup_static_host(&Query::query(name.clone(), kind));
    let found = [of(RecordType::A), of(RecordType::AAAA)];
    let addresses: Vec<IpAddr> =
        found.iter().flatten().flat_map(|found| found.answers()).filter_map(address).collect();
    (!addresses.is_empty()).then_some(Answer { addresses, ttl: OF_MACHINE, of_operator: true })
}

async fn of_servers(resolver: &TokioResolver, name: &str) -> Result<Answer, Failure> {
    let found = resolver.lookup_ip(name).await.map_err(|error| match error {
        error if error.is_no_records_found() => Failure::Absent,
        NetError::Timeout => Failure::Late,
        error => {
            tracing::debug!(name, %error, "DNS");
            Failure::Failed
        }
    })?;
    let records = found.as_lookup().answers();
    // Of all that led to the addresses, names that stand for others among it, the shortest time counts.
    let ttl = records.iter().map(|record| record.ttl).min().unwrap_or_default();
    let addresses = records.iter().filter_map(address).collect();
    Ok(Answer { addresses, ttl: Duration::from_secs(ttl.into()), of_operator: false })
}

fn address(record: &Record) -> Option<IpAddr> {
    record.data.ip_addr()
}

async fn of_machine(name: &str) -> Result<Answer, Failure> {
    let found = tokio::net::lookup_host((name, 0)).await.map_err(|_| Failure::Failed)?;
    Ok(Answer { addresses: found.map(|at| at.ip()).collect(), ttl: OF_MACHINE, of_operator: false })
}
