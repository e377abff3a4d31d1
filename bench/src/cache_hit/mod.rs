//! Cache hits: a near edge of Sluice beside nginx and Varnish.
//!
//! ```text
//! load driver (this process)  ->  one of the servers, on a processor of its own  ->  origin (this process)
//! ```
//!
//! Every cell is an object size, a protocol and a server: first a byte-for-byte check and a check that the second answer
//! is a hit by the server's own word, then load. While it is measured the origin must not be asked for anything, or the
//! cell fails. Rounds go through all cells in turn, so that a slow minute of the machine hits every server alike.

mod client;
mod load;
mod origin;
mod servers;
mod table;
mod tls;

use crate::args::{Bench, Options};
use crate::cpu::{self, Plan};
use crate::report::{Report, progress};
use client::Protocol;
use load::Cell;
use origin::Origin;
use servers::Server;
use table::Row;

/// Bytes of the objects.
const SIZES: [usize; 3] = [1 << 10, 64 << 10, 1 << 20];

/// Runs it on a runtime whose threads all belong to the driver's processors.
pub(crate) fn run(options: &Options) -> anyhow::Result<Report> {
    let plan = Plan::here()?;
    cpu::pinned(&plan.driver, || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(plan.driver.len())
            .enable_all()
            .build()?;
        runtime.block_on(crate::until_stopped(bench(options, &plan)))
    })?
}

async fn bench(options: &Options, plan: &Plan) -> anyhow::Result<Report> {
    let folder = tempfile::tempdir()?;
    let identity = tls::Identity::make(folder.path())?;
    let origin = Origin::start().await?;
    let servers = servers::start_all(options, plan, &identity, origin.address(), folder.path()).await?;
    let mut rows = rows(&servers, options);
    anyhow::ensure!(!rows.is_empty(), "--only leaves no cell");
    for round in 1..=options.rounds {
        for row in &mut rows {
            let server = &servers[row.server];
            let sample = load::run(&row.cell, server, &identity, &origin, options, plan).await;
            progress(format!("round {round}: {}: {}", row.name, table::outcome(&sample)));
            row.samples.push(sample.map_err(|error| format!("{error:#}")));
        }
    }
    let report = table::report(Bench::CacheHit.name(), options, plan, &servers, &rows);
    for server in servers {
        server.process.stop().await;
    }
    Ok(report)
}

/// The cells that are wanted, in the order in which they run: those to be compared are neighbours.
fn rows(servers: &[Server], options: &Options) -> Vec<Row> {
    let mut rows = vec![];
    for size in SIZES {
        for protocol in Protocol::ALL {
            for (index, server) in servers.iter().enumerate() {
                let name = format!("{}/{}/{}", table::size(size), protocol.name(), server.name);
                if server.address(protocol).is_some() && options.wants(&name) {
                    rows.push(Row { name, server: index, cell: Cell::new(protocol, size), samples: vec![] });
                }
            }
        }
    }
    rows
}
