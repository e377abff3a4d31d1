//! The table of cache hits.

use super::client::Protocol;
use super::load::{Cell, Sample};
use super::servers::Server;
use crate::args::Options;
use crate::cpu::Plan;
use crate::report::Report;
use crate::statistics::{Summary, short};
use std::time::Duration;

/// A cell with all its rounds; a failed one with the reason.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: String,
    /// Its place among the servers.
    pub(super) server: usize,
    pub(super) cell: Cell,
    pub(super) samples: Vec<Result<Sample, String>>,
}

/// The server's place to which others are compared: Sluice is started first.
const OURS: usize = 0;
/// A processor used at least this much is what limits.
const BUSY: f64 = 0.93;

impl Row {
    /// A cell on a server, not measured yet.
    pub(super) fn of(cell: Cell, index: usize, server: &Server) -> Self {
        let name = format!("{}/{}/{}", size(cell.size), cell.protocol.name(), server.name);
        Self { name, server: index, cell, samples: vec![] }
    }

    pub(super) fn summary(&self, number: impl Fn(&Sample) -> f64) -> Option<Summary> {
        let samples: Result<Vec<&Sample>, _> = self.samples.iter().map(Result::as_ref).collect();
        Summary::of(samples.ok()?.into_iter().map(number))
    }

    fn error(&self) -> Option<&str> {
        self.samples.iter().find_map(|sample| sample.as_ref().err()).map(String::as_str)
    }
}

/// `1KiB` and the like.
pub(super) fn size(bytes: usize) -> String {
    if bytes >= 1 << 20 { format!("{}MiB", bytes >> 20) } else { format!("{}KiB", bytes >> 10) }
}

/// One round in a line.
pub(super) fn outcome(sample: &anyhow::Result<Sample>) -> String {
    match sample {
        Ok(sample) => format!(
            "{} requests/s, server {:.0} %, driver {:.0} %",
            short(rate(sample)),
            100.0 * share(sample.server_cpu, sample),
            100.0 * share(sample.driver_cpu, sample),
        ),
        Err(error) => format!("failed: {error:#}"),
    }
}

pub(super) fn rate(sample: &Sample) -> f64 {
    sample.requests as f64 / sample.wall.as_secs_f64()
}

/// Requests a second of the server's processor time.
fn efficiency(sample: &Sample) -> f64 {
    sample.requests as f64 / sample.server_cpu.as_secs_f64()
}

fn share(used: Duration, sample: &Sample) -> f64 {
    used.as_secs_f64() / sample.wall.as_secs_f64()
}

pub(super) fn quantile(sample: &Sample, quantile: f64) -> f64 {
    sample.latency.value_at_quantile(quantile) as f64 / 1_000.0
}

/// The whole document.
pub(super) fn report(
    name: &'static str,
    options: &Options,
    plan: &Plan,
    servers: &[Server],
    rows: &[Row],
) -> Report {
    let mut report = Report::new(name, "Cache hits beside nginx, Varnish and Traffic Server");
    report.fact(format!("Processors: {}", plan.words()));
    report.fact(format!(
        "Each cell: {} rounds of {} s after {} s of the same load, rounds of all cells in turn",
        options.rounds,
        options.window().as_secs_f64(),
        options.warm
    ));
    for server in servers {
        report.fact(format!("{}: {}", server.name, server.version));
    }
    report.paragraph(HOW);
    let mut table = vec![head()];
    for group in groups(rows) {
        for (index, server) in servers.iter().enumerate() {
            table.extend(match group.iter().find(|row| row.server == index) {
                Some(row) => Some(line(row, server.name, group.iter().find(|row| row.server == OURS))),
                None if server.address(group[0].cell.protocol).is_none() => Some(lacking(group[0], server)),
                None => None,
            });
        }
    }
    report.table(&table);
    for row in rows {
        if let Some(error) = row.error() {
            report.paragraph(format!("{} failed: {error}", row.name));
        }
    }
    aims(&mut report, servers, rows);
    report
}

