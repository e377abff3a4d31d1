//! The load of one cell: closed-loop clients, each of which asks again as soon as it has its answer.

use super::client::{Client, Protocol, connect};
use super::origin::{self, Origin};
use super::servers::{Server, is_hit};
use crate::args::Options;
use crate::cpu::{self, Plan};
use crate::tls::Identity;
use anyhow::{Context, ensure};
use bytes::Bytes;
use hdrhistogram::Histogram;
use http::Request;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

/// What is asked, and by how many at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    pub(super) protocol: Protocol,
    pub(super) size: usize,
    pub(super) connections: usize,
    /// Requests under way on each connection.
    pub(super) streams: usize,
    /// Requests a second in all, at fixed times; as fast as answers come when absent.
    pub(super) rate: Option<f64>,
}

/// Requests under way at a time: enough to keep a server busy, few enough that latency is not all queueing.
const UNDER_WAY: usize = 32;
/// The same for objects of [`LARGE`] and more, of which each fills socket buffers by itself.
const UNDER_WAY_LARGE: usize = 8;
const LARGE: usize = 1 << 20;
/// Connections of HTTP/2 and HTTP/3, which share the requests evenly.
const MULTIPLEXED: usize = 4;

impl Cell {
    pub(super) const fn new(protocol: Protocol, size: usize) -> Self {
        let under_way = if size < LARGE { UNDER_WAY } else { UNDER_WAY_LARGE };
        let connections = match protocol {
            Protocol::Http1 => under_way,
            Protocol::Http2 | Protocol::Http3 => MULTIPLEXED,
        };
        Self { protocol, size, connections, streams: under_way / connections, rate: None }
    }

    /// The same at a fixed rate.
    pub(super) const fn paced(self, rate: f64) -> Self {
        Self { rate: Some(rate), ..self }
    }

    /// The time from one request of a client to its next, of this many clients.
    fn pause(&self, clients: usize) -> Option<Duration> {
        self.rate.map(|rate| Duration::from_secs_f64(clients as f64 / rate.max(1.0)))
    }
}

/// What was measured.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) requests: u64,
    pub(super) wall: Duration,
    pub(super) server_cpu: Duration,
    pub(super) driver_cpu: Duration,
    /// In microseconds.
    pub(super) latency: Histogram<u64>,
}

/// The longest latency told apart.
const LONGEST_US: u64 = 60_000_000;
/// Beyond warm-up and window, for connecting and for the last answers.
const GRACE: Duration = Duration::from_secs(20);

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_US, 3).expect("the bounds are in order")
}

/// Runs a cell once.
pub(super) async fn run(
    cell: &Cell,
    server: &Server,
    identity: &Identity,
    origin: &Origin,
    options: &Options,
    plan: &Plan,
) -> anyhow::Result<Sample> {
    let (warm, window) = (options.warm_up(), options.window());
    let limit = warm + window + GRACE;
    timeout(limit, measure(cell, server, identity, origin, warm, window, plan))
        .await
        .with_context(|| format!("it took more than {limit:?}"))?
}

