//! What players say of themselves, and the view that they are steered by.

use sluice_wire::cmcd::{MAX_RECORDS, Record};
use sluice_wire::steering::decide::MAX_CHOICES;
use sluice_wire::steering::{Session, Steer, View};
use sluice_wire::{Country, PlacementKey};

/// A record is refused, or what it says is within bounds.
pub fn records(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let lines = Record::parse_lines(&text).unwrap_or_default();
    assert!(lines.len() <= MAX_RECORDS);
    let read = [Record::parse(&text), Record::parse_json(bytes)];
    for record in read.into_iter().flatten().chain(lines) {
        assert!(record.session.is_none_or(|name| name.len() <= 64));
        assert!(record.next.len() <= 8 && record.kbps.is_none_or(|kbps| kbps <= 10_000_000));
    }
}

/// A view makes the same decision each time, of edges that it has, each once; explained it is the same.
pub fn steering(bytes: &[u8]) {
    let Ok(view) = serde_json::from_slice::<View>(bytes) else { return };
    let steer = Steer::new(view);
    for id in [0, 1, u64::MAX / 3] {
        let mut session = Session::new(id, PlacementKey::of("film"));
        (session.country, session.network) = (Country::parse("DE"), Some(64_496));
        for pathway in [None, Some("fra-a".to_owned())] {
            session.pathway = pathway;
            let decision = steer.decide(&session, 1_800_000_000_000);
            assert_eq!(steer.explain(&session, 1_800_000_000_000).decision, decision);
            assert!(decision.choices.len() <= MAX_CHOICES);
            let edges = || steer.view().places.iter().flat_map(|place| &place.edges);
            assert!(
                decision
                    .choices
                    .iter()
                    .all(|choice| edges().any(|edge| edge.pathway.as_str() == choice.pathway))
            );
        }
    }
}
