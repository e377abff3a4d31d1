//! Tenants: whose answers are kept apart from whose, though their paths be the same.
//!
//! - `name`: the one spelling of a request's authority, and of a tenant; pure
//! - `config`: hosts that are one tenant
//!
//! The hosts of the fleet itself are one tenant: media are the same at every edge, and a client comes to one by its
//! name, its address or a redirect. Any other host is a tenant of its own, by scheme, name and port as RFC 9110 section
//! 4.2.3 compares them. The first tier decides, and tells the next one.

mod config;
mod name;

pub use config::TenantConfig;
pub(crate) use config::faults;
pub(crate) use name::{Tenant, seed_of, split};

use arc_swap::ArcSwap;
use name::authority;
use sluice_wire::RouteTable;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// Hosts that a thread remembers the tenants of. A busy edge serves few hosts at a time; others cost a lookup.
const REMEMBERED: usize = 16;

/// Former tenants of hosts that are remembered: a few reloads of the longest list.
const MAX_FORMER: usize = 1 << 20;

/// Numbers for states of what is known, so that no two are mistaken for one another.
static STATES: AtomicU64 = AtomicU64::new(1);

/// A host as it was asked for, and whose it is.
struct Memo {
    state: u64,
    secure: bool,
    host: Box<str>,
    tenant: Tenant,
}

thread_local! {
    static MEMOS: RefCell<[Option<Memo>; REMEMBERED]> = const { RefCell::new([const { None }; REMEMBERED]) };
}

/// Whose host is whose.
#[derive(Debug)]
pub(crate) struct Tenants {
    configured: ArcSwap<Configured>,
    /// Tenants that a host was named for in earlier configurations of this process, whose answers may still be kept.
    former: RwLock<HashMap<String, Vec<Tenant>>>,
    /// Ports this edge listens on: an address or `localhost` with one of them is this edge.
    ports: Vec<u16>,
    /// This edge's own names, whatever the table says.
    own: HashSet<String>,
    /// Names of every edge in the route table.
    fleet: RwLock<HashSet<String>>,
    state: AtomicU64,
}

/// What the configuration says.
#[derive(Debug)]
struct Configured {
    /// Configured hosts.
    named: HashMap<String, Tenant>,
    /// What a parent is asked under, by tenant: a configured tenant's first host.
    hosts: HashMap<Tenant, String>,
}

impl Configured {
    fn new(config: &[TenantConfig]) -> Self {
        let named = config
            .iter()
            .flat_map(|tenant| tenant.hosts.iter().map(|host| (host, Tenant::named(&tenant.name))))
            .map(|(host, tenant)| (host.to_ascii_lowercase(), tenant))
            .collect();
        let first =
            |tenant: &TenantConfig| Some((Tenant::named(&tenant.name), tenant.hosts.first()?.clone()));
        Self { named, hosts: config.iter().filter_map(first).collect() }
    }
}

