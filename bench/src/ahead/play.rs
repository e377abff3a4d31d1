//! A replay: sites with the edge's cache, the forecast and the plan that the control plane makes, and what viewers find.

use super::world::{DAY_MS, DAYS, Event, SITES, World};
use sluice_edge::policy::{Policy, SizedTinyLfu};
use sluice_wire::forecast::{Count, History, SLOT_MS, SLOTS};
use sluice_wire::plan::{Candidate, FillWindow, Room, Step, expected, plan};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

/// Days that are not counted: caches are cold, and nothing is known of hours.
const WARM: u64 = 2;

/// What is fetched ahead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scheme {
    None,
    /// By the forecast, where it is at least so likely.
    Forecast(f64),
    /// By what will be asked for in a day, perfectly known.
    Oracle,
}

/// What became of it, on days that count.
#[derive(Debug, Default, Clone)]
pub(super) struct Seen {
    pub(super) requests: u64,
    /// Requests whose viewer found nothing, and their bytes.
    pub(super) misses: u64,
    pub(super) missed_bytes: u64,
    pub(super) fetched: u64,
    pub(super) used: u64,
    /// Bytes that left the sites' parents, by hour, those fetched ahead among them.
    hours: BTreeMap<u64, u64>,
}

impl Seen {
    /// Bytes of the hour with the most.
    pub(super) fn peak(&self) -> u64 {
        self.hours.values().copied().max().unwrap_or(0)
    }
}

/// A site.
struct Site {
    name: String,
    policy: SizedTinyLfu,
    held: HashSet<u64>,
    /// What was fetched ahead on days that count, and not asked for yet.
    unused: HashMap<u64, u64>,
    started_ms: u64,
    steps: VecDeque<Step<u64>>,
    counts: BTreeMap<u64, (u64, u64)>,
    last_ms: HashMap<u64, u64>,
}

impl Site {
    fn new(at: usize, cache: u64) -> Self {
        Self {
            name: at.to_string(),
            policy: SizedTinyLfu::new(cache),
            held: HashSet::new(),
            unused: HashMap::new(),
            started_ms: 0,
            steps: VecDeque::new(),
            counts: BTreeMap::new(),
            last_ms: HashMap::new(),
        }
    }

    /// Its cache is lost.
    fn begin_anew(&mut self, cache: u64, now_ms: u64) {
        self.policy = SizedTinyLfu::new(cache);
        self.held.clear();
        self.unused.clear();
        self.steps.clear();
        self.started_ms = now_ms;
    }

    fn keep(&mut self, key: u64, size: u64) {
        let mut evicted = vec![];
        self.held.insert(key);
        self.policy.insert(key, size, &mut evicted);
        for gone in evicted {
            self.held.remove(&gone);
            self.unused.remove(&gone);
        }
    }

    /// Fetches what is due ahead of demand.
    fn fill(&mut self, now_ms: u64, seen: &mut Seen) {
        while self.steps.front().is_some_and(|step| step.at_ms <= now_ms) {
            let Some(step) = self.steps.pop_front() else { return };
            if self.held.contains(&step.key) {
                continue;
            }
            if step.at_ms >= WARM * DAY_MS {
                seen.fetched += step.bytes;
                *seen.hours.entry(step.at_ms / SLOT_MS).or_default() += step.bytes;
                self.unused.insert(step.key, step.bytes);
            }
            // What is expected counts, a little, as if it had been asked for: as at the edge.
            (0..expected(step.chance)).for_each(|_| self.policy.touch(step.key));
            self.keep(step.key, step.bytes);
        }
    }

    fn serve(&mut self, event: &Event, seen: &mut Seen) {
        let counts = event.at_ms >= WARM * DAY_MS;
        self.policy.touch(event.key);
        let hit = self.held.contains(&event.key);
        let used = self.unused.remove(&event.key);
        if counts {
            seen.requests += 1;
            seen.used += used.unwrap_or(0);
        }
        if !hit {
            self.keep(event.key, event.size);
            if counts {
                seen.misses += 1;
                seen.missed_bytes += event.size;
                *seen.hours.entry(event.at_ms / SLOT_MS).or_default() += event.size;
            }
        }
        let count = self.counts.entry(event.key).or_default();
        *count = (count.0 + 1, count.1 + event.size);
        self.last_ms.insert(event.key, event.at_ms);
    }
}

