//! Latency where servers are not saturated: every server at half the rate of requests that nginx can do.

use super::client::Protocol;
use super::load::{Cell, Sample};
use super::servers::Server;
use super::table::{self, Row};
use super::{Ground, SIZES};

/// The server whose saturation is the measure.
const MEASURE: &str = "nginx";

/// The cell of every server, if the saturated rate was measured.
pub(super) fn cell(servers: &[Server], rows: &[Row]) -> Option<Cell> {
    let small = Cell::new(Protocol::Http1, SIZES[0]);
    let of = |row: &&Row| {
        servers[row.server].name == MEASURE
            && row.cell.protocol == small.protocol
            && row.cell.size == small.size
    };
    let saturated = rows.iter().find(of)?.summary(table::rate)?;
    Some(small.paced(saturated.median / 2.0))
}

/// The median round's latencies of a server, in milliseconds: p50, p99, p99.9.
pub(super) async fn run(ground: &Ground<'_>, server: &Server, cell: &Cell) -> anyhow::Result<[f64; 3]> {
    let mut samples: Vec<Sample> = vec![];
    for _ in 0..ground.options.rounds {
        samples.push(ground.load(cell, server).await?);
    }
    samples.sort_by_key(|sample| sample.latency.value_at_quantile(0.99));
    let middle = &samples[samples.len() / 2];
    Ok([0.5, 0.99, 0.999].map(|quantile| table::quantile(middle, quantile)))
}
