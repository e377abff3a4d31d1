//! The smaller tables: latency below saturation, idle connections, hit ratios.

use super::client::Protocol;
use super::servers::Server;
use super::table::{self, Row};
use super::{Ground, from_disk as disk, h2load, idle as connections, paced as latency, stop, zipf as ratios};
use crate::args::Options;
use crate::report::{Report, progress};
use crate::statistics::short;
use std::path::Path;

/// True when one of them is wanted without a cell of the large table.
pub(super) fn any(options: &Options) -> bool {
    ["disk", "h2load", "idle", "zipf"].iter().any(|name| options.wants(name))
}

/// Hits from disk, beside nginx, which has everything there.
pub(super) async fn from_disk(
    ground: &Ground<'_>,
    folder: &Path,
    servers: &[Server],
    report: &mut Report,
) -> anyhow::Result<()> {
    if !ground.options.wants("disk") {
        return Ok(());
    }
    let folder = folder.join("on-disk");
    std::fs::create_dir(&folder)?;
    let ours = disk::start(ground, &folder).await?;
    let both = [&ours].into_iter().chain(servers.iter().find(|server| server.name == "nginx"));
    let mut rows: Vec<Row> =
        both.clone().enumerate().map(|(i, server)| Row::of(disk::cell(), i, server)).collect();
    for _ in 0..ground.options.rounds {
        for (row, server) in rows.iter_mut().zip(both.clone()) {
            let sample = ground.load(&row.cell, server).await;
            progress(format!("disk: {}: {}", server.name, table::outcome(&sample)));
            row.samples.push(sample.map_err(|error| format!("{error:#}")));
        }
    }
    report.heading("Hits from disk");
    report.table(&table::comparison(&rows, &both.map(|server| server.name).collect::<Vec<_>>()));
    report.paragraph("1 MiB over HTTP/1, out of the kernel's cache of the file; the aim is 1.0 of nginx.");
    report.block(&ours.command);
    stop(vec![ours]).await;
    Ok(())
}

/// HTTP/2 over TLS by h2load.
pub(super) async fn by_h2load(options: &Options, servers: &[Server], report: &mut Report) {
    if !options.wants("h2load") {
        return;
    }
    let head = ["object", "server", "req/s", "req / cpu s", "Sluice : it, req / cpu s"];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    for (size, requests) in h2load::RUNS {
        let mut ours = None;
        for server in servers.iter().filter(|server| server.address(Protocol::Http2).is_some()) {
            let mut line = vec![table::size(size), server.name.to_owned()];
            match h2load::run(server, size, requests).await {
                Ok(run) => {
                    let ratio = *ours.get_or_insert(run.efficiency) / run.efficiency;
                    line.extend([short(run.rate), short(run.efficiency), format!("{ratio:.2}")]);
                }
                Err(error) => line.push(format!("failed: {error:#}")),
            }
            progress(format!("h2load: {}", line.join(" ")));
            table.push(line);
        }
    }
    report.heading("HTTP/2 over TLS by h2load");
    report.table(&table);
    report.paragraph(
        "h2load in place of our own driver, once: as many connections and requests under way as above.",
    );
}

/// Latency at half of nginx's saturation.
pub(super) async fn paced(ground: &Ground<'_>, servers: &[Server], rows: &[Row], report: &mut Report) {
    if !ground.options.wants("paced") {
        return;
    }
    let Some(cell) = latency::cell(servers, rows) else { return };
    let mut table = vec![["1 KiB, h1", "p50 ms", "p99 ms", "p99.9 ms"].map(str::to_owned).to_vec()];
    for server in servers {
        let mut line = vec![server.name.to_owned()];
        match latency::run(ground, server, &cell).await {
            Ok(quantiles) => line.extend(quantiles.map(short)),
            Err(error) => line.push(format!("failed: {error:#}")),
        }
        progress(format!("paced: {}", line.join(" ")));
        table.push(line);
    }
    report.heading("Latency at half of nginx's saturation");
    report.table(&table);
    report.paragraph(format!(
        "{} requests a second at fixed times; a request's time begins when it was due, so that one that waits for its \
         forerunner counts whole.",
        short(cell.rate.unwrap_or(0.0))
    ));
}

/// What idle connections hold, server by server: before any other work, whose memory could be used again or given back.
pub(super) async fn held(options: &Options, servers: &[Server]) -> Vec<Vec<String>> {
    let mut lines = vec![];
    for server in servers.iter().filter(|_| options.wants("idle")) {
        let held = connections::run(server).await;
        let shown = held.map_or_else(|error| format!("failed: {error:#}"), short);
        progress(format!("idle: {}: {shown}", server.name));
        lines.push(vec![server.name.to_owned(), shown]);
    }
    lines
}

/// The table of that.
pub(super) fn idle(held: Vec<Vec<String>>, report: &mut Report) {
    if held.is_empty() {
        return;
    }
    let head = ["server", "resident bytes each"].map(str::to_owned).to_vec();
    report.heading("Idle connections");
    report.table(&std::iter::once(head).chain(held).collect::<Vec<_>>());
    report.paragraph(format!(
        "{} connections over HTTP/1 that asked once and wait for their next request, before all other measurements; memory \
         of the kernel is not counted.",
        connections::CONNECTIONS
    ));
}

/// Hit ratios of small caches.
pub(super) async fn zipf(ground: &Ground<'_>, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    if !ground.options.wants("zipf") {
        return Ok(());
    }
    let folder = folder.join("small");
    std::fs::create_dir(&folder)?;
    let (trace, room) = ratios::trace();
    let servers = ground.servers(&folder, room).await?;
    let mut table = vec![["server", "object hits", "byte hits"].map(str::to_owned).to_vec()];
    for server in &servers {
        let mut line = vec![server.name.to_owned()];
        match ratios::run(server, ground.identity, &trace).await {
            Ok(hits) => line.extend([hits.objects, hits.bytes].map(|share| format!("{share:.3}"))),
            Err(error) => line.push(format!("failed: {error:#}")),
        }
        progress(format!("zipf: {}", line.join(" ")));
        table.push(line);
    }
    report.heading("Hit ratios");
    report.table(&table);
    report.paragraph(format!(
        "Trace: {}, {} requests, cold start, in order over several connections. Each cache has {} MiB, {} % of the unique \
         bytes; nginx keeps its limit with a delay, and Traffic Server has at least 128 MiB on disk beside its memory.",
        trace.name,
        trace.requests.len(),
        room >> 20,
        ratios::SHARE
    ));
    stop(servers).await;
    Ok(())
}
