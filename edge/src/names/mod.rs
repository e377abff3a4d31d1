//! Names of parents, control planes and origins: which addresses they have, and which they had while nobody can say.
//!
//! ```text
//! a connection -> addresses(name) -> held and fresh -> these
//!                                 -> else: one question per name -> engine -> allowed -> held -> these
//!                                    late, failed or refused -> the last good ones
//! ```
//!
//! - `held`: how long an answer counts, and what follows a failure (pure); `allowed`: where a name may lead (pure)
//! - `engine`: who is asked: the servers of the configuration or of the system, or the system itself

mod allowed;
mod config;
mod engine;
mod held;

pub use config::DnsConfig;

use allowed::Networks;
use engine::{Engine, Failure};
use futures::FutureExt;
use held::{Held, Plan};
use hyper_util::client::legacy::connect::dns::Name;
use lru::LruCache;
use prometheus::IntCounterVec;
use reqwest::dns::{Addrs, Resolve, Resolving};
use sluice_service::Drain;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// Names remembered: a route table has fewer. The one longest unused gives way.
const MAX_NAMES: NonZeroUsize = NonZeroUsize::new(4_096).expect("above 0");
/// Time for a question, over all servers and tries.
const QUESTION: Duration = Duration::from_secs(5);
/// How long a connection waits for news of a name that has addresses already.
const PATIENCE: Duration = Duration::from_millis(500);

/// What is known of names. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Names(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    engine: Engine,
    networks: Networks,
    known: Mutex<Known>,
    drain: Drain,
    asked: IntCounterVec,
}

#[derive(Debug)]
struct Known {
    held: LruCache<Box<str>, Held>,
    /// Questions under way; what waits for one is told by the end of its sender.
    asking: HashMap<Box<str>, watch::Receiver<()>>,
}

/// Why a name has no addresses.
#[derive(Debug, thiserror::Error)]
#[error("{name} has no address: {why}")]
struct NoAddress {
    name: Box<str>,
    why: &'static str,
}

impl Names {
    /// `asked` counts questions by what came of them.
    pub(crate) fn new(config: &DnsConfig, drain: &Drain, asked: IntCounterVec) -> Self {
        let known = Known { held: LruCache::new(MAX_NAMES), asking: HashMap::new() };
        Self(Arc::new(Inner {
            engine: Engine::new(config),
            networks: Networks::new(&config.internal),
            known: Mutex::new(known),
            drain: drain.clone(),
            asked,
        }))
    }

    /// The addresses of a name, in the order in which they are to be tried: as its time to live allows, or the last good
    /// ones.
    ///
    /// # Errors
    /// It has none, and never had.
    pub(crate) async fn addresses(&self, name: &str) -> io::Result<Arc<[IpAddr]>> {
        let name: Box<str> = name.trim_end_matches('.').to_ascii_lowercase().into();
        if *name == *"localhost" || name.ends_with(".localhost") {
            // Never a question for anybody else (RFC 6761 section 6.3).
            return Ok([IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)].into());
        }
        let (last, mut answered) = match self.plan(&name) {
            (Plan::Use(addresses), _) => return Ok(addresses),
            (Plan::Refuse(why), _) => return Err(no_address(name, why)),
            (Plan::Ask(last), answered) => (last, answered),
        };
        let patience = if last.is_some() { PATIENCE } else { QUESTION };
        // Its sender never says anything: it ends.
        drop(timeout(patience, answered.changed()).await);
        let known = self.0.lock().held.get(&name).map(|held| held.last_good(Instant::now()));
        match known.unwrap_or(Err(Failure::Late)) {
            Ok(addresses) => Ok(addresses),
            Err(why) => last.ok_or_else(|| no_address(name, why.as_str())),
        }
    }

    /// What to do about a name. A question is begun where one is due.
    fn plan(&self, name: &str) -> (Plan, watch::Receiver<()>) {
        let mut known = self.0.lock();
        let plan = known.held.get(name).map_or(Plan::Ask(None), |held| held.plan(Instant::now()));
        let under_way = known.asking.get(name).cloned();
        let answered = match (&plan, under_way) {
            (Plan::Ask(_), None) => {
                let (sender, answered) = watch::channel(());
                known.asking.insert(name.into(), answered.clone());
                let (inner, name) = (Arc::clone(&self.0), name.into());
                self.0.drain.tasks().spawn(async move { inner.ask(name, sender).await });
                answered
            }
            (_, Some(answered)) => answered,
            (_, None) => watch::channel(()).1,
        };
        (plan, answered)
    }
}

impl Inner {
    /// Asks, and tells those who wait by dropping the sender.
    async fn ask(&self, name: Box<str>, answered: watch::Sender<()>) {
        let answer = timeout(QUESTION, self.engine.ask(&name)).await.unwrap_or(Err(Failure::Late));
        let mut known = self.lock();
        let now = Instant::now();
        let held = known.held.get_or_insert_mut(name.clone(), || Held::new(now));
        let result = held.take(answer, &self.networks, now);
        match result {
            Ok(()) => tracing::debug!(%name, "a name was answered"),
            Err(why) => tracing::warn!(%name, why = why.as_str(), "a name was not answered"),
        }
        self.asked.with_label_values(&[result.map_or_else(Failure::as_str, |()| "answered")]).inc();
        known.asking.remove(&name);
        drop((known, answered));
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn no_address(name: Box<str>, why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, NoAddress { name, why })
}

/// As connections to parents ask.
impl tower::Service<Name> for Names {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = futures::future::BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let names = self.clone();
        async move { Ok(sockets(&names.addresses(name.as_str()).await?)) }.boxed()
    }
}

/// As the control plane's client and the event feed's ask.
impl Resolve for Names {
    fn resolve(&self, name: reqwest::dns::Name) -> Resolving {
        let names = self.clone();
        Box::pin(async move {
            let addresses = names.addresses(name.as_str()).await?;
            Ok(Box::new(sockets(&addresses)) as Addrs)
        })
    }
}

/// The port is the URL's.
fn sockets(addresses: &[IpAddr]) -> std::vec::IntoIter<SocketAddr> {
    addresses.iter().map(|ip| SocketAddr::new(*ip, 0)).collect::<Vec<_>>().into_iter()
}
