//! Recovery: the regions of earlier lives are read, the newest first, while everything is served.

use super::Shared;
use super::index::Slot;
use super::metrics::Fault;
use super::record::{FIXED, Fixed, MAX_HEAD, Place, Record};
use super::region::Region;
use crate::cache::Key;
use std::io;
use std::sync::Arc;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

/// Bytes read for a record's head at first: most heads fit.
const READ: usize = 2 << 10;

/// The regions there are, the newest first.
pub(super) fn regions(shared: &Shared) -> Vec<Arc<Region>> {
    let mut regions = shared.index.regions();
    regions.reverse();
    regions
}

/// Reads them one after another.
pub(super) async fn run(shared: Arc<Shared>, regions: Vec<Arc<Region>>, stop: CancellationToken) {
    for region in regions {
        if stop.is_cancelled() {
            return;
        }
        let reading = Arc::clone(&shared);
        let (id, read) = (region.id, spawn_blocking(move || recover(&reading, &region)).await);
        if let Err(error) = read.map_err(io::Error::other).flatten() {
            // Its records stay unknown, and it gives way when its turn comes.
            tracing::debug!(region = id, "a region could not be read");
            shared.fault(Fault::Read, &error);
        }
    }
    shared.index.end_recovery();
    shared.gauge();
    shared.metrics.rebuilt.set(1);
}

/// Adds what a region holds to the index. Blocks.
fn recover(shared: &Shared, region: &Arc<Region>) -> io::Result<()> {
    if !shared.index.can_recover() {
        // Too much has been forgotten since the start to tell which of these records still hold.
        if let Some(region) = shared.index.take_out(region.id) {
            region.remove()?;
        }
        return Ok(());
    }
    let (found, end) = scan(region)?;
    if end < region.length() {
        tracing::info!(region = region.id, end, length = region.length(), "a region is cut where it is torn");
        shared.metrics.corruptions.inc();
        region.cut(end)?;
    }
    // The last record of a key is the newest.
    for (hash, slot) in found.into_iter().rev() {
        if shared.index.recover(hash, slot) {
            region.commit(region.length(), [hash]);
        } else {
            region.kill(slot.place())?;
        }
    }
    shared.gauge();
    Ok(())
}

/// The records in force of a region, in their order, and where the first thing begins that is none.
pub(super) fn scan(region: &Region) -> io::Result<(Vec<(u64, Slot)>, u64)> {
    let (mut found, mut at, length) = (vec![], 0, region.length());
    while at < length {
        let place = Place { region: region.id, at };
        let Some((fixed, record)) = read_head(region, place)? else { break };
        if at + fixed.body_from() + fixed.body > length {
            break;
        }
        if let Some(slot) = Slot::new(place, fixed.body_from(), fixed.body).filter(|_| fixed.live) {
            found.push((Key::of_text(&record.key).hash(), slot));
        }
        at += fixed.span();
    }
    Ok((found, at.min(length)))
}

fn read_head(region: &Region, place: Place) -> io::Result<Option<(Fixed, Record)>> {
    let mut bytes = region.read_some(place.at, READ)?;
    let Some(fixed) = Fixed::read(&bytes, place) else { return Ok(None) };
    let whole = FIXED + fixed.head as usize;
    if whole > bytes.len() && whole <= FIXED + MAX_HEAD {
        bytes = region.read_some(place.at, whole)?;
    }
    Ok(Record::decode(&bytes, place))
}