/// The lines of a few rows that belong together, the first of them ours.
pub(super) fn comparison(rows: &[Row], names: &[&str]) -> Vec<Vec<String>> {
    let lines = rows.iter().zip(names).map(|(row, name)| line(row, name, rows.first().as_ref()));
    std::iter::once(head()).chain(lines).collect()
}

/// How every server was started.
pub(super) fn commands(report: &mut Report, servers: &[Server]) {
    report.heading("Commands");
    for server in servers {
        report.block(&server.command);
        if let Some(config) = &server.config {
            report.block(config);
        }
    }
}

/// What is to be reached: size, protocol, the peer (ourselves over HTTP/2, for HTTP/3), requests a processor second.
const AIMS: [(usize, Protocol, &str, f64); 8] = [
    (1 << 10, Protocol::Http1, "nginx", 1.8),
    (1 << 10, Protocol::Http1, "Varnish", 3.0),
    (1 << 10, Protocol::Http1, "Traffic Server", 2.0),
    (64 << 10, Protocol::Http1, "nginx", 1.4),
    (1 << 20, Protocol::Http1, "nginx", 1.2),
    (1 << 10, Protocol::Http2, "nginx", 1.5),
    (1 << 20, Protocol::Http2, "nginx", 1.1),
    (1 << 20, Protocol::Http3, "Sluice", 0.5),
];

/// The ratios that are to be reached, beside what was.
fn aims(report: &mut Report, servers: &[Server], rows: &[Row]) {
    let find = |size: usize, protocol: Protocol, name: &str| {
        let of = |row: &&Row| {
            row.cell.size == size && row.cell.protocol == protocol && servers[row.server].name == name
        };
        rows.iter().find(of).and_then(|row| row.summary(efficiency)).map(|summary| summary.median)
    };
    let mut table = vec![["hits a processor second", "beside", "aim", "reached"].map(str::to_owned).to_vec()];
    for (bytes, protocol, peer, aim) in AIMS {
        // HTTP/3 has no peer here: it is compared with our own HTTP/2 over TLS.
        let other = if protocol == Protocol::Http3 { Protocol::Http2 } else { protocol };
        let (ours, it) = (find(bytes, protocol, "Sluice"), find(bytes, other, peer));
        let reached =
            ours.zip(it).map_or_else(|| "not measured".to_owned(), |(ours, it)| format!("{:.2}", ours / it));
        let beside = if protocol == Protocol::Http3 { "Sluice, h2".to_owned() } else { peer.to_owned() };
        table.push(vec![
            format!("{}, {}", size(bytes), protocol.name()),
            beside,
            format!("{aim:.1}"),
            reached,
        ]);
    }
    report.heading("Aims");
    report.table(&table);
}

/// Rows of one size and protocol.
fn groups(rows: &[Row]) -> Vec<Vec<&Row>> {
    let chunks = rows.chunk_by(|a, b| a.cell.size == b.cell.size && a.cell.protocol == b.cell.protocol);
    chunks.map(|chunk| chunk.iter().collect()).collect()
}

fn head() -> Vec<String> {
    [
        "object",
        "protocol",
        "server",
        "req/s",
        "± %",
        "req / cpu s",
        "MiB/s",
        "cpu s / GB",
        "p50 ms",
        "p99 ms",
        "server cpu %",
        "driver cpu %",
        "limit",
        "Sluice : it, req/s",
        "Sluice : it, req / cpu s",
    ]
    .map(str::to_owned)
    .to_vec()
}

fn begin(cell: &Cell, server: &str) -> Vec<String> {
    let protocol = match cell.protocol {
        Protocol::Http1 => "h1",
        Protocol::Http2 => "h2, TLS",
        Protocol::Http3 => "h3",
    };
    vec![size(cell.size), protocol.to_owned(), server.to_owned()]
}

fn lacking(row: &Row, server: &Server) -> Vec<String> {
    let mut cells = begin(&row.cell, server.name);
    cells.push(server.lacks.to_owned());
    cells
}