async fn measure(
    cell: &Cell,
    server: &Server,
    identity: &Identity,
    origin: &Origin,
    warm: Duration,
    window: Duration,
    plan: &Plan,
) -> anyhow::Result<Sample> {
    let address = server.address(cell.protocol).context("the server does not speak this protocol")?;
    let object = origin::object(cell.size);
    let request = cell.protocol.request(address, &origin::path(cell.size))?;
    let mut drivers = JoinSet::new();
    let mut clients = open(cell, address, identity, &mut drivers).await?;
    check(&mut clients, &request, &object).await.context("before the load")?;

    let from = Instant::now() + warm;
    let until = from + window;
    let mut loops = JoinSet::new();
    let pause = cell.pause(clients.len());
    let share = |n: usize| pause.map(|pause| (pause, pause.mul_f64(n as f64 / clients.len() as f64)));
    let paces: Vec<_> = (0..clients.len()).map(share).collect();
    for (client, pace) in clients.into_iter().zip(paces) {
        loops.spawn(ask_until(client, request.clone(), object.clone(), pace, from, until));
    }
    sleep_until(from.into()).await;
    let before = Counted::now(server, origin, plan)?;
    sleep_until(until.into()).await;
    let after = Counted::now(server, origin, plan)?;
    let asked = after.origin - before.origin;

    let mut latency = histogram();
    while let Some(ended) = loops.join_next().await {
        latency.add(ended??)?;
    }
    ensure!(asked == 0, "not all were hits: the origin was asked {asked} times");
    ensure!(!latency.is_empty(), "no answer within the window");
    Ok(Sample {
        requests: latency.len(),
        wall: after.at - before.at,
        server_cpu: after.server.saturating_sub(before.server),
        driver_cpu: after.driver.saturating_sub(before.driver),
        latency,
    })
}

async fn open(
    cell: &Cell,
    address: SocketAddr,
    identity: &Identity,
    drivers: &mut JoinSet<()>,
) -> anyhow::Result<Vec<Client>> {
    let mut clients = vec![];
    for _ in 0..cell.connections {
        clients.extend(connect(cell.protocol, address, identity, cell.streams, drivers).await?);
    }
    Ok(clients)
}

/// The first answer of every client must have the right bytes, and any but the very first must call itself a hit.
async fn check(clients: &mut [Client], request: &Request<()>, object: &Bytes) -> anyhow::Result<()> {
    let [first, ..] = clients else { return Ok(()) };
    first.get(request.clone(), object, true).await?;
    for client in clients {
        let head = client.get(request.clone(), object, true).await?;
        ensure!(is_hit(&head.headers), "the answer does not call itself a hit: {:?}", head.headers);
    }
    Ok(())
}

/// Asks until the end; counts what lies within the window from its first to its last byte. With a pace (the time between
/// two requests, and this client's share of it to begin with) a request's latency begins when it was due: one that waits
/// for its forerunner is not forgiven for it.
async fn ask_until(
    mut client: Client,
    request: Request<()>,
    object: Bytes,
    pace: Option<(Duration, Duration)>,
    from: Instant,
    until: Instant,
) -> anyhow::Result<Histogram<u64>> {
    let mut latency = histogram();
    let mut due = Instant::now() + pace.map_or(Duration::ZERO, |(_, first)| first);
    loop {
        let begun = match pace {
            Some((pause, _)) => {
                sleep_until(due.into()).await;
                let begun = due;
                due += pause;
                begun
            }
            None => Instant::now(),
        };
        if begun >= until || Instant::now() >= until {
            return Ok(latency);
        }
        client.get(request.clone(), &object, false).await?;
        let ended = Instant::now();
        if begun >= from && ended <= until {
            let micros = u64::try_from((ended - begun).as_micros()).unwrap_or(LONGEST_US);
            latency.saturating_record(micros.max(1));
        }
    }
}

/// Counters at one moment.
struct Counted {
    at: Instant,
    server: Duration,
    driver: Duration,
    origin: u64,
}

impl Counted {
    fn now(server: &Server, origin: &Origin, plan: &Plan) -> anyhow::Result<Self> {
        // A driver on several processors is as busy as the average of them.
        let driver = cpu::own_time()? / u32::try_from(plan.driver.len().max(1))?;
        let server = cpu::tree_time(server.process.pid()?)?;
        Ok(Self { at: Instant::now(), server, driver, origin: origin.asked() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_protocol_has_as_much_under_way() {
        for size in [1, 64 << 10, 1 << 20] {
            let under_way = Protocol::ALL.map(|protocol| {
                let cell = Cell::new(protocol, size);
                cell.connections * cell.streams
            });
            assert_eq!(under_way, [if size < LARGE { UNDER_WAY } else { UNDER_WAY_LARGE }; 3]);
        }
    }
}