/// Replays a world, each site with so many bytes of cache and a window. Where sites begin `anew`, one of them a day, in turn, has lost
/// its cache at midnight.
pub(super) fn play(world: &World, cache: u64, window: &FillWindow, scheme: Scheme, anew: bool) -> Seen {
    let mut sites: Vec<Site> = (0..SITES).map(|at| Site::new(at, cache)).collect();
    let (mut history, mut seen, mut hour) = (History::default(), Seen::default(), 0);
    let sizes: HashMap<u64, u64> = world.events.iter().map(|event| (event.key, event.size)).collect();
    for event in &world.events {
        while event.at_ms / SLOT_MS > hour {
            hour += 1;
            let now_ms = hour * SLOT_MS;
            for site in &mut sites {
                site.fill(now_ms, &mut seen);
                let counts = std::mem::take(&mut site.counts).into_iter();
                let counts = counts.map(|(key, (requests, bytes))| Count { key, requests, bytes });
                history.take(&site.name, now_ms - 1, counts);
            }
            if anew && hour % SLOTS as u64 == 0 {
                let at = (hour / SLOTS as u64) as usize % SITES;
                sites[at].begin_anew(cache, now_ms);
            }
            if window.opening(now_ms).is_some_and(|opening| opening.from_ms == now_ms) {
                open(world, &mut sites, &history, &sizes, window, scheme, now_ms);
            }
        }
        let site = &mut sites[event.site];
        site.fill(event.at_ms, &mut seen);
        site.serve(event, &mut seen);
    }
    seen
}

/// A window opens: each site gets its plan.
fn open(
    world: &World,
    sites: &mut [Site],
    history: &History<u64>,
    sizes: &HashMap<u64, u64>,
    window: &FillWindow,
    scheme: Scheme,
    now_ms: u64,
) {
    let Some(opening) = window.opening(now_ms) else { return };
    let chance = if let Scheme::Forecast(chance) = scheme { chance } else { 0.5 };
    let (from_ms, until_ms) = (opening.from_ms, opening.until_ms);
    let room = Room { from_ms, until_ms, bytes: window.bytes, mbps: window.mbps, chance };
    let outlook = (scheme != Scheme::None).then(|| history.outlook(now_ms, now_ms + DAY_MS));
    for (at, site) in sites.iter_mut().enumerate() {
        let candidates: Vec<Candidate<u64>> = match (scheme, &outlook) {
            (Scheme::Forecast(_), Some(outlook)) => (outlook.at(&site.name).into_iter())
                .map(|forecast| {
                    // As the control plane has it, which sees no cache: what was asked for in a day is there.
                    let last_ms = site.last_ms.get(&forecast.key);
                    let held = last_ms
                        .is_some_and(|last_ms| *last_ms >= site.started_ms && now_ms - last_ms < DAY_MS);
                    Candidate { key: forecast.key, viewers: forecast.requests, bytes: forecast.bytes, held }
                })
                .collect(),
            (Scheme::Oracle, _) => coming(world, at, now_ms, now_ms + DAY_MS)
                .into_iter()
                .map(|(key, viewers)| {
                    let held = site.held.contains(&key);
                    Candidate { key, viewers: viewers as f64, bytes: sizes[&key], held }
                })
                .collect(),
            _ => vec![],
        };
        site.steps = plan(&candidates, &room).into();
    }
}

/// What a site will be asked for.
fn coming(world: &World, site: usize, from_ms: u64, until_ms: u64) -> BTreeMap<u64, u64> {
    let begin = world.events.partition_point(|event| event.at_ms < from_ms);
    let end = world.events.partition_point(|event| event.at_ms < until_ms);
    let mut counts = BTreeMap::new();
    for event in world.events[begin..end].iter().filter(|event| event.site == site) {
        *counts.entry(event.key).or_default() += 1;
    }
    counts
}

/// Days that count.
pub(super) const fn counted() -> u64 {
    DAYS - WARM
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_foreseen_spares_waits_and_the_oracle_spares_more() {
        let world = World::made(60_000, 1);
        let window = FillWindow { from: 120, until: 360, bytes: 4_000_000_000, mbps: 2_000.0, chance: 0.5 };
        let cache = world.unique_bytes / 5;
        let of = |scheme| play(&world, cache, &window, scheme, true);
        let (none, ours, oracle) = (of(Scheme::None), of(Scheme::Forecast(0.5)), of(Scheme::Oracle));
        assert_eq!((none.fetched, none.used), (0, 0));
        assert!(ours.misses < none.misses && oracle.misses < ours.misses, "{ours:?}");
        assert!(ours.used <= ours.fetched && ours.fetched <= window.bytes * SITES as u64 * counted());
        assert_eq!(ours.misses, of(Scheme::Forecast(0.5)).misses, "the same each time");
    }
}
