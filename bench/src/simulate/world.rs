//! The world: sites with edges, cities with viewers, a catalogue. The same for a seed, and for every policy.

use super::dice;
use super::earth::{PLACES, Region};
use sluice_wire::{PlacementKey, Position};
use std::ops::Range;

/// Rungs, in Mbit/s.
pub(super) const RUNGS: [f64; 5] = [0.4, 1.0, 2.5, 5.0, 8.0];
/// What viewers' lines carry from nearby, in Mbit/s, and how many of 100 have such a line.
const LINES: [(f64, u64); 4] = [(3.0, 8), (8.0, 20), (25.0, 40), (60.0, 32)];
/// Titles of the catalogue; the nth is asked for about 1/n as often as the first.
const TITLES: u16 = 10_000;
/// The title that everybody wants at once: one that hardly anybody watched.
pub(super) const CROWDED: u16 = 5_000;
/// The share of its edges' capacity that a site needs at its peak.
const PLANNED: f64 = 0.65;
/// Kilometres at which a line carries half of what it does nearby: a window takes longer to come around.
const HALF_KM: f64 = 4_000.0;
/// The day goes by this much faster than the clock, so that peaks pass over the world while one watches.
const DAY_SPEED: f64 = 12.0;
/// Hours of Universal Time at the start: evening begins in Europe.
const START_HOUR: f64 = 17.0;
/// Edges of a site, about.
const OF_A_SITE: usize = 16;

const PRICE: u64 = 1;
const STRONG: u64 = 2;

/// How large a world is.
#[derive(Debug, Clone)]
pub(crate) struct Scale {
    pub(crate) seed: u64,
    pub(crate) viewers: usize,
    pub(crate) edges: usize,
    pub(crate) seconds: u32,
    /// Shares of the sessions that outside CDNs are to have.
    pub(crate) outside: Vec<f64>,
}

#[derive(Debug)]
pub(super) struct City {
    pub(super) position: Position,
    weight: f64,
    longitude: f64,
}

#[derive(Debug)]
pub(super) struct Site {
    pub(super) name: String,
    /// Where it is; outside CDNs are everywhere.
    pub(super) position: Option<Position>,
    pub(super) region: Option<Region>,
    /// Money for a gigabyte.
    pub(super) price: f64,
    pub(super) share: Option<f64>,
    pub(super) edges: Range<u16>,
}

#[derive(Debug)]
pub(super) struct Edge {
    pub(super) site: u16,
    /// Relative to its peers.
    pub(super) weight: f64,
    /// What it can send, in Mbit/s.
    pub(super) capacity: f64,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) scale: Scale,
    pub(super) cities: Vec<City>,
    pub(super) sites: Vec<Site>,
    pub(super) edges: Vec<Edge>,
    /// How titles are placed.
    pub(super) titles: Vec<PlacementKey>,
    /// For each city, own sites from the nearest on.
    pub(super) near: Vec<Vec<u16>>,
    /// For each city and site, the share of a line that it fills.
    reach: Vec<f32>,
}

impl World {
    pub(super) fn new(scale: Scale) -> Self {
        let count = (scale.edges / OF_A_SITE).clamp(4, PLACES.len());
        let cities: Vec<City> = (PLACES.iter())
            .map(|place| City {
                position: Position { latitude: place.latitude, longitude: place.longitude },
                weight: place.weight,
                longitude: place.longitude,
            })
            .collect();
        let peaks = peaks(&cities, count, scale.viewers);
        let (mut sites, mut edges) = build(&scale, &peaks);
        outside(&scale, &mut sites, &mut edges);
        let near = cities.iter().map(|city| nearest(city, &sites)).collect();
        let reach = (cities.iter().flat_map(|city| sites.iter().map(|site| reach(city, site)))).collect();
        let titles = (0..TITLES).map(|title| PlacementKey::of(&format!("/v/{title}/"))).collect();
        Self { scale, cities, sites, edges, titles, near, reach }
    }

    /// The share of a line that a site fills.
    pub(super) fn reach(&self, city: u8, site: u16) -> f64 {
        f64::from(self.reach[usize::from(city) * self.sites.len() + usize::from(site)])
    }

    /// Edges of its own, without outside CDNs.
    pub(super) fn own(&self) -> usize {
        self.scale.edges
    }

    /// Where sessions begin at a second: sums of the cities' parts, to be searched.
    pub(super) fn beginnings(&self, second: u32) -> Vec<f64> {
        let hour = START_HOUR + f64::from(second) * DAY_SPEED / 3_600.0;
        let mut sum = 0.0;
        (self.cities.iter())
            .map(|city| {
                sum += city.weight * watching(hour + city.longitude / 15.0);
                sum
            })
            .collect()
    }

    /// A title, as often as it is asked for.
    pub(super) fn title(draw: f64) -> u16 {
        ((draw * f64::from(TITLES).ln()).exp() as u16).clamp(1, TITLES) - 1
    }