impl Tenants {
    /// `urls` are this edge's own, `at` is where it listens.
    pub(crate) fn new(config: &[TenantConfig], urls: &[&str], at: &[SocketAddr]) -> Self {
        Self {
            configured: ArcSwap::from_pointee(Configured::new(config)),
            former: RwLock::default(),
            ports: at.iter().map(SocketAddr::port).collect(),
            own: urls.iter().filter_map(|url| of_url(url)).collect(),
            fleet: RwLock::default(),
            state: AtomicU64::new(STATES.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// Takes another list of tenants into force. What is kept for hosts under what they were is found no more, unless they
    /// become that again; a purge finds it all the same. True when there were too many to be remembered: whatever is kept
    /// must go then, since a purge may not find it.
    pub(crate) fn take(&self, config: &[TenantConfig]) -> bool {
        let before = self.configured.swap(Arc::new(Configured::new(config)));
        let mut former = self.former.write().unwrap_or_else(PoisonError::into_inner);
        for (host, tenant) in &before.named {
            let known = former.entry(host.clone()).or_default();
            if !known.contains(tenant) {
                known.push(tenant.clone());
            }
        }
        let too_many = former.values().map(Vec::len).sum::<usize>() > MAX_FORMER;
        if too_many {
            former.clear();
        }
        drop(former);
        self.state.store(STATES.fetch_add(1, Ordering::Relaxed), Ordering::Release);
        too_many
    }

    /// Learns the names of the fleet's edges.
    pub(crate) fn adopt(&self, table: &RouteTable) {
        let urls = table.nodes.iter().flat_map(|node| [&node.public_url, &node.peer_url]);
        *self.fleet.write().unwrap_or_else(PoisonError::into_inner) =
            urls.filter_map(|url| of_url(url)).collect();
        self.state.store(STATES.fetch_add(1, Ordering::Relaxed), Ordering::Release);
    }

    /// Whose a host is. It has been let in by the gate.
    pub(crate) fn of(&self, host: &str, secure: bool) -> Tenant {
        let authority = authority(host, secure);
        if let Some(tenant) = self.configured.load().named.get(authority.as_str()) {
            return tenant.clone();
        }
        let fleet = || self.fleet.read().unwrap_or_else(PoisonError::into_inner).contains(&authority);
        if self.own.contains(&authority) || self.is_address_of_this(host, secure) || fleet() {
            return Tenant::own();
        }
        Tenant::of_authority(&authority, secure)
    }

    /// Every tenant that a host may have been taken for: as it is now, as it was before the table named it, and as earlier
    /// configurations had it.
    pub(crate) fn all_of(&self, host: &str, secure: bool) -> Vec<Tenant> {
        let authority = authority(host, secure);
        let alone = Tenant::of_authority(&authority, secure);
        let mut all = vec![self.of(host, secure)];
        let former = self.former.read().unwrap_or_else(PoisonError::into_inner);
        for other in former.get(&authority).into_iter().flatten().chain([&alone]) {
            if !all.contains(other) {
                all.push(other.clone());
            }
        }
        all
    }

    /// As [`of`](Self::of), for hits: out of this thread's memory where it can, without a lock or an allocation.
    pub(crate) fn with<T>(&self, host: &str, secure: bool, use_it: impl FnOnce(&Tenant) -> T) -> T {
        let state = self.state.load(Ordering::Acquire);
        let bytes = host.as_bytes();
        let mixed = bytes.len()
            + usize::from(bytes.first().copied().unwrap_or(0)) * 7
            + usize::from(bytes.last().copied().unwrap_or(0)) * 3;
        MEMOS.with_borrow_mut(|memos| {
            let memo = &mut memos[mixed % REMEMBERED];
            let is_it =
                |memo: &&mut Memo| memo.state == state && memo.secure == secure && *memo.host == *host;
            match memo.as_mut().filter(is_it) {
                Some(memo) => use_it(&memo.tenant),
                None => {
                    let tenant = self.of(host, secure);
                    use_it(&memo.insert(Memo { state, secure, host: host.into(), tenant }).tenant)
                }
            }
        })
    }

    /// The host under which a parent is asked for a tenant's answers: one for all names of the tenant, so that what is
    /// kept for all of them does not depend on who asked first. `own` is this edge's public URL.
    pub(crate) fn host_of(&self, tenant: &Tenant, own: &str) -> Option<String> {
        match self.configured.load().hosts.get(tenant) {
            Some(host) => Some(host.clone()),
            None if *tenant == Tenant::own() => of_url(own),
            None => tenant.authority().map(str::to_owned),
        }
    }

    /// An address, or `localhost`, with a port of ours.
    fn is_address_of_this(&self, host: &str, secure: bool) -> bool {
        let (name, port) = match host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
            Some((name, port)) => (name, port.parse().unwrap_or(0)),
            None => (host, if secure { 443 } else { 80 }),
        };
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
        (address || name.eq_ignore_ascii_case("localhost")) && self.ports.contains(&port)
    }
}

/// The authority of an http or https URL, in its one spelling.
fn of_url(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split('/').next().filter(|host| !host.is_empty())?;
    Some(authority(host, scheme.eq_ignore_ascii_case("https")))
}

#[cfg(test)]
mod tests;
