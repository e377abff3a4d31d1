//! What operators ask of players: how many there are, how they begin, stall and look, by place and network.

use super::{Of, Told};
use crate::answer::fresh;
use crate::control::State;
use crate::operators::{Caller, Role};
use crate::problem::Failure;
use axum::response::Response;
use serde_json::{Value, json};
use sluice_wire::quality::Part;
use std::collections::BTreeMap;
use std::sync::PoisonError;

type Shared = axum::extract::State<State>;

/// Milliseconds of an hour.
const HOUR_MS: f64 = 3_600_000.0;

/// What the players of a place do.
#[derive(Debug, Default)]
struct Sum {
    part: Part,
    startup_ms: BTreeMap<u64, u64>,
    kbps: BTreeMap<u64, u64>,
    stalls: u64,
    played_ms: u64,
}

/// `GET /v1/quality`.
pub(crate) async fn quality(
    axum::extract::State(state): Shared,
    caller: Caller,
) -> Result<Response, Failure> {
    caller.may(Role::Viewer)?;
    let (now, atlas) = (state.storage.clock.now_ms(), state.steering.atlas());
    let players = state.steering.players();
    let scores = players.scores(now, |address| atlas.network(address));
    let heard = players.0.lock().unwrap_or_else(PoisonError::into_inner);
    let mut places: BTreeMap<&str, Sum> = BTreeMap::new();
    for told in heard.nodes.values() {
        places.entry(&told.site).or_default().add(told);
    }
    let score = |place: &str| scores.places.get(place).copied().unwrap_or(1.0);
    let places: Vec<Value> = places.iter().map(|(place, sum)| sum.told(place, score(place))).collect();
    let mut networks: BTreeMap<(u32, String), Part> = BTreeMap::new();
    for (of, part) in heard.parts(|address| atlas.network(address)) {
        if let Of::Network(number, place) = of {
            networks.insert((number, place), part);
        }
    }
    let networks: Vec<Value> = (networks.iter())
        .map(|((number, place), part)| {
            let score = scores.networks.get(place).and_then(|all| all.get(number)).copied().unwrap_or(1.0);
            json!({ "network": number, "place": place, "sessions": part.sessions, "starved": part.starved, "score": score })
        })
        .collect();
    drop(heard);
    Ok(fresh(axum::Json(json!({ "places": places, "networks": networks }))))
}

impl Sum {
    fn add(&mut self, told: &Told) {
        let quality = &told.quality;
        self.part = self.part.and(quality.all);
        for (into, from) in [(&mut self.startup_ms, &quality.startup_ms), (&mut self.kbps, &quality.kbps)] {
            from.iter().for_each(|(value, count)| *into.entry(*value).or_default() += count);
        }
        self.stalls += quality.stalls;
        self.played_ms += quality.played_ms;
    }

    fn told(&self, place: &str, score: f64) -> Value {
        let hours = self.played_ms as f64 / HOUR_MS;
        json!({
            "place": place,
            "sessions": self.part.sessions,
            "starved": self.part.starved,
            "startup_ms": { "p50": quantile(&self.startup_ms, 0.5), "p95": quantile(&self.startup_ms, 0.95) },
            "stalls_per_hour": if hours > 0.0 { self.stalls as f64 / hours } else { 0.0 },
            "kbps": { "p50": quantile(&self.kbps, 0.5) },
            "score": score,
        })
    }
}

/// The value below which a share of all counts lies; nothing of nothing.
fn quantile(counts: &BTreeMap<u64, u64>, share: f64) -> Option<u64> {
    let all: u64 = counts.values().sum();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count")]
    let rank = ((all as f64 * share).ceil() as u64).max(1);
    let mut seen = 0;
    counts.iter().find_map(|(value, count)| {
        seen += count;
        (seen >= rank).then_some(*value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_counts() {
        let counts = BTreeMap::from([(100, 9), (900, 1)]);
        assert_eq!((quantile(&counts, 0.5), quantile(&counts, 0.95)), (Some(100), Some(900)));
        assert_eq!(quantile(&BTreeMap::new(), 0.5), None);
    }
}