fn line(row: &Row, server: &str, ours: Option<&&Row>) -> Vec<String> {
    let mut cells = begin(&row.cell, server);
    let (Some(per_second), Some(per_cpu)) = (row.summary(rate), row.summary(efficiency)) else {
        cells.push("failed".to_owned());
        return cells;
    };
    let median = |number: &dyn Fn(&Sample) -> f64| row.summary(number).map_or(f64::NAN, |s| s.median);
    let server_share = median(&|s| share(s.server_cpu, s));
    let driver_share = median(&|s| share(s.driver_cpu, s));
    let mebibytes = per_second.median * row.cell.size as f64 / f64::from(1 << 20);
    cells.extend([
        short(per_second.median),
        format!("{:.0}", per_second.spread()),
        short(per_cpu.median),
        short(mebibytes),
        short(1e9 / (per_cpu.median * row.cell.size as f64)),
        short(median(&|s| quantile(s, 0.5))),
        short(median(&|s| quantile(s, 0.99))),
        format!("{:.0}", 100.0 * server_share),
        format!("{:.0}", 100.0 * driver_share),
        limit(server_share, driver_share).to_owned(),
    ]);
    let ratio = |number: fn(&Sample) -> f64, it: Summary| {
        let ours = ours.filter(|_| row.server != OURS).and_then(|ours| ours.summary(number));
        ours.map_or(String::new(), |ours| format!("{:.2}", ours.median / it.median))
    };
    cells.extend([ratio(rate, per_second), ratio(efficiency, per_cpu)]);
    cells
}

/// What kept the cell from being faster.
fn limit(server: f64, driver: f64) -> &'static str {
    match (server >= BUSY, driver >= BUSY) {
        (true, true) => "both",
        (true, false) => "server",
        (false, true) => "driver",
        (false, false) => "waiting",
    }
}

/// How to read it.
const HOW: &str = "Every answer was checked for status and length, the first ones of each cell byte for byte and for \
calling themselves a hit; the origin was not asked once while a cell was measured. All requests are closed-loop, 32 \
under way at a time (8 of 1 MiB): 32 or 8 connections in h1, 4 in h2 and h3. TLS is 1.3 with AES-128-GCM for everybody. \
Where the limit is the driver, the server had time left: there the requests for each second of its processor time \
(user and system, its whole process tree) are the measure, and requests a second are not. Above 1 in the last two \
columns, Sluice is faster. Processor seconds a gigabyte (10^9 bytes) are what a byte costs: times the price of a \
processor second.";

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::Histogram;

    fn sample(requests: u64, server_ms: u64) -> Sample {
        let mut latency = Histogram::new(3).unwrap();
        latency.record_n(2_000, requests).unwrap();
        let (server_cpu, driver_cpu) = (Duration::from_millis(server_ms), Duration::from_millis(500));
        Sample { requests, wall: Duration::from_secs(1), server_cpu, driver_cpu, latency }
    }

    fn row(server: usize, samples: Vec<Result<Sample, String>>) -> Row {
        Row { name: "cell".into(), server, cell: Cell::new(Protocol::Http1, 1 << 20), samples }
    }

    #[test]
    fn a_line_compares_with_ours() {
        let ours = row(0, vec![Ok(sample(2_000, 1_000))]);
        let peer = row(1, vec![Ok(sample(900, 500)), Ok(sample(1_000, 500)), Ok(sample(1_100, 500))]);
        let cells = line(&peer, "peer", Some(&&ours));
        let expected = [
            "1MiB", "h1", "peer", "1,000", "10", "2,000", "1,000", "0.48", "2.00", "2.00", "50", "50",
            "waiting", "2.00", "1.00",
        ];
        assert_eq!(cells, expected);
        assert_eq!(cells.len(), head().len());
    }

    #[test]
    fn one_failed_round_fails_the_cell_and_tells_why() {
        let row = row(1, vec![Ok(sample(1, 1)), Err("status 500".into())]);
        assert_eq!(line(&row, "peer", None).last().unwrap(), "failed");
        assert_eq!(row.error(), Some("status 500"));
    }

    #[test]
    fn the_busy_one_is_the_limit() {
        assert_eq!(
            [limit(0.99, 0.5), limit(0.5, 0.99), limit(0.99, 0.95), limit(0.6, 0.7)],
            ["server", "driver", "both", "waiting"]
        );
    }
}
