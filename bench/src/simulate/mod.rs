//! Steering in simulation: the very decision code over a fleet, millions of viewers, faults and a crowd, beside what others do.
//!
//! ```text
//! world (seeded) + timeline of faults -> each second: what is known of edges -> policy -> viewers play, ask, fail over
//!                                                     what edges are asked for, what they send -> loads of the next second
//! ```
//!
//! - [`world`], [`earth`], [`dice`]: sites, edges, cities, titles; [`faults`]: what goes wrong, and when that is known
//! - [`viewer`]: one player; [`engine`]: a run; [`rest`]: viewers to whom nothing happens; [`cache`]: what edges hold; [`tally`]: what
//!   is counted
//! - [`policy`]: the seam; [`sluice`]: the decision code of `common/wire`; [`peers`]: random, nearest, hashing, DNS
//! - [`table`]: the document

mod cache;
mod dice;
mod earth;
mod engine;
mod faults;
mod peers;
mod policy;
mod rest;
mod sluice;
mod table;
mod tally;
#[cfg(test)]
mod tests;
mod viewer;
mod world;

use crate::args::Options;
use crate::cpu::{own_time, thread_time};
use crate::report::{Report, progress};
use engine::Outcome;
use faults::Timeline;
use peers::{Peer, Way};
use policy::Policy;
use sluice::Sluice;
use sluice_wire::steering;
use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use world::{Scale, World};

/// Policies that run beside each other: each is one thread and some 300 MB.
const BESIDE: usize = 2;
/// What outside CDNs are to have of all sessions, where there are some.
const OUTSIDE: [f64; 2] = [0.10, 0.05];
/// What a unit of money for a gigabyte counts for, where price counts: a cent is 6,000 km.
const PRICE_WEIGHT: f64 = 600.0;
/// The world in which everybody asks once a second, and the second in which an edge of it is killed.
const LOOP_VIEWERS: usize = 20_000;
const LOOP_S: u32 = 40;

/// Who is compared.
const SIDES: [Side; 7] = [
    Side::Peer("random", Way::Random),
    Side::Peer("nearest", Way::Nearest),
    Side::Peer("hashing", Way::Ring),
    Side::Peer("dns", Way::Robin),
    Side::Sluice("sluice", 0.0, false),
    Side::Sluice("sluice, price counts", PRICE_WEIGHT, false),
    Side::Sluice("sluice, 15 % on two CDNs", 0.0, true),
];

