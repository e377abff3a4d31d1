//! Requests at several sites over several days: made here, with days and nights and titles that come and go, or a trace of requests.

use crate::replay::Trace;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sluice_wire::forecast::SLOT_MS;

/// Sites.
pub(super) const SITES: usize = 4;
/// Days of what is made here, and over which a trace is spread.
pub(super) const DAYS: u64 = 14;
/// Milliseconds of a day.
pub(super) const DAY_MS: u64 = 24 * SLOT_MS;
/// A catalogue when it begins, and titles that come each day: as many as last.
const TITLES: usize = 6_000;
const NEW: usize = 60;
/// How fast a title's popularity falls, by day, to what it stays at.
const FALLS: f64 = 0.75;
const STAYS: f64 = 0.02;
/// How popular a title is by its rank: some video services have 0.8, some 1.2.
const SKEW: f64 = 1.0;
/// How far an hour's requests go from the mean, and the hour (UTC) of the most at the first site; each next one is three hours on.
const SWING: f64 = 0.8;
const PEAK: f64 = 19.0;
/// What of a site's taste is its own: some titles are watched in one place alone.
const OWN: f64 = 0.3;

#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    pub(super) at_ms: u64,
    pub(super) site: usize,
    pub(super) key: u64,
    pub(super) size: u64,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) name: String,
    /// In order of time.
    pub(super) events: Vec<Event>,
    pub(super) unique_bytes: u64,
}

impl World {
    /// A trace whose requests come one after another over all days, each at a site that is drawn.
    pub(super) fn of(trace: &Trace) -> Self {
        let mut random = StdRng::seed_from_u64(2);
        let step = DAYS * DAY_MS / trace.requests.len().max(1) as u64;
        let events = (0..).zip(&trace.requests).map(|(at, request)| Event {
            at_ms: at * step,
            site: random.random_range(0..SITES),
            key: request.key,
            size: request.size,
        });
        let name = format!(
            "{}: {} requests of {} keys, in their order, evenly over {DAYS} days and by chance over {SITES} sites (it tells \
             no times)",
            trace.name,
            trace.requests.len(),
            trace.keys
        );
        Self { name, events: events.collect(), unique_bytes: trace.unique_bytes }
    }

    /// Media groups of titles that come and go, by day and night.
    pub(super) fn made(requests: usize, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let titles = TITLES + NEW * DAYS as usize;
        let mut ranks: Vec<usize> = (1..=titles).collect();
        shuffle(&mut ranks, &mut random);
        // Which of the titles are some site's own, and whose.
        let owned: Vec<Option<usize>> =
            (0..titles).map(|_| random.random_bool(OWN).then(|| random.random_range(0..SITES))).collect();
        let size = |title: usize| 2_000_000 + mixed(title as u64) % 18_000_000;
        let mut events = Vec::with_capacity(requests);
        let a_slot = requests / (DAYS as usize * 24 * SITES);
        for slot in 0..DAYS * 24 {
            for site in 0..SITES {
                let until = sums(titles, slot / 24, site, &ranks, &owned);
                let all = until.last().copied().unwrap_or(1.0);
                let phase = (slot % 24) as f64 - PEAK - 3.0 * site as f64;
                let swing = SWING.mul_add((phase * std::f64::consts::TAU / 24.0).cos(), 1.0);
                for _ in 0..(a_slot as f64 * swing) as usize {
                    let draw = random.random::<f64>() * all;
                    let title = until.partition_point(|sum| *sum < draw).min(titles - 1);
                    let at_ms = slot * SLOT_MS + random.random_range(0..SLOT_MS);
                    events.push(Event { at_ms, site, key: mixed(title as u64), size: size(title) });
                }
            }
        }
        events.sort_by_key(|event| (event.at_ms, event.site, event.key));
        let name = format!(
            "made here (seed {seed}): {} requests for media groups of 2 to 20 MB, Zipf {SKEW}, over {DAYS} days at {SITES} \
             sites; {TITLES} titles and {NEW} more a day that lose a quarter of their viewers each day, {:.0} % of them of one \
             site; {:.0} times as many requests at the height of an evening as at night",
            events.len(),
            OWN * 100.0,
            (1.0 + SWING) / (1.0 - SWING)
        );
        Self { name, events, unique_bytes: (0..titles).map(size).sum() }
    }
}

/// How often titles are asked for at a site on a day, each with all before it.
fn sums(titles: usize, day: u64, site: usize, ranks: &[usize], owned: &[Option<usize>]) -> Vec<f64> {
    let mut sum = 0.0;
    let weight = |title: usize| {
        let came = (title.saturating_sub(TITLES) / NEW) as u64;
        let is_new = title >= TITLES;
        if (is_new && came > day) || owned[title].is_some_and(|own| own != site) {
            return 0.0;
        }
        // What comes is more popular than most of what is there.
        let (rank, age) = if is_new { (ranks[title] / 20 + 1, day - came) } else { (ranks[title], 30) };
        let falls = FALLS.powi(i32::try_from(age).unwrap_or(i32::MAX)).max(if is_new { STAYS } else { 1.0 });
        falls * (rank as f64).powf(-SKEW)
    };
    (0..titles)
        .map(|title| {
            sum += weight(title);
            sum
        })
        .collect()
}

fn shuffle(all: &mut [usize], random: &mut StdRng) {
    for at in (1..all.len()).rev() {
        all.swap(at, random.random_range(0..=at));
    }
}

/// The finaliser of SplitMix64: policies' keys are spread evenly.
const fn mixed(x: u64) -> u64 {
    let x = (x.wrapping_add(0x9e37_79b9_7f4a_7c15) ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
