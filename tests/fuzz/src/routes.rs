//! The route table, as a control plane sends it and a disk keeps it.

use sluice_wire::limits::MAX_NODES;
use sluice_wire::published::{Document, Message};
use sluice_wire::{NodeState, PlacementKey, RouteTable, Tier};

/// A table is refused, or it reads back as it was written and orders its nodes for every key: each ready node that has a share once, the
/// next never one that was tried.
///
/// As a message it is refused, or reads back with its version and signature, and no changes lead to the same table.
pub fn routes(bytes: &[u8]) {
    message(bytes);
    let Ok(table) = serde_json::from_slice::<RouteTable>(bytes) else { return };
    if table.check().is_err() {
        return;
    }
    assert!(table.nodes.len() <= MAX_NODES);
    let Ok(text) = serde_json::to_vec(&table) else { panic!("{table:?} cannot be written") };
    assert_eq!(serde_json::from_slice::<RouteTable>(&text).ok().as_ref(), Some(&table));
    for node in &table.nodes {
        assert_eq!(table.node(&node.node), Some(node));
    }
    for key in ["", "/v/a/0.m4s"].map(PlacementKey::of_path) {
        for tier in [Tier::Near, Tier::Shield] {
            let order = table.order(tier, key);
            assert!(order.iter().all(|node| node.tier == tier && node.state == NodeState::Ready));
            assert_eq!(order.len(), table.ready(tier).filter(|node| node.share() > 0.0).count());
        }
        let order = table.order(Tier::Near, key);
        let Some(first) = order.first() else { continue };
        let tried: Vec<_> = order.iter().skip(2).map(|node| node.node.clone()).collect();
        let next = table.next_near(key, &first.node, &tried);
        assert_eq!(next, order.get(1).copied());
    }
}

fn message(bytes: &[u8]) {
    match Message::read(bytes) {
        Ok(Message::Whole(document, signature)) => {
            let Ok(Message::Whole(again, signed)) = Message::read(&document.message(signature.as_ref()))
            else {
                panic!("it does not read back")
            };
            assert_eq!((again.version(), signed), (document.version(), signature));
            if let (Ok(_), Some(changes)) = (document.table(), document.since(&document)) {
                assert_eq!(document.with(&changes).as_ref(), Ok(&document));
            }
        }
        Ok(Message::Changes(changes, signature)) => {
            let Ok(Message::Changes(again, signed)) = Message::read(&changes.message(&signature)) else {
                panic!("it does not read back")
            };
            assert_eq!((again.from, signed), (changes.from, signature));
            drop(Document::default().with(&changes));
        }
        Err(_) => {}
    }
}