#[derive(Debug, Clone, Copy)]
enum Side {
    Peer(&'static str, Way),
    /// With the weight of prices, and whether there are outside CDNs.
    Sluice(&'static str, f64, bool),
}

/// A run, the processor time that it took, and the time by the clock.
#[derive(Debug)]
struct Ran {
    outcome: Outcome,
    took: Duration,
    wall: Duration,
}

/// Simulates and reports.
pub(crate) fn run(options: &Options) -> anyhow::Result<Report> {
    let scale = Scale {
        seed: options.seed,
        viewers: options.viewers,
        edges: options.edges,
        seconds: options.seconds.map_or(DEFAULT_S, |seconds| (seconds as u32).max(LEAST_S)),
        outside: vec![],
    };
    let plain = World::new(scale.clone());
    let timeline = Timeline::of(&plain);
    let mixed = World::new(Scale { outside: OUTSIDE.into(), ..scale.clone() });
    let speed = speed(&plain)?;
    progress(format!("simulate: {speed:.0} decisions a second and core"));
    let looped = looped(&scale);
    let sides: Vec<Side> = SIDES.into_iter().filter(|side| wanted(side, &options.policy)).collect();
    let left = Mutex::new(sides.into_iter().enumerate().collect::<Vec<_>>());
    let done = Mutex::new(vec![]);
    let work = || -> anyhow::Result<()> {
        loop {
            let Some((nth, side)) = left.lock().unwrap_or_else(PoisonError::into_inner).pop() else {
                return Ok(());
            };
            let ran = side.run(if side.is_mixed() { &mixed } else { &plain }, &timeline)?;
            let (took, wall) = (ran.took.as_secs_f64(), ran.wall.as_secs_f64());
            let name = &ran.outcome.name;
            progress(format!("simulate: {name} in {took:.0} s of a processor, {wall:.0} s by the clock"));
            done.lock().unwrap_or_else(PoisonError::into_inner).push((nth, ran));
        }
    };
    std::thread::scope(|threads| {
        let running: Vec<_> = (0..BESIDE).map(|_| threads.spawn(work)).collect();
        running.into_iter().try_for_each(|one| one.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })?;
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(nth, _)| *nth);
    let done: Vec<Ran> = done.into_iter().map(|(_, ran)| ran).collect();
    Ok(table::report(&plain, &timeline, &done, &looped, speed))
}

/// Half an hour; and a run that has room for what happens in it.
const DEFAULT_S: u32 = 1_800;
const LEAST_S: u32 = 120;

impl Side {
    const fn is_mixed(self) -> bool {
        matches!(self, Self::Sluice(.., true))
    }

    fn run(self, world: &World, timeline: &Timeline) -> anyhow::Result<Ran> {
        let mut policy: Box<dyn Policy> = match self {
            Self::Peer(_, way) => Box::new(Peer::new(way, world)),
            Self::Sluice(name, price, _) => {
                let mut policy = steering::Policy::default();
                policy.weights.price = price;
                Box::new(Sluice::new(name, world, policy))
            }
        };
        let (began, used) = (Instant::now(), thread_time()?);
        let outcome = engine::run(world, timeline, policy.as_mut());
        Ok(Ran { outcome, took: thread_time()? - used, wall: began.elapsed() })
    }
}

fn wanted(side: &Side, words: &[String]) -> bool {
    let (Side::Peer(name, _) | Side::Sluice(name, ..)) = side;
    words.is_empty() || words.iter().any(|word| name.contains(word.as_str()))
}

/// The loop from a fault to everybody's move, in a world where all ask every second.
fn looped(scale: &Scale) -> Outcome {
    let world = World::new(Scale {
        viewers: LOOP_VIEWERS.min(scale.viewers),
        seconds: LOOP_S,
        outside: vec![],
        ..scale.clone()
    });
    let policy = steering::Policy { calm_ttl_s: 1, ..steering::Policy::default() };
    let timeline = Timeline::looped(&world);
    engine::run(&world, &timeline, &mut Sluice::new("TTL 1 s", &world, policy))
}

/// Decisions a second of one core, by viewers at home all over the world, who are where they were told to be.
fn speed(world: &World) -> anyhow::Result<f64> {
    const VIEWERS: u64 = 2_000;
    const ROUNDS: usize = 20;
    let mut sluice = Sluice::new("", world, steering::Policy::default());
    let sums = world.beginnings(0);
    let mut viewers: Vec<viewer::Viewer> = (0..VIEWERS)
        .map(|nth| {
            let id = dice::roll(world.scale.seed, nth, 0);
            let mark = dice::share(id, 1, 0) * sums[sums.len() - 1];
            let city = sums.partition_point(|sum| *sum <= mark) as u8;
            viewer::Viewer::begins(id, 0, city, World::title(dice::share(id, 2, 0)))
        })
        .collect();
    for viewer in &mut viewers {
        let told = sluice.begin(world, viewer, 0);
        (viewer.edge, viewer.told) = (told.edge, told.edge);
    }
    let began = own_time()?;
    for now in 1..=ROUNDS {
        for viewer in &viewers {
            std::hint::black_box(sluice.ask(world, viewer, now as u32 * 1_000));
        }
    }
    Ok((VIEWERS * ROUNDS as u64) as f64 / (own_time()? - began).as_secs_f64())
}