    /// What a viewer's line carries, in Mbit/s.
    pub(super) fn line(id: u64) -> f64 {
        let mut of_100 = (id >> 20) % 100;
        for (line, share) in LINES {
            if of_100 < share {
                return line;
            }
            of_100 -= share;
        }
        LINES[0].0
    }

    /// The highest rung that a line carries with something to spare.
    pub(super) fn top(line: f64) -> u8 {
        RUNGS.iter().rposition(|rate| rate / HEADROOM <= line).unwrap_or(0) as u8
    }
}

/// The part of a line that a player counts on.
pub(super) const HEADROOM: f64 = 0.8;

/// How many watch at an hour of their day, of those who do at nine in the evening.
fn watching(hour: f64) -> f64 {
    let wave = (hour - 21.0) / 24.0 * std::f64::consts::TAU;
    0.3 + 0.7 * (0.5 + 0.5 * wave.cos()).powf(1.5)
}

/// Mbit/s that each site's own viewers want at their peak.
fn peaks(cities: &[City], sites: usize, viewers: usize) -> Vec<f64> {
    let rate = |line: f64| RUNGS[usize::from(World::top(line))];
    let mean = LINES.iter().map(|(line, of_100)| rate(*line) * *of_100 as f64 / 100.0).sum::<f64>();
    let all = |hour: f64| cities.iter().map(|c| c.weight * watching(hour + c.longitude / 15.0)).sum::<f64>();
    let mut peaks = vec![0.0; sites];
    for city in cities {
        let most = (0..24)
            .map(f64::from)
            .map(|hour| city.weight * watching(hour + city.longitude / 15.0) / all(hour))
            .fold(0.0, f64::max);
        let home = (0..sites).min_by(|a, b| {
            let km = |site: &usize| cities[*site].position.km_to(&city.position);
            km(a).total_cmp(&km(b))
        });
        peaks[home.unwrap_or(0)] += most * viewers as f64 * mean;
    }
    peaks
}

/// Sites with edges by their peaks; one edge in four is twice as strong as the others of its site.
fn build(scale: &Scale, peaks: &[f64]) -> (Vec<Site>, Vec<Edge>) {
    let (mut sites, mut edges) = (vec![], vec![]);
    let total: f64 = peaks.iter().sum();
    let (mut left, mut wanted) = (scale.edges, total);
    for (nth, (place, peak)) in PLACES.iter().zip(peaks).enumerate() {
        let others = peaks.len() - nth - 1;
        let fair = (left as f64 * peak / wanted).round() as usize;
        let count = fair.clamp(1, left.saturating_sub(others).max(1));
        (left, wanted) = (left.saturating_sub(count), wanted - peak);
        let first = edges.len() as u16;
        let weight =
            |edge: usize| if dice::share(scale.seed, STRONG, edge as u64) < 0.25 { 2.0 } else { 1.0 };
        let weights: Vec<f64> = (edges.len()..edges.len() + count).map(weight).collect();
        let unit = peak / PLANNED / weights.iter().sum::<f64>();
        edges.extend(weights.iter().map(|w| Edge { site: nth as u16, weight: *w, capacity: unit * w }));
        // Carriers of neighbours differ by a factor of four.
        let price = place.region.price() * 4f64.powf(dice::share(scale.seed, PRICE, nth as u64) - 0.5);
        sites.push(Site {
            name: place.name.into(),
            position: Some(Position { latitude: place.latitude, longitude: place.longitude }),
            region: Some(place.region),
            price,
            share: None,
            edges: first..edges.len() as u16,
        });
    }
    (sites, edges)
}

/// Outside CDNs: one pathway each, that carries whatever comes.
fn outside(scale: &Scale, sites: &mut Vec<Site>, edges: &mut Vec<Edge>) {
    let capacity = edges.iter().map(|edge| edge.capacity).sum();
    for (nth, share) in scale.outside.iter().enumerate() {
        let at = edges.len() as u16;
        edges.push(Edge { site: sites.len() as u16, weight: 1.0, capacity });
        sites.push(Site {
            name: format!("cdn-{nth}"),
            position: None,
            region: None,
            price: 0.012,
            share: Some(*share),
            edges: at..at + 1,
        });
    }
}

fn nearest(city: &City, sites: &[Site]) -> Vec<u16> {
    let far = |site: &u16| sites[usize::from(*site)].position.map(|there| there.km_to(&city.position));
    let mut all: Vec<u16> = (0..sites.len() as u16).filter(|site| far(site).is_some()).collect();
    all.sort_by(|a, b| far(a).unwrap_or(0.0).total_cmp(&far(b).unwrap_or(0.0)));
    all
}

fn reach(city: &City, site: &Site) -> f32 {
    let km = site.position.map_or(0.0, |there| there.km_to(&city.position));
    (1.0 / (1.0 + km / HALF_KM)) as f32
}
