//! Cache hits: a near edge of Sluice beside nginx, Varnish and Traffic Server.
//!
//! ```text
//! load driver (this process)  ->  one of the servers, on a processor of its own  ->  origin (this process)
//! ```
//!
//! Every cell is an object size, a protocol and a server: first a byte-for-byte check and a check that the second answer
//! is a hit by the server's own word, then load. While it is measured the origin must not be asked for anything, or the
//! cell fails. Rounds go through all cells in turn, so that a slow minute of the machine hits every server alike. Then,
//! once each: hits from disk (`from_disk`), HTTP/2 by another driver (`h2load`), latency at half of what nginx can do (`paced`), memory of idle connections (`idle`), and hit ratios of small
//! caches on one trace (`zipf`).

mod client;
mod from_disk;
mod h2load;
mod idle;
mod load;
mod origin;
mod paced;
mod servers;
mod sides;
mod table;
mod zipf;

use crate::args::{Bench, Options};
use crate::cpu::{self, Plan};
use crate::network;
use crate::process::raise_file_limit;
use crate::report::{Report, progress};
use crate::tls::Identity;
use client::Protocol;
use load::Cell;
use origin::Origin;
use servers::Server;
use std::path::Path;
use table::Row;

/// Bytes of the objects.
const SIZES: [usize; 3] = [1 << 10, 64 << 10, 1 << 20];

/// Runs it on a runtime whose threads all belong to the driver's processors.
pub(crate) fn run(options: &Options) -> anyhow::Result<Report> {
    let plan = Plan::here()?;
    raise_file_limit()?;
    let control = network::enter_own();
    cpu::pinned(&plan.driver, || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(plan.driver.len())
            .enable_all()
            .build()?;
        runtime.block_on(crate::until_stopped(bench(options, &plan, &control)))
    })?
}

async fn bench(options: &Options, plan: &Plan, control: &str) -> anyhow::Result<Report> {
    let folder = tempfile::tempdir()?;
    let identity = Identity::make(folder.path())?;
    let origin = Origin::start().await?;
    let ground = Ground { options, plan, identity: &identity, origin: &origin };
    let ample = folder.path().join("ample");
    std::fs::create_dir(&ample)?;
    let servers = ground.servers(&ample, servers::AMPLE).await?;
    let mut rows = rows(&servers, options);
    anyhow::ensure!(!rows.is_empty() || sides::any(options), "--only leaves no cell");
    let held = sides::held(options, &servers).await;
    for round in 1..=options.rounds {
        for row in &mut rows {
            let sample = ground.load(&row.cell, &servers[row.server]).await;
            progress(format!("round {round}: {}: {}", row.name, table::outcome(&sample)));
            row.samples.push(sample.map_err(|error| format!("{error:#}")));
        }
    }
    let mut report = table::report(Bench::CacheHit.name(), options, plan, &servers, &rows);
    report.fact(format!("Congestion control: {control}"));
    sides::from_disk(&ground, folder.path(), &servers, &mut report).await?;
    sides::by_h2load(options, &servers, &mut report).await;
    sides::paced(&ground, &servers, &rows, &mut report).await;
    sides::idle(held, &mut report);
    sides::zipf(&ground, folder.path(), &mut report).await?;
    table::commands(&mut report, &servers);
    stop(servers).await;
    Ok(report)
}

/// What every measurement needs.
struct Ground<'g> {
    options: &'g Options,
    plan: &'g Plan,
    identity: &'g Identity,
    origin: &'g Origin,
}

impl Ground<'_> {
    /// Starts every server, with files below a folder and a cache of so many bytes.
    async fn servers(&self, folder: &Path, room: usize) -> anyhow::Result<Vec<Server>> {
        servers::start_all(self.options, self.plan, self.identity, self.origin.address(), folder, room).await
    }

    /// Runs a cell once.
    async fn load(&self, cell: &Cell, server: &Server) -> anyhow::Result<load::Sample> {
        load::run(cell, server, self.identity, self.origin, self.options, self.plan).await
    }
}

async fn stop(servers: Vec<Server>) {
    for server in servers {
        server.process.stop().await;
    }
}

/// The cells that are wanted, in the order in which they run: those to be compared are neighbours.
fn rows(servers: &[Server], options: &Options) -> Vec<Row> {
    let mut rows = vec![];
    for size in SIZES {
        for protocol in Protocol::ALL {
            for (index, server) in servers.iter().enumerate() {
                let row = Row::of(Cell::new(protocol, size), index, server);
                if server.address(protocol).is_some() && options.wants(&row.name) {
                    rows.push(row);
                }
            }
        }
    }
    rows
}
