//! What came of the log within a moment: what is to be read again, and how far that is.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{Stream, StreamExt};
use sluice_wire::{Event, Version};
use tokio::time::{Instant, timeout_at};

use super::trouble::Trouble;
use super::writer::Mark;
use crate::ids::{ProductId, VariantId};
use crate::raised;

/// How long changes are gathered before they are committed.
const GATHER: Duration = Duration::from_millis(50);
/// Products, and events, of one commit at most.
const MAX_TOUCHED: usize = 1_000;
const MAX_EVENTS: usize = 10_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) products: BTreeSet<ProductId>,
    pub(super) variants: BTreeSet<VariantId>,
    /// How far it goes.
    pub(super) mark: Mark,
}

impl Batch {
    /// Waits for the next event, and takes what comes soon after it.
    pub(super) async fn next(
        tail: &mut (impl Stream<Item = Event> + Unpin),
        from: &Mark,
    ) -> Result<Self, Trouble> {
        let mut batch = Self { products: BTreeSet::new(), variants: BTreeSet::new(), mark: from.clone() };
        let Some(event) = tail.next().await else { return Err(Trouble::Ended) };
        batch.take(&event)?;
        let until = Instant::now() + GATHER;
        for _ in 1..MAX_EVENTS {
            let Ok(Some(event)) = timeout_at(until, tail.next()).await else { break };
            batch.take(&event)?;
            if batch.products.len() + batch.variants.len() >= MAX_TOUCHED {
                break;
            }
        }
        Ok(batch)
    }

    /// Whether nothing in it is about what is searched.
    pub(super) fn is_of_others(&self) -> bool {
        self.products.is_empty() && self.variants.is_empty()
    }

    fn take(&mut self, event: &Event) -> Result<(), Trouble> {
        let mark = &mut self.mark;
        if event.seq != mark.seq + 1 {
            return Err(Trouble::Gap { after: mark.seq, seq: event.seq });
        }
        (mark.seq, mark.at_ms) = (event.seq, event.at_ms);
        event.tag.as_str().clone_into(&mut mark.tag);
        let Version(version) = event.version;
        if event.tag == raised::products() {
            mark.products = mark.products.max(version);
            self.products
                .extend(event.data["live"]["product"].as_str().and_then(|id| id.parse::<ProductId>().ok()));
        } else if event.tag == raised::availability() {
            mark.availability = mark.availability.max(version);
            let ids = event.data["live"]["variants"].as_array().into_iter().flatten();
            self.variants.extend(ids.filter_map(|id| id.as_str()?.parse::<VariantId>().ok()));
        } else {
            self.products.extend(raised::product_of(&event.tag));
        }
        Ok(())
    }
}
